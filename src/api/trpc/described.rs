//! tRPC's envelopes as the OpenAPI document shows them. Nothing here is made or read: [`super::envelope`] writes them.
#![allow(dead_code, reason = "described only")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Content, Ref, RefOr};
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// The input of a query about a channel.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChannelInput {
    /// JSON: `{"channelId": 42}`.
    #[param(example = "{\"channelId\":42}")]
    input: String,
}

/// Which calls.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct BatchPath {
    /// Up to 100 names, by comma.
    #[param(
        example = "streaming.healthCheck,streaming.getStreamStatus",
        pattern = r"^streaming\.(getPlaybackUrl|getStreamStatus|healthCheck)(,streaming\.(getPlaybackUrl|getStreamStatus|healthCheck)){1,9}$"
    )]
    calls: String,
}

/// Their inputs.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BatchInput {
    /// Always 1.
    #[param(schema_with = one)]
    batch: String,
    /// JSON: an object that holds each call's input by its place, `{"1": {"channelId": 42}}`.
    #[param(example = "{\"1\":{\"channelId\":42}}")]
    input: Option<String>,
}

fn one() -> utoipa::openapi::schema::Object {
    crate::actors::view::words::one_of(["1"])
}

/// How the caller wants its answers.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Accept {
    /// `application/jsonl` asks for JSON lines; only a batch is answered so.
    #[param(rename = "trpc-accept")]
    accept: Option<String>,
}

/// An answer to `getPlaybackUrl`.
#[derive(ToSchema)]
#[schema(as = TrpcPlaybackUrl)]
pub(super) struct PlaybackUrl {
    #[schema(inline)]
    result: PlaybackUrlResult,
}

#[derive(ToSchema)]
struct PlaybackUrlResult {
    #[schema(inline)]
    data: Url,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Url {
    /// Where it is watched over HLS.
    hls_url: String,
}

/// An answer to `getStreamStatus`.
#[derive(ToSchema)]
#[schema(as = TrpcStreamStatus)]
pub(super) struct StreamStatus {
    #[schema(inline)]
    result: StreamStatusResult,
}

#[derive(ToSchema)]
struct StreamStatusResult {
    #[schema(inline)]
    data: Status,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Status {
    is_live: bool,
    /// The broadcast on air, else the last recording, else null.
    hls_url: Option<String>,
    duration_seconds: u64,
    /// A recording of any relay of the channel is ready.
    recording_available: bool,
}

/// An answer to `healthCheck`.
#[derive(ToSchema)]
#[schema(as = TrpcHealthCheck)]
pub(super) struct HealthCheck {
    #[schema(inline)]
    result: HealthCheckResult,
}

#[derive(ToSchema)]
struct HealthCheckResult {
    #[schema(inline)]
    data: Health,
}

#[derive(ToSchema)]
struct Health {
    healthy: bool,
}

/// A call's answer in a batch: one of the two is there.
#[derive(ToSchema)]
#[schema(as = TrpcOutcome)]
pub(super) struct Outcome {
    /// What is in its `data` is the procedure's.
    #[schema(nullable = false)]
    result: Option<serde_json::Value>,
    #[schema(nullable = false)]
    error: Option<FailureShape>,
}

/// tRPC's error.
#[derive(Serialize, ToSchema)]
#[schema(as = TrpcFailure)]
pub(super) struct Failure {
    error: FailureShape,
}

/// Why a call failed.
#[derive(Serialize, ToSchema)]
#[schema(as = TrpcError)]
pub(super) struct FailureShape {
    /// For people; about an input, a JSON list of issues as zod writes them.
    message: String,
    /// JSON-RPC's number.
    code: i32,
    #[schema(inline)]
    data: FailureData,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FailureData {
    /// tRPC's name: `BAD_REQUEST`, `UNAUTHORIZED`, `NOT_FOUND`, `METHOD_NOT_SUPPORTED`, ….
    code: String,
    http_status: u16,
    /// The procedure; left out when the error is about the whole request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    path: Option<String>,
}

/// One for each call, or one about the whole request.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = TrpcFailures)]
pub(super) enum Failures {
    /// One for each call.
    All(Vec<Failure>),
    /// About the whole request.
    One(Failure),
}

/// How a single query is refused.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let all = [
            ("400", "`BAD_REQUEST`: the input is wrong."),
            ("401", "`UNAUTHORIZED`: no token, or one that is not known."),
            (
                "404",
                "`NOT_FOUND`: there is nothing to play, or no such procedure.",
            ),
            ("429", "`TOO_MANY_REQUESTS`: by this caller."),
            ("500", "`INTERNAL_SERVER_ERROR`: a fault of ours."),
            (
                "503",
                "`SERVICE_UNAVAILABLE`: the database does not answer.",
            ),
        ];
        let content = || Content::new(Some(Ref::from_schema_name("TrpcFailure")));
        all.into_iter()
            .map(|(status, description)| {
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/json", content());
                (status.to_owned(), response.build().into())
            })
            .collect()
    }
}
