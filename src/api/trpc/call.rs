use serde_json::{Map, Value};
use url::form_urlencoded;

use super::envelope::{CallAnswer, TrpcError};
use crate::api::strict_json;

const LARGEST_BATCH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
pub(super) enum Procedure {
    #[strum(serialize = "streaming.getPlaybackUrl")]
    GetPlaybackUrl,
    #[strum(serialize = "streaming.getStreamStatus")]
    GetStreamStatus,
    #[strum(serialize = "streaming.healthCheck")]
    HealthCheck,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProcedureCall {
    /// As the caller wrote it.
    pub(super) path: String,
    /// `None` if the procedure does not exist.
    pub(super) procedure: Option<Procedure>,
    /// An unreadable input is an error only for procedures that take one.
    pub(super) input: Result<Option<Value>, TrpcError>,
}

#[derive(Debug, PartialEq)]
pub(super) struct CallBatch {
    pub(super) is_batch: bool,
    /// At least one.
    pub(super) calls: Vec<ProcedureCall>,
}

impl CallBatch {
    pub(super) fn read(path: &str, query: &str) -> Result<Self, TrpcError> {
        let is_batch = match parameter(query, "batch").as_deref() {
            None | Some("") => false,
            Some("1") => true,
            Some(_) => return Err(TrpcError::bad_request("\"batch\" must be 1 or absent")),
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
        let call = |path: &str| ProcedureCall {
            path: path.to_owned(),
            procedure: path.parse().ok(),
            input: Ok(None),
        };
        Ok(Self {
            is_batch,
            calls: paths.into_iter().map(call).collect(),
        })
    }

    /// Done only after authentication.
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

    pub(super) fn all(&self, error: impl Fn(&ProcedureCall) -> TrpcError) -> Vec<CallAnswer> {
        self.calls
            .iter()
            .map(|call| CallAnswer::of(Err(error(call)), &call.path))
            .collect()
    }
}

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

    fn read(path: &str, query: &str) -> CallBatch {
        let mut batch = CallBatch::read(path, query).unwrap();
        batch.read_inputs(query);
        batch
    }

    fn inputs(path: &str, query: &str) -> Vec<Option<Value>> {
        let batch = read(path, query);
        batch
            .calls
            .into_iter()
            .map(|call| call.input.unwrap())
            .collect()
    }

    #[test]
    fn an_input_with_a_key_given_twice_is_refused() {
        let query = "input=%7B%22channelId%22:1,%22channelId%22:2%7D";
        let batch = read("streaming.getStreamStatus", query);
        assert!(batch.calls[0].input.is_err());
    }

    #[test]
    fn a_batch_names_its_calls_by_comma_and_their_inputs_by_place() {
        let query = "batch=1&input=%7B%221%22%3A%7B%22channelId%22%3A7%7D%7D";
        let batch =
            CallBatch::read("streaming.healthCheck,streaming.getStreamStatus", query).unwrap();
        assert!(batch.is_batch);
        let procedures: Vec<_> = batch.calls.iter().map(|call| call.procedure).collect();
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
    fn without_batch_a_comma_is_part_of_an_unknown_name() {
        let batch = CallBatch::read("streaming.healthCheck,streaming.healthCheck", "").unwrap();
        assert_eq!((batch.calls.len(), batch.calls[0].procedure), (1, None));
    }

    #[test]
    fn an_unreadable_input_fails_only_procedures_that_take_one() {
        let batch = read("a,b", "batch=1&input=%7B");
        assert!(batch.calls.iter().all(|call| call.input.is_err()));
        let batch = read("a", "batch=1&input=[]");
        assert!(batch.calls[0].input.is_err());
        assert_eq!(inputs("a", "batch=&input="), [None]);
        assert_eq!(inputs("a", "batch=1&input=null"), [None]);
    }

    #[test]
    fn a_batch_has_an_end() {
        assert!(CallBatch::read(&vec!["a"; 100].join(","), "batch=1").is_ok());
        assert!(CallBatch::read(&vec!["a"; 101].join(","), "batch=1").is_err());
        assert!(CallBatch::read("a", "batch=true").is_err());
    }
}
