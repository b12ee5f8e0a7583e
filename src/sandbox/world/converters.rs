//! Media Push converters: state, notifications, end (`agora.md §4.7, §4.8`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{World, WorldState};

pub(in crate::sandbox) struct SimConverter {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) name: String,
    pub(in crate::sandbox) region: String,
    pub(in crate::sandbox) channel: String,
    pub(in crate::sandbox) uids: Vec<u32>,
    pub(in crate::sandbox) raw: bool,
    pub(in crate::sandbox) full_hd: bool,
    pub(in crate::sandbox) rtmp_url: String,
    pub(in crate::sandbox) idle_timeout: u64,
    pub(in crate::sandbox) options: Value,
    pub(in crate::sandbox) created: i64,
    pub(in crate::sandbox) updated: i64,
    pub(in crate::sandbox) push_at: Duration,
    /// Since then none of its sellers is present.
    pub(in crate::sandbox) idle_since: Option<Duration>,
    /// `connecting`, `running`, `failed`
    pub(in crate::sandbox) state: &'static str,
    pub(in crate::sandbox) connection: Option<u64>,
    pub(in crate::sandbox) destroyed: bool,
    /// The end of a fail-over, during which calls do not find it.
    pub(in crate::sandbox) away_until: Option<Duration>,
    pub(in crate::sandbox) drop_until: Option<Duration>,
    pub(in crate::sandbox) sequence: Option<i64>,
    pub(in crate::sandbox) wake: watch::Sender<u64>,
}

impl SimConverter {
    pub(in crate::sandbox) fn is_destroyed(&self) -> bool {
        self.destroyed
    }

    pub(in crate::sandbox) fn reachable(&self) -> bool {
        !self.destroyed && self.away_until.is_none()
    }

    pub(in crate::sandbox) fn nudge(&self) {
        self.wake.send_modify(|count| *count += 1);
    }

    pub(in crate::sandbox) fn brief(&self) -> Value {
        json!({"id": self.id, "createTs": self.created, "updateTs": self.updated, "state": self.state})
    }

    pub(in crate::sandbox) fn settings(&self) -> Value {
        let options = if self.raw {
            "rawOptions"
        } else {
            "transcodeOptions"
        };
        json!({"name": self.name, "rtmpUrl": self.rtmp_url, "idleTimeout": self.idle_timeout, options: self.options})
    }

    /// GET returns no id, and `idleTimeout` as a string; state and times are in one example only.
    pub(in crate::sandbox) fn answer(&self, with_state: bool) -> Value {
        let mut body = self.settings();
        if let Some(body) = body.as_object_mut() {
            body.insert(
                "idleTimeout".to_owned(),
                json!(self.idle_timeout.to_string()),
            );
            if with_state {
                body.insert("createTs".to_owned(), json!(self.created));
                body.insert("updateTs".to_owned(), json!(self.updated));
                body.insert("state".to_owned(), json!(self.state));
            }
        }
        body
    }

    fn whole(&self) -> Value {
        let mut body = self.brief();
        if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), self.settings()) {
            body.extend(settings);
        }
        body
    }
}

/// Events 1 to 4 (`agora.md §6.6`).
pub(in crate::sandbox) enum ConverterEvent<'a> {
    /// `request`: the call's `X-Request-ID`.
    Created {
        request: &'a str,
    },
    Updated {
        request: &'a str,
        fields: &'a str,
    },
    StateChanged,
    Destroyed {
        reason: &'a str,
    },
}

pub(in crate::sandbox) const BRIEF: &str = "id,createTs,updateTs,state";

fn put(body: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(body) = body.as_object_mut() else {
        return;
    };
    if rest.is_empty() {
        body.insert(first.to_owned(), value);
    } else {
        put(body.entry(first).or_insert_with(|| json!({})), rest, value);
    }
}

