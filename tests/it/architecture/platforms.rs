//! Each platform is named only in its own rooms.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct PlatformRooms {
    /// What only this platform says, in lower case.
    words: &'static [&'static str],
    /// Where it is at home: beginnings of paths below `src`.
    rooms: &'static [&'static str],
    /// The other files that name it, with the reason.
    others: &'static [(&'static str, &'static str)],
}

/// Where every platform is at home.
const COMMON: [&str; 6] = [
    "sandbox/",
    "config/pricing.rs",
    // Commands that check and simulate the vendors.
    "cli/check.rs",
    "cli/probe/",
    "cli/sandbox",
    // Another author's script.
    "api/docs/",
];

const PLATFORMS: [PlatformRooms; 3] = [
    PlatformRooms {
        words: &[
            "cloudflare",
            "live_input",
            "rotate_keys",
            "customer_host",
            "lifecycle",
        ],
        rooms: &[
            "platforms/cloudflare/",
            "config/cloudflare.rs",
            // Sets up its webhooks.
            "cli/webhooks",
        ],
        others: &[
            ("actors/janitor.rs", "the wire's name of a kind of finding"),
            ("config/mod.rs", "the section of its settings"),
            ("config/relay.rs", "a setting's name"),
            ("platforms/mod.rs", "composes the platforms of the settings"),
            ("relay/outcome.rs", "the wire's names of two outcomes"),
        ],
    },
    PlatformRooms {
        words: &["ivs", "amazonaws", "eventbridge"],
        rooms: &["platforms/ivs/", "config/ivs.rs"],
        others: &[
            ("config/mod.rs", "the section of its settings"),
            ("platforms/mod.rs", "composes the platforms of the settings"),
        ],
    },
    PlatformRooms {
        words: &["mux", "live_stream", "passthrough", "reconnect-window"],
        rooms: &["platforms/mux/", "config/mux.rs"],
        others: &[
            ("config/mod.rs", "the section of its settings"),
            ("platforms/mod.rs", "composes the platforms of the settings"),
        ],
    },
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
fn each_platform_is_named_in_its_rooms_and_in_few_other_files() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for PlatformRooms {
        words,
        rooms,
        others,
    } in PLATFORMS
    {
        let mut found = BTreeSet::new();
        for path in files(&source) {
            let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
            let is_room = |room: &&str| name.starts_with(room);
            if rooms.iter().any(is_room) || COMMON.iter().any(is_room) {
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).to_lowercase();
            if words.iter().any(|word| text.contains(word)) {
                found.insert(name.to_owned());
            }
        }
        let expected: BTreeSet<_> = others.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(found, expected, "{words:?}");
    }
}
