//! `/trpc`: three queries in tRPC 11's HTTP protocol, for a stock `@trpc/client` without a transformer (`docs/trpc.md`).
//!
//! A batch is answered as an array, or with `trpc-accept: application/jsonl` as JSON lines, each call when it is done. All
//! errors, also of authentication, use tRPC's envelope.

mod call;
mod envelope;
mod procedures;

use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderMap, HeaderName, VARY, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};

use super::Api;
use super::auth::{self, Scope};
use super::problem::Problem;
use super::routes::Routes;
use call::{CallBatch, ProcedureCall};
use envelope::{CallAnswer, TrpcError};

const TRPC_ACCEPT: HeaderName = HeaderName::from_static("trpc-accept");
const JSON_LINES: &str = "application/jsonl";
const CONCURRENT_CALLS: usize = 8;

/// Not in the OpenAPI document.
pub(super) fn routes(routes: &mut Routes<'_>) {
    let all = web::resource("/trpc/{calls:.*}").default_service(web::to(trpc));
    routes.service(&[], all);
}

async fn trpc(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let streams = accepts_json_lines(request.headers());
    let mut batch = match CallBatch::read(&path, request.query_string()) {
        Ok(batch) => batch,
        Err(error) => return Ok(whole(&CallAnswer::refusal(&error))),
    };
    if let Err(problem) = auth::admit(&api, request.headers(), Scope::Api) {
        return Ok(unauthorized(&batch, streams, &problem));
    }
    auth::note_token(&request);
    if streams && !batch.is_batch {
        let error = TrpcError::bad_request("JSON lines are for batches: a batch may hold one call");
        return Ok(whole(&CallAnswer::refusal(&error)));
    }
    if !is_read(request.method()) {
        return Ok(not_a_query(&batch, request.method()));
    }
    batch.read_inputs(request.query_string());
    let count = batch.calls.len();
    let answers = answers(api, std::mem::take(&mut batch.calls));
    if streams {
        let lines = envelope::head(count);
        let chunks = answers.map(|(place, answer)| envelope::chunk(place, &answer));
        let lines = stream::once(async { lines })
            .chain(chunks)
            .map(|line| Ok::<_, actix_web::Error>(web::Bytes::from(line)));
        return Ok(json(&mut HttpResponse::Ok()).streaming(Box::pin(lines)));
    }
    let mut answers: Vec<(usize, CallAnswer)> = answers.collect().await;
    answers.sort_by_key(|(place, _)| *place);
    let answers: Vec<CallAnswer> = answers.into_iter().map(|(_, answer)| answer).collect();
    Ok(answered(&batch, &answers))
}

/// In the order of completion, each with its index.
fn answers(
    api: web::Data<Api>,
    calls: Vec<ProcedureCall>,
) -> impl Stream<Item = (usize, CallAnswer)> {
    stream::iter(calls.into_iter().enumerate())
        .map(move |(place, call)| {
            let api = api.clone();
            async move {
                let answer = procedures::answer(&api, &call).await;
                (place, CallAnswer::of(answer, &call.path))
            }
        })
        .buffer_unordered(CONCURRENT_CALLS)
}

fn accepts_json_lines(headers: &HeaderMap) -> bool {
    let header = headers.get(TRPC_ACCEPT).or_else(|| headers.get(ACCEPT));
    let header = header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    header.split(',').any(|kind| kind.trim() == JSON_LINES)
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

pub(super) fn refusal(problem: &Problem) -> HttpResponse {
    whole(&CallAnswer::refusal(&TrpcError::from(problem)))
}

/// A client that expects JSON lines reads an error as one object.
fn unauthorized(batch: &CallBatch, streams: bool, problem: &Problem) -> HttpResponse {
    let all = batch.all(|_| TrpcError::from(problem));
    let mut answer = match all.first().filter(|_| streams) {
        Some(first) => whole(first),
        None => answered(batch, &all),
    };
    if let Some(challenge) = problem.challenge().and_then(|text| text.parse().ok()) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn not_a_query(batch: &CallBatch, method: &Method) -> HttpResponse {
    let all = batch.all(|call| match call.procedure {
        Some(_) => TrpcError::method_not_supported(method.as_str(), &call.path),
        None => TrpcError::no_procedure(&call.path),
    });
    let mut answer = answered(batch, &all);
    if let Ok(allow) = "GET, HEAD".parse() {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

fn answered(batch: &CallBatch, answers: &[CallAnswer]) -> HttpResponse {
    match answers {
        [only] if !batch.is_batch => whole(only),
        answers => {
            json(&mut HttpResponse::build(envelope::status(answers))).body(envelope::array(answers))
        }
    }
}

fn whole(answer: &CallAnswer) -> HttpResponse {
    json(&mut HttpResponse::build(envelope::status([answer]))).body(answer.to_json())
}

fn json(answer: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    answer
        .content_type("application/json")
        .insert_header((VARY, "trpc-accept, accept"))
}
