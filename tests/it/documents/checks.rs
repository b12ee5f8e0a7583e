//! The checks; each returns errors with file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What is searched, besides the top-level documents.
const SEARCHED: [&str; 9] = [
    "benches",
    "config.toml",
    "deploy",
    "docs",
    "examples",
    "migration",
    "scripts",
    "src",
    "tests",
];
/// Skipped: other projects' files, and this test's planted mistakes.
const SKIPPED: [&str; 5] = [
    "node_modules",
    "target",
    "tests/fixtures",
    "tests/it/documents",
    "tests/it/documents.rs",
];
const PAGES: &str = "docs/vendors";
/// The grades of `docs/vendors/README.md`.
const GRADES: [&str; 7] = [
    "documented",
    "schema",
    "measured",
    "reported",
    "in conflict",
    "assumed",
    "unknown",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) struct File {
    /// From the root.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    fn read(path: &str) -> Option<Self> {
        let text = fs::read_to_string(root().join(path)).ok()?;
        Some(Self {
            path: path.to_owned(),
            text,
        })
    }

    pub(super) fn is_document(&self) -> bool {
        self.path.ends_with(".md")
    }

    pub(super) fn is_page(&self) -> bool {
        let name = self.path.strip_prefix(PAGES);
        name.is_some_and(|name| self.is_document() && name != "/README.md")
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// The lines outside code blocks.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut in_code = false;
        self.lines().filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            in_code ^= is_fence;
            !in_code && !is_fence
        })
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// Resolves a path in this file to a path from the root.
    fn relative(&self, path: &str) -> PathBuf {
        let mut joined = PathBuf::from(&self.path);
        joined.pop();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    joined.pop();
                }
                part => joined.push(part),
            }
        }
        joined
    }
}

pub(super) fn files() -> Vec<File> {
    fn walk(path: &str, found: &mut Vec<File>) {
        if SKIPPED.iter().any(|skipped| path.ends_with(skipped)) {
            return;
        }
        let full = root().join(path);
        if !full.is_dir() {
            found.extend(File::read(path));
            return;
        }
        for entry in fs::read_dir(full).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            walk(&format!("{path}/{name}"), found);
        }
    }
    let mut found = Vec::new();
    for path in SEARCHED {
        walk(path, &mut found);
    }
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            found.extend(File::read(&name));
        }
    }
    assert!(found.len() > 400, "only {} files were found", found.len());
    found
}

/// The sections of each page of facts, such as `4` and `4.2`.
pub(super) type Sections = BTreeMap<String, BTreeSet<String>>;

pub(super) fn sections(files: &[File]) -> Sections {
    let pages = files.iter().filter(|file| file.is_page());
    let sections_of = |page: &File| {
        let headings = page.prose().filter_map(|(_, line)| heading(line));
        let numbers = headings.filter_map(|heading| {
            let number = heading.split(' ').next()?.trim_end_matches('.');
            number
                .starts_with(|first: char| first.is_ascii_digit())
                .then(|| number.to_owned())
        });
        numbers.collect()
    };
    pages
        .map(|page| (page.name().to_owned(), sections_of(page)))
        .collect()
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len()).then(|| text.strip_prefix(' ').unwrap_or(text))
}

/// Checks citations: `page.md §1.2` or `page.md §1.2, §3` on one line, or `§1.2` for the same page. Ignores `RFC 9110 §15`.
pub(super) fn citations(file: &File, sections: &Sections) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in file.lines() {
        let mut page: Option<&str> = None;
        let mut end = 0;
        for (start, sign) in line.match_indices('§') {
            let rest = &line[start + sign.len()..];
            let length = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let section = rest[..length].trim_end_matches('.');
            let before = &line[end..start];
            if !(page.is_some() && before == ", ") {
                page = before.strip_suffix(' ').and_then(cited_page);
                if page.is_none() && file.is_page() {
                    page = Some(file.name());
                }
            }
            end = start + sign.len() + section.len();
            match page {
                None if is_rfc(before) => {}
                None => wrong.push(file.at(number, &format!("§{section} of which page?"))),
                Some(page) => match sections.get(page) {
                    None => wrong.push(file.at(number, &format!("there is no {PAGES}/{page}"))),
                    Some(known) if !known.contains(section) => {
                        wrong.push(file.at(number, &format!("{page} has no §{section}")));
                    }
                    Some(_) => {}
                },
            }
        }
    }
    wrong
}

fn cited_page(text: &str) -> Option<&str> {
    let page = named(text);
    page.ends_with(".md").then_some(page)
}

fn named(text: &str) -> &str {
    let start = text.rfind(|c: char| !is_path(c)).map_or(0, |at| {
        at + text[at..].chars().next().map_or(0, char::len_utf8)
    });
    &text[start..]
}

fn is_rfc(text: &str) -> bool {
    let without = text
        .trim_end()
        .trim_end_matches(|c: char| c.is_ascii_digit());
    without.trim_end().ends_with("RFC")
}

