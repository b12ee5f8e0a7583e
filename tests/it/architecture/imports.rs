use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::source::Source;

type Module = Vec<String>;

/// The files that each file of a crate imports, without the modules below its own.
#[derive(Debug)]
pub(super) struct Imports(BTreeMap<String, BTreeSet<String>>);

struct Files<'a> {
    by_module: BTreeMap<&'a [String], &'a Source>,
}

impl Imports {
    pub(super) fn of(sources: &[Source]) -> Self {
        let by_module = sources.iter().map(|file| (file.module.as_slice(), file));
        let files = Files {
            by_module: by_module.collect(),
        };
        let of = |file: &Source| {
            let paths = file.paths.iter();
            let named = paths.filter_map(|path| files.defines(&absolute(file, path)?, 0));
            let named = named.filter(|named| {
                !named.module.is_empty() && !named.module.starts_with(&file.module)
            });
            named.map(|named| named.name.clone()).collect()
        };
        Self(
            sources
                .iter()
                .filter(|file| !file.module.is_empty())
                .map(|file| (file.name.clone(), of(file)))
                .collect(),
        )
    }

    /// The other rooms that each room imports.
    pub(super) fn between_rooms(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut rooms = BTreeMap::<String, BTreeSet<String>>::new();
        for (file, imports) in &self.0 {
            let others = imports.iter().map(|import| room(import));
            let others = others.filter(|other| *other != room(file));
            let others: BTreeSet<String> = others.map(str::to_owned).collect();
            if !others.is_empty() {
                rooms
                    .entry(room(file).to_owned())
                    .or_default()
                    .extend(others);
            }
        }
        rooms
    }

    /// The sets of files that import each other, directly or indirectly.
    pub(super) fn circles(&self) -> Vec<BTreeSet<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .0
            .keys()
            .map(|file| (file.as_str(), self.reached_from(file)))
            .collect();
        let circles: BTreeSet<BTreeSet<&str>> = reached
            .iter()
            .filter(|(file, others)| others.contains(*file))
            .map(|(file, others)| {
                let back = |other: &&&str| reached[**other].contains(file);
                others.iter().filter(back).copied().collect()
            })
            .collect();
        circles.into_iter().collect()
    }

    fn reached_from(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = self.0[file].iter().map(String::as_str).collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(self.0[file].iter().map(String::as_str));
            }
        }
        reached
    }

    pub(super) fn inside(&self, files: &BTreeSet<&str>) -> String {
        let mut text = String::new();
        for file in files {
            for import in self.0[*file]
                .iter()
                .filter(|one| files.contains(one.as_str()))
            {
                writeln!(text, "{file} imports {import}").unwrap();
            }
        }
        text
    }
}

/// The binary is part of the room `cli`.
fn room(file: &str) -> &str {
    let room = file.split('/').next().unwrap_or(file);
    match room.trim_end_matches(".rs") {
        "main" => "cli",
        room => room,
    }
}

/// The path from the crate's root; `None` for another crate's.
fn absolute(file: &Source, path: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let ups = path.iter().take_while(|part| *part == "super").count();
    match first.as_str() {
        "crate" | "relaykeeper" => Some(rest.to_vec()),
        "self" => Some([&file.module, rest].concat()),
        "super" => {
            let kept = file.module.len().checked_sub(ups)?;
            Some([&file.module[..kept], &path[ups..]].concat())
        }
        _ => None,
    }
}

impl<'a> Files<'a> {
    /// The file that defines what a path names, followed through re-exports.
    fn defines(&self, path: &[String], depth: usize) -> Option<&'a Source> {
        let (module, file) = (0..=path.len()).rev().find_map(|length| {
            let file = self.by_module.get(&path[..length])?;
            Some((length, *file))
        })?;
        let Some(item) = path.get(module) else {
            return Some(file);
        };
        let exports = file.exports.iter();
        let mut exports = exports.filter(|export| depth < 8 && export.last() == Some(item));
        let exported = exports.find_map(|export| {
            let child = [&file.module, export.as_slice()].concat();
            let is_child = self.by_module.contains_key(&child[..=file.module.len()]);
            let path = absolute(file, export).or(is_child.then_some(child))?;
            self.defines(&path, depth + 1)
        });
        exported.or(Some(file))
    }
}
