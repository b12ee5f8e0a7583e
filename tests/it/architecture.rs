//! A room imports only the rooms that ARCHITECTURE.md allows, files do not import each other in a circle, and names use the
//! glossary.

mod imports;
mod platforms;
mod source;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::Imports;
use source::Source;

#[test]
fn a_room_imports_only_what_the_table_of_rooms_says() {
    let imports = Imports::of(&Source::of_crate());
    let table = documented();
    for (room, imports) in imports.between_rooms() {
        let allowed = table.get(&room);
        let allowed = allowed.unwrap_or_else(|| panic!("{room} is not in the table"));
        let others: Vec<_> = imports.difference(allowed).collect();
        assert!(others.is_empty(), "{room} imports {others:?}");
    }
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let imports = Imports::of(&Source::of_crate());
    let circles = imports.circles();
    let circles: Vec<_> = circles.iter().map(|files| imports.inside(files)).collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

/// The table of ARCHITECTURE.md: a room, what it does, what it imports.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let room = cells.next()?.trim_matches('`').to_owned();
        let imports = cells.nth(1)?.split('`').skip(1).step_by(2);
        Some((room, imports.map(str::to_owned).collect()))
    });
    rows.collect()
}

fn imports(files: &[(&str, &str)]) -> Imports {
    let files = files.iter().map(|(name, text)| Source::new(name, text));
    Imports::of(&files.collect::<Vec<_>>())
}

#[test]
fn an_import_is_found_in_a_use_and_in_a_path_but_not_in_a_comment_a_string_or_a_test() {
    let read = imports(&[
        (
            "api/mod.rs",
            "use crate::{store::{Store, StoreError as E}, relay};",
        ),
        (
            "actors/a.rs",
            "fn a() -> crate::vendors::Class { 'x'; b::<'a>() }",
        ),
        (
            "relay/mod.rs",
            r##"
            //! [`crate::api`]
            /* use crate::api; */
            const A: &str = "crate::api \" // use crate::api";
            const B: &str = r#"crate::api"#;
            #[cfg(test)]
            use crate::api::Api;
            #[cfg(test)]
            mod tests { use crate::api::Api; fn a() { "}" } }
            "##,
        ),
        ("store/mod.rs", "pub struct Store;"),
        ("vendors/mod.rs", ""),
        ("main.rs", "mod cli; use relaykeeper::api;"),
    ]);
    let arrows: Vec<String> = read
        .between_rooms()
        .into_iter()
        .map(|(room, imports)| {
            format!(
                "{room} {}",
                imports.into_iter().collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    assert_eq!(arrows, ["actors vendors", "api relay store", "cli api"]);
}

#[test]
fn a_circle_is_found_through_a_reexport_and_through_super() {
    let circle = imports(&[
        ("relay/mod.rs", "mod a; mod b; mod c; pub use b::B;"),
        ("relay/a.rs", "use crate::relay::B;"),
        ("relay/b.rs", "use super::c::C;"),
        ("relay/c.rs", "use super::a;"),
    ]);
    let found = circle.circles();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0],
        BTreeSet::from(["relay/a.rs", "relay/b.rs", "relay/c.rs"])
    );
}

#[test]
fn a_parent_that_uses_its_children_makes_no_circle() {
    let tree = imports(&[
        ("relay/mod.rs", "mod a; mod b; use a::A; pub struct Relay;"),
        ("relay/a.rs", "use super::Relay; mod c;"),
        (
            "relay/a/c.rs",
            "use crate::relay::b::B; use super::super::Relay;",
        ),
        ("relay/b.rs", "use super::Relay;"),
    ]);
    assert!(tree.circles().is_empty());
}
