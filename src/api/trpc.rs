//! `/trpc`: three queries for a TypeScript marketplace, in tRPC 11's HTTP protocol, so that a stock `@trpc/client` calls them
//! (`docs/trpc.md`). No transformer: what goes over the wire is plain JSON.
//!
//! A batch is answered as an array when all is known; with `trpc-accept: application/jsonl` as JSON lines, each call as
//! soon as it is known. Errors come in tRPC's envelope, those about tokens too.

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
use call::{Asked, Call};
use envelope::{Answer, TrpcError};

/// Asks for JSON lines, as does `Accept`.
const TRPC_ACCEPT: HeaderName = HeaderName::from_static("trpc-accept");
const JSON_LINES: &str = "application/jsonl";
/// Calls of a batch that are carried out at the same time.
const AT_ONCE: usize = 8;

/// The route: whatever is behind `/trpc/` names calls. The OpenAPI document does not have it: clients of tRPC do not read one.
pub(super) fn routes(routes: &mut Routes<'_>) {
    let all = web::resource("/trpc/{calls:.*}").default_service(web::to(trpc));
    routes.service(&[], all);
}

async fn trpc(
    request: HttpRequest,
    path: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let streams = wants_lines(request.headers());
    let mut asked = match Asked::read(&path, request.query_string()) {
        Ok(asked) => asked,
        Err(error) => return Ok(whole(&Answer::refusal(&error))),
    };
    if let Err(problem) = auth::admit(&api, request.headers(), Scope::Api) {
        return Ok(refused(&asked, streams, &problem));
    }
    auth::note_token(&request);
    if streams && !asked.is_batch {
        let error = TrpcError::bad_request("JSON lines are for batches: a batch may hold one call");
        return Ok(whole(&Answer::refusal(&error)));
    }
    if !reads(request.method()) {
        return Ok(not_a_query(&asked, request.method()));
    }
    asked.read_inputs(request.query_string());
    let count = asked.calls.len();
    let answers = answers(api, std::mem::take(&mut asked.calls));
    if streams {
        let lines = envelope::head(count);
        let chunks = answers.map(|(place, answer)| envelope::chunk(place, &answer));
        let lines = stream::once(async { lines })
            .chain(chunks)
            .map(|line| Ok::<_, actix_web::Error>(web::Bytes::from(line)));
        return Ok(json(&mut HttpResponse::Ok()).streaming(Box::pin(lines)));
    }
    let mut answers: Vec<(usize, Answer)> = answers.collect().await;
    answers.sort_by_key(|(place, _)| *place);
    let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
    Ok(answered(&asked, &answers))
}

/// All calls, each with its place, as they are done.
fn answers(api: web::Data<Api>, calls: Vec<Call>) -> impl Stream<Item = (usize, Answer)> {
    stream::iter(calls.into_iter().enumerate())
        .map(move |(place, call)| {
            let api = api.clone();
            async move {
                let answer = procedures::answer(&api, &call).await;
                (place, Answer::of(answer, &call.path))
            }
        })
        .buffer_unordered(AT_ONCE)
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let header = headers.get(TRPC_ACCEPT).or_else(|| headers.get(ACCEPT));
    let header = header
        .and_then(|header| header.to_str().ok())
        .unwrap_or_default();
    header.split(',').any(|kind| kind.trim() == JSON_LINES)
}

fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// What keeps a request from being looked at, as the whole answer.
pub(super) fn refusal(problem: &Problem) -> HttpResponse {
    whole(&Answer::refusal(&TrpcError::from(problem)))
}

/// Nobody gets as far as a procedure. A client that waits for lines reads a refusal as one object.
fn refused(asked: &Asked, streams: bool, problem: &Problem) -> HttpResponse {
    let all = asked.all(|_| TrpcError::from(problem));
    let mut answer = match all.first().filter(|_| streams) {
        Some(first) => whole(first),
        None => answered(asked, &all),
    };
    if let Some(challenge) = problem.challenge().and_then(|text| text.parse().ok()) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

/// All procedures are queries: they are read.
fn not_a_query(asked: &Asked, method: &Method) -> HttpResponse {
    let all = asked.all(|call| match call.procedure {
        Some(_) => TrpcError::method_not_supported(method.as_str(), &call.path),
        None => TrpcError::no_procedure(&call.path),
    });
    let mut answer = answered(asked, &all);
    if let Ok(allow) = "GET, HEAD".parse() {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

fn answered(asked: &Asked, answers: &[Answer]) -> HttpResponse {
    match answers {
        [only] if !asked.is_batch => whole(only),
        answers => {
            json(&mut HttpResponse::build(envelope::status(answers))).body(envelope::array(answers))
        }
    }
}

/// One envelope as the whole answer.
fn whole(answer: &Answer) -> HttpResponse {
    json(&mut HttpResponse::build(envelope::status([answer]))).body(answer.to_json())
}

fn json(answer: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    answer
        .content_type("application/json")
        .insert_header((VARY, "trpc-accept, accept"))
}
