//! Names follow the glossary of CONTRIBUTING.md.

use std::collections::BTreeMap;

use super::source::Source;

/// Words that the glossary replaces, each with the places where it stays as a vendor's term or the wire's.
const REPLACED: [(&str, &[&str]); 14] = [
    (
        "recorder",
        &[
            "api/",
            "sandbox/",
            "vendors/agora/",
            "telemetry/metrics.rs",
            "config/",
            "egresses/cloud_recording",
        ],
    ),
    ("recorders", &["config/"]),
    ("debt", &[]),
    ("debts", &[]),
    ("owed", &[]),
    ("owe", &[]),
    ("ghost", &[]),
    ("ghosts", &[]),
    ("steward", &[]),
    ("tenure", &[]),
    ("keeper", &[]),
    ("letter", &[]),
    ("look", &[]),
    ("looks", &[]),
];

/// sea-orm gives these names to every table's types.
const ONE_IDEA: [&str; 2] = ["Model", "Relation"];

fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words
}

#[test]
fn a_name_is_split_into_its_words() {
    assert_eq!(words("look_at_feed"), ["look", "at", "feed"]);
    assert_eq!(words("LAST_LOOK"), ["last", "look"]);
    assert_eq!(words("RecorderRef"), ["recorder", "ref"]);
    assert_eq!(words("looking"), ["looking"]);
}

#[test]
fn no_name_has_a_word_that_the_glossary_replaces() {
    let mut found = Vec::new();
    for file in Source::of_crate() {
        for name in &file.names {
            let words = words(name);
            for (place, word) in words.iter().enumerate() {
                // `look_up` is another word.
                if words.get(place + 1).is_some_and(|next| next == "up") {
                    continue;
                }
                let stays = |place: &&str| file.name.starts_with(place);
                if let Some((_, places)) = REPLACED.iter().find(|(old, _)| old == word)
                    && !places.iter().any(stays)
                {
                    found.push(format!("{}: {name}", file.name));
                }
            }
        }
    }
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_two_public_types_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in Source::of_crate() {
        for name in file.types {
            places.entry(name).or_default().push(file.name.clone());
        }
    }
    let mut twice = Vec::new();
    for (name, files) in places {
        if files.len() > 1 && !ONE_IDEA.contains(&name.as_str()) {
            twice.push(format!("{name}: {}", files.join(", ")));
        }
    }
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}
