//! Loads [`Settings`] from the file and the environment, or reports everything that is wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Value};
use serde::{Deserialize, Deserializer};

use super::Settings;
use super::environment::{PREFIX, long_name, short_names};
use super::keys::{Keys, join};
use super::problem::{Origin, SettingsError, SettingsProblem};

/// The file if none is named; it may be missing.
const FILE: &str = "config.toml";

impl Settings {
    /// Loads the file `path` (default: `./config.toml`, if present) and applies `env`, usually
    /// [`environment`](super::environment). `config.toml` states the rules. Fails with all invalid and unknown keys at once.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut draft = Draft {
            keys: Keys::shipped(),
            values: BTreeMap::new(),
            problems: Vec::new(),
        };
        draft.read_file(path)?;
        draft.read_environment(env.collect());
        draft.dependent_defaults();
        draft.finish()
    }
}

struct Draft {
    keys: Keys,
    values: BTreeMap<String, (Value, Origin)>,
    problems: Vec<SettingsProblem>,
}

impl Draft {
    fn read_file(&mut self, path: Option<&Path>) -> Result<(), SettingsError> {
        let file = path.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            Err(source) => {
                return Err(SettingsError::Unreadable {
                    path: file.to_owned(),
                    source,
                });
            }
        };
        let dict = Toml::from_str::<Dict>(&text).map_err(|error| SettingsError::Syntax {
            path: file.to_owned(),
            line: error.span().and_then(|span| {
                let before = text.get(..span.start)?;
                Some(before.matches('\n').count() + 1)
            }),
            message: error.message().replace('\n', ": "),
        })?;
        self.take_section(file, &text, "", dict);
        Ok(())
    }

    fn take_section(&mut self, file: &Path, text: &str, section: &str, dict: Dict) {
        for (name, value) in dict {
            let key = join(section, &name);
            let origin = Origin::File(file.to_owned(), line_of(text, &key));
            let plain = !name.contains('.');
            let is_section = plain && self.keys.is_section(&key);
            if plain && self.keys.is_leaf(&key) {
                self.values.insert(key, (value, origin));
            } else if let Value::Dict(_, inner) = value {
                if is_section {
                    self.take_section(file, text, &key, inner);
                } else {
                    let message = unknown(self.keys.nearest(&key, true));
                    self.refuse(&key, origin, message);
                }
            } else if is_section {
                self.refuse(&key, origin, "is a section: it takes keys, not a value");
            } else {
                let message = unknown(self.keys.nearest(&key, false));
                self.refuse(&key, origin, message);
            }
        }
    }

    fn read_environment(&mut self, env: BTreeMap<String, String>) {
        for (name, key) in short_names() {
            if let Some(text) = env.get(name) {
                self.take_text(key, name, text);
            }
        }
        for (name, text) in &env {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = rest.replace("__", ".").to_lowercase();
            if self.keys.is_leaf(&key) && long_name(&key) == *name {
                self.take_text(&key, name, text);
                continue;
            }
            let message = if self.keys.is_section(&key) {
                "is a section: name one of its keys".to_owned()
            } else {
                unknown(self.keys.nearest(&key, false).map(long_name).as_deref())
            };
            self.refuse(&key, Origin::Environment(name.clone()), message);
        }
        if env.contains_key("PORT") && !self.values.contains_key("server.bind") {
            self.take_text("server.bind", "PORT", "::");
        }
    }

    fn take_text(&mut self, key: &str, name: &str, text: &str) {
        if is_quoted(text) || text.split(',').any(is_quoted) {
            let origin = Origin::Environment(name.to_owned());
            self.refuse(
                key,
                origin,
                "stands in quotation marks, which are part of the value: an env file is read without a shell, so leave them out",
            );
            return;
        }
        let value = self.keys.value_from_text(key, text);
        let origin = Origin::Environment(name.to_owned());
        self.values.insert(key.to_owned(), (value, origin));
    }

    /// With another API than Agora's own, the fallbacks default to empty, so that credentials go nowhere else.
    fn dependent_defaults(&mut self) {
        const FALLBACKS: &str = "agora.fallback_base_urls";
        if self.values.contains_key(FALLBACKS) {
            return;
        }
        if let Some((Value::String(_, base), origin)) = self.values.get("agora.api_base_url")
            && !is_agoras_own(base)
        {
            let none = (Value::from(Vec::<String>::new()), origin.clone());
            self.values.insert(FALLBACKS.to_owned(), none);
        }
    }

    fn finish(mut self) -> Result<Settings, SettingsError> {
        // Each key alone: serde would report the first error only.
        let mut good = Dict::new();
        for (key, (value, origin)) in &self.values {
            let alone = nest(key, value.clone());
            match Settings::deserialize(&alone) {
                Ok(_) => put(&mut good, key, value.clone()),
                Err(error) => self.problems.push(SettingsProblem {
                    key: key.clone(),
                    origin: Some(origin.clone()),
                    message: expectation(&error.kind, value),
                }),
            }
        }
        let settings = Settings::deserialize(&Value::from(good)).unwrap_or_default();
        if let Err(SettingsError::Refused { problems }) = settings.validate() {
            self.problems.extend(problems.into_iter().map(|problem| {
                SettingsProblem {
                    origin: self
                        .values
                        .get(&problem.key)
                        .map(|(_, origin)| origin.clone()),
                    ..problem
                }
            }));
        }
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            self.problems.sort_by(|a, b| a.key.cmp(&b.key));
            Err(SettingsError::Refused {
                problems: self.problems,
            })
        }
    }

    fn refuse(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
        self.problems.push(SettingsProblem {
            key: key.to_owned(),
            origin: Some(origin),
            message: message.into(),
        });
    }
}