fn is_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./".contains(c)
}

/// Checks that named files exist. A name is a path from the root, the file, `docs/vendors` or `src`.
pub(super) fn names(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in file.lines() {
        let line = without_urls(line);
        let documents = line.match_indices(".md");
        let sources = line.match_indices(".rs").filter(|_| file.is_document());
        for (at, ending) in documents.chain(sources) {
            let after = line[at + ending.len()..].chars().next();
            if after.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                continue;
            }
            let name = named(&line[..at + ending.len()]);
            if name.trim_start_matches('/') == ending || (ending == ".rs" && !name.contains('/')) {
                continue;
            }
            let places = [
                PathBuf::from(name),
                file.relative(name),
                Path::new(PAGES).join(name),
                Path::new("src").join(name),
            ];
            if !places.iter().any(|place| exists(place)) {
                wrong.push(file.at(number, &format!("there is no {name}")));
            }
        }
    }
    wrong
}

/// Whether this exact path exists, also on case-insensitive file systems.
fn exists(path: &Path) -> bool {
    let mut folder = root().to_path_buf();
    path.components().all(|part| {
        let entries = fs::read_dir(&folder).into_iter().flatten();
        let found = entries
            .flatten()
            .any(|entry| entry.file_name() == part.as_os_str());
        folder.push(part);
        found
    })
}

fn without_urls(line: &str) -> String {
    let mut parts = line.split("://");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "<>()\"`".contains(c));
        kept.push(' ');
        kept.push_str(end.map_or("", |end| &part[end..]));
    }
    kept
}

/// Checks a document's links: existing files and headings, defined labels.
pub(super) fn links(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    let definition = |line: &str| {
        let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some((label.to_owned(), target.trim().to_owned()))
    };
    let defined: BTreeMap<_, _> = file
        .prose()
        .filter_map(|(_, line)| definition(line))
        .collect();
    for (number, line) in file.prose() {
        let line = without_code(line);
        let mut targets: Vec<String> = definition(&line).into_iter().map(|(_, to)| to).collect();
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next();
            targets.extend(target.map(str::to_owned));
        }
        for (at, _) in line.match_indices("][") {
            let label = line[at + 2..].split(']').next().unwrap_or_default();
            if !defined.contains_key(label) {
                wrong.push(file.at(number, &format!("[{label}] is not defined")));
            }
        }
        for target in targets {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let place = match path {
                "" => PathBuf::from(&file.path),
                path => file.relative(path),
            };
            if !exists(&place) {
                wrong.push(file.at(number, &format!("there is no {path}")));
            } else if !anchor.is_empty() && !has_anchor(&place, anchor) {
                wrong.push(file.at(number, &format!("{path} has no heading #{anchor}")));
            }
        }
    }
    wrong
}

fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 0 { part } else { "" })
        .collect()
}

/// Whether a document has a heading with this GitHub anchor.
fn has_anchor(path: &Path, anchor: &str) -> bool {
    let Some(file) = File::read(&path.to_string_lossy()) else {
        return false;
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    file.prose()
        .filter_map(|(_, line)| heading(line))
        .any(|heading| {
            let kept = heading.trim().to_lowercase();
            let slug: String = kept
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            match count {
                1 => slug == anchor,
                more => format!("{slug}-{}", *more - 1) == anchor,
            }
        })
}

/// Checks a page's facts: numbers in order, a known grade, a source.
pub(super) fn facts(page: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut section, mut fact) = (0, 0);
    let mut open: Option<(usize, String)> = None;
    let missing = |open: Option<(usize, String)>, wrong: &mut Vec<String>| {
        if let Some((line, number)) = open {
            wrong.push(page.at(line, &format!("§{number} has no grade")));
        }
    };
    for (number, line) in page.prose() {
        if let Some(title) = line.strip_prefix("## ") {
            missing(open.take(), &mut wrong);
            (section, fact) = (section + 1, 0);
            if !title.starts_with(&format!("{section}. ")) {
                wrong.push(page.at(number, &format!("section {section} is expected")));
            }
        } else if let Some(title) = line.strip_prefix("### ") {
            missing(open.take(), &mut wrong);
            fact += 1;
            if !title.starts_with(&format!("{section}.{fact} ")) {
                wrong.push(page.at(number, &format!("§{section}.{fact} is expected")));
            }
            open = (!title.ends_with(" Withdrawn")).then(|| (number, format!("{section}.{fact}")));
        } else if let Some(grade) = line.strip_prefix("- Grade: ") {
            open = None;
            if !GRADES.iter().any(|known| grade.contains(known)) {
                wrong.push(page.at(number, "no known grade"));
            }
            let has_source = grade.contains("][") || grade.contains("](");
            if !has_source && GRADES[..5].iter().any(|known| grade.contains(known)) {
                wrong.push(page.at(number, "a grade without a source"));
            }
        }
    }
    missing(open, &mut wrong);
    wrong
}
