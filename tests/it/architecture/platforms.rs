//! Cloudflare is named only in its own rooms.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const WORDS: [&str; 5] = [
    "cloudflare",
    "live_input",
    "rotate_keys",
    "customer_host",
    "lifecycle",
];

/// Where Cloudflare is at home: beginnings of paths below `src`.
const ROOMS: [&str; 9] = [
    "platforms/cloudflare/",
    "sandbox/",
    "config/cloudflare.rs",
    "config/pricing.rs",
    // Commands that set up, check, probe and simulate the vendors.
    "cli/check.rs",
    "cli/probe/",
    "cli/sandbox",
    "cli/webhooks",
    // Another author's script.
    "api/docs/",
];

/// The other files that name it, with the reason.
const OTHERS: [(&str, &str); 5] = [
    ("actors/janitor.rs", "the wire's name of a kind of finding"),
    ("config/mod.rs", "the section of its settings"),
    ("config/relay.rs", "a setting's name"),
    ("platforms/mod.rs", "composes the platforms of the settings"),
    ("relay/outcome.rs", "the wire's names of two outcomes"),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn cloudflare_is_named_in_its_rooms_and_in_few_other_files() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for path in files(&source) {
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
        if ROOMS.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).to_lowercase();
        if WORDS.iter().any(|word| text.contains(word)) {
            found.insert(name.to_owned());
        }
    }
    let expected: BTreeSet<_> = OTHERS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(found, expected);
}