fn unknown(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "is not a setting".to_owned(),
        |nearest| format!("is not a setting; the nearest is {nearest}"),
    )
}

fn put(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = dict
                .entry(section.to_owned())
                .or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The message for a wrong type. Omits the value, which may be a secret.
fn expectation(kind: &Kind, value: &Value) -> String {
    let expected = if let Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) = kind {
        match expected.as_str() {
            "a duration" => "a duration such as \"5s\", \"200ms\" or \"2m\"".to_owned(),
            "u16" => format!("a whole number from 0 to {}", u16::MAX),
            "u32" => format!("a whole number from 0 to {}", u32::MAX),
            "f64" => "a number".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a sequence" => "a list".to_owned(),
            other => other.to_owned(),
        }
    } else if let Kind::UnknownVariant(_, variants) = kind {
        format!("one of {}", variants.join(", "))
    } else {
        "another value".to_owned()
    };
    if value.as_str().is_some_and(|text| text.trim().is_empty()) {
        format!("must be {expected}, but is empty")
    } else {
        format!("must be {expected}")
    }
}

/// The line, counted from 1, that probably sets `key`.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut section = String::new();
    let mut found = None;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let here = if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next()?.trim().to_owned();
            section.clone()
        } else if let Some((name, _)) = line.split_once('=') {
            join(&section, name.trim().trim_matches('"'))
        } else {
            continue;
        };
        if here == key {
            return Some(number);
        }
        // Fallback for a key of an inline table or nested header: its closest parent.
        if key
            .strip_prefix(here.as_str())
            .is_some_and(|rest| rest.starts_with('.'))
        {
            found = Some(number);
        }
    }
    found
}

fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 2
        && ['"', '\'']
            .iter()
            .any(|tag| text.starts_with(*tag) && text.ends_with(*tag))
}

/// Whether `base` is one of Agora's hosts (`agora.md §1.2`).
fn is_agoras_own(base: &str) -> bool {
    url::Url::parse(base).is_ok_and(|url| {
        url.host_str()
            .is_some_and(|host| host.ends_with(".agora.io") || host.ends_with(".sd-rtn.com"))
    })
}

pub(super) fn durations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Duration>, D::Error> {
    let list = Vec::<humantime_serde::Serde<Duration>>::deserialize(deserializer)?;
    Ok(list
        .into_iter()
        .map(humantime_serde::Serde::into_inner)
        .collect())
}

pub(super) fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = String::deserialize(deserializer)?;
    Ok(url.trim_end_matches('/').to_owned())
}

pub(super) fn base_urls<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let urls = Vec::<String>::deserialize(deserializer)?;
    Ok(urls
        .iter()
        .map(|url| url.trim_end_matches('/').to_owned())
        .collect())
}
