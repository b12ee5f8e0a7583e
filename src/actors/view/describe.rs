//! Schemas of a relay's closed lists for the OpenAPI document, derived from the core's enums.

use strum::{IntoEnumIterator, VariantNames as _};
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, SchemaType, Type};

use crate::egresses;
use crate::relay::{IngestOwner, Latency, OutcomeCode, Phase, RecordingState, RelayStatus, Source};

pub(crate) fn one_of<W: ToString>(words: impl IntoIterator<Item = W>) -> Object {
    let words = words.into_iter().map(|word| word.to_string());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .build()
}

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
    with_description(one_of(Phase::iter()), "The relay's phase.")
}

pub(crate) fn ingest_owner() -> Object {
    with_description(
        one_of(IngestOwner::VARIANTS),
        "Whose the ingest is: `relay` makes and removes its own, `channel` keeps one for all its relays.",
    )
}

pub(crate) fn latency() -> Object {
    with_description(
        one_of(Latency::VARIANTS),
        "How far buyers are behind the seller: `low` is as near as the platform comes.",
    )
}

pub(crate) fn relay_status() -> Object {
    with_description(
        one_of(RelayStatus::iter()),
        "A summary of the phase; from `stopping` on, how the relay ended.",
    )
}

pub(super) fn backend() -> Object {
    with_description(
        one_of(egresses::NAMES),
        "The Agora product that runs the egress.",
    )
}

pub(super) fn recording_state() -> Object {
    with_description(one_of(RecordingState::iter()), "Whether it can be watched.")
}

pub(super) fn outcome_code() -> Object {
    with_description(
        one_of(OutcomeCode::iter()),
        "The outcome's code, from a closed list.",
    )
}

pub(super) fn cost_source() -> Object {
    with_description(
        one_of(Source::iter()),
        "The source of the duration: the recordings, or the observed live time if that is longer and a recording or its length is unknown.",
    )
}

pub(super) fn detail() -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let failure = ObjectBuilder::new()
        .description(Some("The vendor's failure, with its message."))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    ObjectBuilder::new()
        .description(Some(
            "Details of the reason; empty if there are none.",
        ))
        .property("failure", failure)
        .property(
            "seller",
            text().description(Some("The seller's last known presence.")),
        )
        .property(
            "recorder",
            text().description(Some("The egress's last known state.")),
        )
        .property(
            "feed",
            text().description(Some("The feed's last known state.")),
        )
        .property(
            "untried",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .description(Some(
                    "True if no vendor was asked to create anything; the start's idempotency key is free again.",
                )),
        )
        .build()
}
