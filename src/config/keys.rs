//! All keys and the type of each, taken from the shipped `config.toml` (a test keeps it complete).

use std::collections::{BTreeMap, BTreeSet};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Num, Value};

const SHIPPED: &str = include_str!("../../config.toml");

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// `relay.poll_interval` and its default.
    leaves: BTreeMap<String, Value>,
    /// `relay`, `agora.cloud_recording.video`.
    sections: BTreeSet<String>,
}

impl Keys {
    pub(super) fn shipped() -> Self {
        let mut keys = Self::default();
        keys.learn("", Toml::from_str::<Dict>(SHIPPED).unwrap_or_default());
        keys
    }

    fn learn(&mut self, section: &str, dict: Dict) {
        for (name, value) in dict {
            let key = join(section, &name);
            if let Value::Dict(_, inner) = value {
                self.learn(&key, inner);
                self.sections.insert(key);
            } else {
                self.leaves.insert(key, value);
            }
        }
    }

    pub(super) fn is_leaf(&self, key: &str) -> bool {
        self.leaves.contains_key(key)
    }

    pub(super) fn is_section(&self, key: &str) -> bool {
        self.sections.contains(key)
    }

    /// Parses `text` as the type of `key`. Text that does not parse stays text, which deserialization rejects.
    pub(super) fn value_from_text(&self, key: &str, text: &str) -> Value {
        match self.leaves.get(key) {
            Some(Value::Bool(..)) => text.trim().parse::<bool>().ok().map(Value::from),
            Some(Value::Num(_, Num::F32(_) | Num::F64(_))) => {
                text.trim().parse::<f64>().ok().map(Value::from)
            }
            Some(Value::Num(..)) => text.trim().parse::<i64>().ok().map(Value::from),
            Some(Value::Array(..)) => Some(Value::from(
                text.split(',')
                    .map(str::trim)
                    .filter(|entry| !entry.is_empty())
                    .collect::<Vec<_>>(),
            )),
            _ => None,
        }
        .unwrap_or_else(|| Value::from(text))
    }

    /// A suggestion for an unknown key: the same name in another section, or else the smallest edit distance.
    pub(super) fn nearest(&self, wrong: &str, wants_section: bool) -> Option<&str> {
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let candidates: Vec<&String> = if wants_section {
            self.sections.iter().collect()
        } else {
            self.leaves.keys().collect()
        };
        candidates
            .into_iter()
            .min_by_key(|key| (last(key) != last(wrong), edits(wrong, key)))
            .map(String::as_str)
    }
}

pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.iter().skip(1)) {
            let change = diagonal + usize::from(from != to);
            left = change.min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use figment::error::Kind;
    use serde::Deserialize;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn config_toml_holds_every_key_of_the_structs_and_no_other() {
        let keys = Keys::shipped();
        let every_section = std::iter::once("").chain(keys.sections.iter().map(String::as_str));
        for section in every_section {
            let wrong = join(section, "?");
            let error =
                Settings::deserialize(&figment::util::nest(&wrong, Value::from(1))).unwrap_err();
            let Kind::UnknownField(_, expected) = error.kind else {
                panic!("{section}: {error}");
            };
            for field in expected {
                let key = join(section, field);
                assert!(
                    keys.is_leaf(&key) || keys.is_section(&key),
                    "config.toml lacks {key}"
                );
            }
        }
        for (key, value) in &keys.leaves {
            let one = figment::util::nest(key, value.clone());
            assert!(Settings::deserialize(&one).is_ok(), "{key} is no field");
        }
    }
}
