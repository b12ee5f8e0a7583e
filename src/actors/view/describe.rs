//! The closed lists of words in a relay, as the OpenAPI document shows them: they are those of the life cycle itself.

use strum::IntoEnumIterator;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, SchemaType, Type};

use crate::relay::{OutcomeCode, Phase, RecordingState, RelayStatus, Source};

/// One of these.
pub(crate) fn one_of<W: ToString>(words: impl IntoIterator<Item = W>) -> Object {
    let words = words.into_iter().map(|word| word.to_string());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

/// One of these, or null.
pub(crate) fn nullable(mut words: Object) -> Object {
    words.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
    if let Some(words) = &mut words.enum_values {
        words.push(serde_json::Value::Null);
    }
    words
}

fn with_description(mut words: Object, description: &str) -> Object {
    words.description = Some(description.to_owned());
    words
}

pub(crate) fn phase() -> Object {
    with_description(one_of(Phase::iter()), "Where the relay is in its life.")
}

pub(crate) fn relay_status() -> Object {
    with_description(
        one_of(RelayStatus::iter()),
        "The phase in fewer words; from `stopping` on, how it ended.",
    )
}

pub(super) fn backend() -> Object {
    let words = ["cloud_recording", "media_push"];
    with_description(one_of(words), "Which of Agora's products carries it.")
}

pub(super) fn recording_state() -> Object {
    with_description(one_of(RecordingState::iter()), "Whether it can be watched.")
}

pub(super) fn outcome_code() -> Object {
    with_description(one_of(OutcomeCode::iter()), "For machines: a closed list.")
}

pub(super) fn cost_source() -> Object {
    with_description(
        one_of(Source::iter()),
        "Where the duration comes from: the recordings, or, where a recording or its length is unknown and this is more, the time it was live as observed.",
    )
}

/// What was last seen, as far as it helps to explain the end.
pub(super) fn detail() -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let failure = ObjectBuilder::new()
        .description(Some("The vendor's failure, with its own words."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    ObjectBuilder::new()
        .description(Some(
            "What is known about the reason; empty when there is nothing to explain.",
        ))
        .property("failure", failure)
        .property(
            "seller",
            text().description(Some("What was seen of the seller last.")),
        )
        .property(
            "recorder",
            text().description(Some("What was seen of the egress last.")),
        )
        .property(
            "feed",
            text().description(Some("What was seen of the feed last.")),
        )
        .property(
            "untried",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .description(Some(
                    "True: no vendor was asked to make anything, and the start's idempotency key is free again.",
                )),
        )
        .build()
}
