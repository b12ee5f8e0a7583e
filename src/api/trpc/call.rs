//! What a request to `/trpc/…` asks for: one call, or a batch of them.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::envelope::{Answer, TrpcError};
use crate::api::strict_json;

/// The most calls of a batch.
const LARGEST_BATCH: usize = 100;

/// The queries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
pub(super) enum Procedure {
    /// Where a channel is watched.
    #[strum(serialize = "streaming.getPlaybackUrl")]
    GetPlaybackUrl,
    /// Whether a channel is live.
    #[strum(serialize = "streaming.getStreamStatus")]
    GetStreamStatus,
    /// Whether the service is well.
    #[strum(serialize = "streaming.healthCheck")]
    HealthCheck,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    /// The procedure's name as the caller wrote it.
    pub(super) path: String,
    /// None when there is no such procedure.
    pub(super) procedure: Option<Procedure>,
    /// None when there is none; an error when nobody can read it, which only matters to a procedure that wants one.
    pub(super) input: Result<Option<Value>, TrpcError>,
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) is_batch: bool,
    /// One at least.
    pub(super) calls: Vec<Call>,
}

impl Asked {
    /// Reads the path behind `/trpc/`, and whether it names several calls; see [`Asked::read_inputs`].
    ///
    /// # Errors
    /// When `batch` is anything but 1, and when there are too many calls.
    pub(super) fn read(path: &str, query: &str) -> Result<Self, TrpcError> {
        let is_batch = match parameter(query, "batch").as_deref() {
            None | Some("") => false,
            Some("1") => true,
            Some(_) => return Err(TrpcError::bad_request("\"batch\" is 1, or left out")),
        };
        let paths: Vec<&str> = if is_batch {
            path.split(',').collect()
        } else {
            vec![path]
        };
        if paths.len() > LARGEST_BATCH {
            let message = format!("a batch may hold {LARGEST_BATCH} calls at most");
            return Err(TrpcError::bad_request(message));
        }
        let call = |path: &str| Call {
            path: path.to_owned(),
            procedure: path.parse().ok(),
            input: Ok(None),
        };
        Ok(Self {
            is_batch,
            calls: paths.into_iter().map(call).collect(),
        })
    }

    /// Reads the calls' inputs out of the query. Only a caller with a token makes us do this work.
    pub(super) fn read_inputs(&mut self, query: &str) {
        let given = parameter(query, "input").filter(|input| !input.is_empty());
        let input = given.map(|input| strict_json::read(input.as_bytes()));
        let input = input
            .transpose()
            .map_err(|error| TrpcError::bad_request(format!("\"input\" is not JSON: {error}")));
        let mut inputs = if self.is_batch {
            input.and_then(by_place)
        } else {
            input.map(Inputs::One)
        };
        for (place, call) in self.calls.iter_mut().enumerate() {
            call.input = match &mut inputs {
                Ok(inputs) => Ok(inputs.take(place)),
                Err(error) => Err(error.clone()),
            };
        }
    }

    /// The same kind of error for each call.
    pub(super) fn all(&self, error: impl Fn(&Call) -> TrpcError) -> Vec<Answer> {
        self.calls
            .iter()
            .map(|call| Answer::of(Err(error(call)), &call.path))
            .collect()
    }
}

/// The first value of a parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.into_owned())
}

enum Inputs {
    One(Option<Value>),
    ByPlace(Map<String, Value>),
}

impl Inputs {
    fn take(&mut self, place: usize) -> Option<Value> {
        match self {
            Self::One(input) => input.take(),
            Self::ByPlace(inputs) => inputs.remove(&place.to_string()),
        }
    }
}

fn by_place(input: Option<Value>) -> Result<Inputs, TrpcError> {
    match input {
        None | Some(Value::Null) => Ok(Inputs::ByPlace(Map::new())),
        Some(Value::Object(inputs)) => Ok(Inputs::ByPlace(inputs)),
        Some(_) => Err(TrpcError::bad_request(
            "\"input\" of a batch is an object: {\"0\": …, \"1\": …}",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(path: &str, query: &str) -> Asked {
        let mut asked = Asked::read(path, query).unwrap();
        asked.read_inputs(query);
        asked
    }

    fn inputs(path: &str, query: &str) -> Vec<Option<Value>> {
        let asked = read(path, query);
        asked
            .calls
            .into_iter()
            .map(|call| call.input.unwrap())
            .collect()
    }

    #[test]
    fn an_input_with_a_key_given_twice_is_refused() {
        let query = "input=%7B%22channelId%22:1,%22channelId%22:2%7D";
        let asked = read("streaming.getStreamStatus", query);
        assert!(asked.calls[0].input.is_err());
    }

    #[test]
    fn a_batch_names_its_calls_by_comma_and_their_inputs_by_place() {
        let query = "batch=1&input=%7B%221%22%3A%7B%22channelId%22%3A7%7D%7D";
        let asked = Asked::read("streaming.healthCheck,streaming.getStreamStatus", query).unwrap();
        assert!(asked.is_batch);
        let procedures: Vec<_> = asked.calls.iter().map(|call| call.procedure).collect();
        assert_eq!(
            procedures,
            [
                Some(Procedure::HealthCheck),
                Some(Procedure::GetStreamStatus)
            ]
        );
        assert_eq!(inputs("a,b", query), [None, Some(json!({"channelId": 7}))]);
    }

    #[test]
    fn without_batch_a_comma_is_part_of_a_name_nobody_has() {
        let asked = Asked::read("streaming.healthCheck,streaming.healthCheck", "").unwrap();
        assert_eq!((asked.calls.len(), asked.calls[0].procedure), (1, None));
    }

    #[test]
    fn an_input_nobody_can_read_fails_only_who_reads_it() {
        let asked = read("a,b", "batch=1&input=%7B");
        assert!(asked.calls.iter().all(|call| call.input.is_err()));
        let asked = read("a", "batch=1&input=[]");
        assert!(asked.calls[0].input.is_err());
        assert_eq!(inputs("a", "batch=&input="), [None]);
        assert_eq!(inputs("a", "batch=1&input=null"), [None]);
    }

    #[test]
    fn a_batch_has_an_end() {
        assert!(Asked::read(&vec!["a"; 100].join(","), "batch=1").is_ok());
        assert!(Asked::read(&vec!["a"; 101].join(","), "batch=1").is_err());
        assert!(Asked::read("a", "batch=true").is_err());
    }
}