/// Converters, with an index for the checks of a creation.
#[derive(Default)]
pub(in crate::sandbox) struct Converters {
    all: BTreeMap<String, SimConverter>,
    /// Ids by name, without destroyed converters, as in the counts.
    named: HashMap<String, String>,
    count: usize,
    full_hd: usize,
}

impl Converters {
    pub(in crate::sandbox) fn get(&self, id: &str) -> Option<&SimConverter> {
        self.all.get(id)
    }

    pub(in crate::sandbox) fn get_mut(&mut self, id: &str) -> Option<&mut SimConverter> {
        self.all.get_mut(id)
    }

    /// Includes destroyed ones.
    pub(in crate::sandbox) fn values(&self) -> impl Iterator<Item = &SimConverter> {
        self.all.values()
    }

    pub(in crate::sandbox) fn named(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    pub(in crate::sandbox) fn count(&self) -> usize {
        self.count
    }

    pub(in crate::sandbox) fn full_hd(&self) -> usize {
        self.full_hd
    }

    pub(in crate::sandbox) fn insert(&mut self, converter: SimConverter) {
        self.count += 1;
        self.full_hd += usize::from(converter.full_hd);
        if !converter.name.is_empty() {
            self.named
                .insert(converter.name.clone(), converter.id.clone());
        }
        self.all.insert(converter.id.clone(), converter);
    }

    pub(in crate::sandbox) fn destroy(&mut self, id: &str) -> Option<&mut SimConverter> {
        let converter = self.all.get_mut(id).filter(|one| !one.destroyed)?;
        converter.destroyed = true;
        self.named.remove(&converter.name);
        self.count -= 1;
        self.full_hd -= usize::from(converter.full_hd);
        Some(converter)
    }
}

impl WorldState {
    pub(in crate::sandbox) fn converter_notice(&mut self, id: &str, event: &ConverterEvent<'_>) {
        let Some(converter) = self.converters.get(id) else {
            return;
        };
        let lts = Utc::now().timestamp();
        let (number, payload) = match event {
            ConverterEvent::Created { request } => (
                1,
                json!({"converter": converter.whole(), "lts": lts, "xRequestId": request}),
            ),
            ConverterEvent::Updated { request, fields } => {
                let (mut changed, settings) = (converter.brief(), converter.settings());
                for field in fields.split(',') {
                    let pointer = format!("/{}", field.replace('.', "/"));
                    if let Some(value) = settings.pointer(&pointer) {
                        put(&mut changed, field, value.clone());
                    }
                }
                (
                    2,
                    json!({"converter": changed, "lts": lts, "xRequestId": request, "fields": format!("{BRIEF},{fields}")}),
                )
            }
            ConverterEvent::StateChanged => (
                3,
                json!({"converter": converter.brief(), "lts": lts, "fields": BRIEF}),
            ),
            ConverterEvent::Destroyed { reason } => (
                4,
                json!({
                    "converter": {"id": converter.id, "name": converter.name, "createTs": converter.created, "updateTs": converter.updated},
                    "lts": lts, "destroyReason": reason, "fields": "id,name,createTs,updateTs",
                }),
            ),
        };
        self.agora_notice(5, number, payload);
    }

    pub(in crate::sandbox) fn set_converter(&mut self, id: &str, state: &'static str) {
        let Some(converter) = self
            .converters
            .get_mut(id)
            .filter(|converter| converter.state != state)
        else {
            return;
        };
        converter.state = state;
        converter.updated = Utc::now().timestamp();
        self.converter_notice(id, &ConverterEvent::StateChanged);
    }

    pub(in crate::sandbox) fn destroy_converter(
        &mut self,
        world: &World,
        now: Duration,
        id: &str,
        reason: &str,
    ) {
        let Some(converter) = self.converters.destroy(id) else {
            return;
        };
        let connection = converter.connection.take();
        converter.nudge();
        if let Some(connection) = connection {
            self.disconnect(world, now, connection);
        }
        self.converter_notice(id, &ConverterEvent::Destroyed { reason });
    }
}
