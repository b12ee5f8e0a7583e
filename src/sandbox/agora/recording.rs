//! Cloud Recording: acquire, query, update, stop (`agora.md §2, §3`).

use std::time::Duration;
use std::time::Instant;

use serde_json::{Value, json};

use super::super::http::{CallContext, SimResponse};
use super::super::world::{PushState, Resource, SimTask, TaskPhase};
use super::{body, check, refused};

/// After a stop another one answers 400/49 for this long, later 404.
const STOPPED_REMEMBERED: Duration = Duration::from_secs(30);
/// In bytes, in web mode: the stricter of two documents (the other says 1,024).
const MAX_CNAME: usize = 128;
/// A synchronous stop waits for the upload.
const SYNCHRONOUS_STOP_LATENCY: Duration = Duration::from_secs(3);

pub(super) fn acquire(cx: &mut CallContext<'_>) -> SimResponse {
    let body = match body(cx) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let (cname, uid, scene) = match read_acquire(&body) {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    if cx.state.tasks.unfinished() >= cx.state.quotas.max_egresses {
        cx.state.violation("egresses_passed", cname);
        return refused(400, 406, "vendor_over_load");
    }
    let id = cx.state.dice.word(260);
    let resource = Resource {
        cname: cname.clone(),
        uid: uid.clone(),
        scene,
        acquired: cx.now,
        acquired_at: Instant::now() + cx.world.clock.real(cx.world.options.acquire_latency / 2),
        sid: None,
    };
    cx.state.resources.insert(id.clone(), resource);
    SimResponse::json(200, &json!({"cname": cname, "uid": uid, "resourceId": id}))
}

fn read_acquire(body: &Value) -> Result<(String, String, u64), SimResponse> {
    let bad = |reason: String| refused(400, 2, &reason);
    let (cname, uid) = identity(body)?;
    let request = body
        .get("clientRequest")
        .filter(|request| request.is_object())
        .ok_or_else(|| bad("clientRequest is required".to_owned()))?;
    let scene = check::number(request, "scene", 0, 2)
        .map_err(bad)?
        .unwrap_or(0);
    check::number(request, "resourceExpiredHour", 1, 720).map_err(bad)?;
    Ok((cname, uid, scene))
}

pub(super) fn identity(body: &Value) -> Result<(String, String), SimResponse> {
    let cname = body
        .get("cname")
        .and_then(Value::as_str)
        .filter(|cname| (1..=MAX_CNAME).contains(&cname.len()));
    let cname = cname.ok_or_else(|| refused(400, 401, "invalid_channel_name"))?;
    let uid = body.get("uid").and_then(Value::as_str).filter(|uid| {
        uid.bytes().all(|byte| byte.is_ascii_digit()) && uid.parse::<u32>().is_ok_and(|uid| uid > 0)
    });
    let uid = uid.ok_or_else(|| {
        refused(
            400,
            2,
            "uid must be a text of a whole number from 1 to 4294967295",
        )
    })?;
    Ok((cname.to_owned(), uid.to_owned()))
}

/// The path's sid. Checks that its resource id, sid and mode belong together.
fn sid(cx: &CallContext<'_>) -> Result<String, SimResponse> {
    let at = usize::from(cx.ask.part(0) != "v1");
    let (resource, sid, mode) = (
        cx.ask.part(at + 5),
        cx.ask.part(at + 7),
        cx.ask.part(at + 9),
    );
    let known = cx
        .state
        .resources
        .get(resource)
        .ok_or_else(|| refused(400, 1001, "the resourceId cannot be parsed"))?;
    if known.sid.as_deref() != Some(sid) {
        return Err(refused(400, 1003, "the sid does not match the resourceId"));
    }
    if mode != "web" {
        return Err(refused(400, 2, "the mode is not the one of the start"));
    }
    Ok(sid.to_owned())
}

fn no_worker() -> SimResponse {
    refused(404, 404, "failed to find worker")
}

pub(super) fn query(cx: &mut CallContext<'_>) -> SimResponse {
    let sid = match sid(cx) {
        Ok(sid) => sid,
        Err(answer) => return answer,
    };
    let swapped = cx.state.dice.below(2) == 1;
    let Some(task) = cx.state.tasks.get(&sid).filter(|task| task.reachable()) else {
        return no_worker();
    };
    let started = task.phase == TaskPhase::Running;
    let status = match task.phase {
        TaskPhase::Running if cx.now < task.push_at => 4,
        TaskPhase::Running => 5,
        TaskPhase::Waiting => 3,
        TaskPhase::Starting | TaskPhase::FailingOver | TaskPhase::Ended => 2,
    };
    let state = if started { "inProgress" } else { "init" };
    let files = if task.recorded {
        json!([{"filename": format!("{}_{}.m3u8", task.sid, task.cname), "sliceStartTime": chrono::Utc::now().timestamp()}])
    } else {
        json!([])
    };
    let mut services = vec![
        json!({"serviceName": "web_recorder_service", "payload": {"state": state, "onhold": task.onhold, "fileList": files}}),
    ];
    if let Some(url) = &task.rtmp_url {
        services.push(json!({"serviceName": "rtmp_publish_service", "payload": {"state": state, "outputs": [{"rtmpUrl": url, "status": task.output.text()}]}}));
    }
    if swapped {
        services.reverse();
    }
    SimResponse::json(
        200,
        &of(
            task,
            Some(json!({"status": status, "extensionServiceState": services})),
        ),
    )
}

fn of(task: &SimTask, response: Option<Value>) -> Value {
    let mut body = json!({"cname": task.cname, "uid": task.first_uid, "resourceId": task.resource_id, "sid": task.sid});
    if let (Some(body), Some(response)) = (body.as_object_mut(), response) {
        body.insert("serverResponse".to_owned(), response);
    }
    body
}

/// The body's `clientRequest`, if cname and uid are the task's.
fn matching(cx: &CallContext<'_>, sid: &str) -> Result<Value, SimResponse> {
    let body = body(cx)?;
    let (cname, uid) = identity(&body)?;
    if cx
        .state
        .tasks
        .get(sid)
        .is_some_and(|task| task.cname != cname || task.first_uid != uid)
    {
        return Err(refused(
            400,
            432,
            "cname or uid do not match the resourceId",
        ));
    }
    Ok(body.get("clientRequest").cloned().unwrap_or_default())
}

pub(super) fn update(cx: &mut CallContext<'_>) -> SimResponse {
    let read = sid(cx).and_then(|sid| matching(cx, &sid).map(|request| (sid, request)));
    let (sid, request) = match read {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    if cx
        .state
        .tasks
        .get(&sid)
        .is_none_or(|task| !task.reachable())
    {
        return no_worker();
    }
    let url = match request
        .get("rtmpPublishConfig")
        .map(check::one_output)
        .transpose()
    {
        Ok(url) => url,
        Err(reason) => return refused(400, 2, &reason),
    };
    let onhold = match request
        .get("webRecordingConfig")
        .map(|config| check::boolean(config, "onhold"))
        .transpose()
    {
        Ok(onhold) => onhold.flatten(),
        Err(reason) => return refused(400, 2, &reason),
    };
    if url.is_none() && onhold.is_none() && request.get("storageConfig").is_none() {
        return refused(400, 2, "nothing to update");
    }
    let Some(task) = cx.state.tasks.get_mut(&sid) else {
        return no_worker();
    };
    if url.is_some() && task.rtmp_url.is_none() {
        return refused(400, 2, "the task was started without rtmp_publish_service");
    }
    task.onhold = onhold.unwrap_or(task.onhold);
    let mut connection = None;
    let changed = url.is_some();
    if let Some(url) = url {
        task.rtmp_url = Some(url);
        connection = task.connection.take();
    }
    task.nudge();
    let answer = SimResponse::json(200, &of(task, None));
    if let Some(connection) = connection {
        cx.state.disconnect(cx.world, cx.now, connection);
    }
    if changed {
        cx.state.set_output(&sid, PushState::Connecting);
    }
    answer
}

pub(super) fn stop(cx: &mut CallContext<'_>) -> SimResponse {
    let read = sid(cx).and_then(|sid| matching(cx, &sid).map(|request| (sid, request)));
    let (sid, request) = match read {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    let wait = match check::boolean(&request, "async_stop") {
        Ok(asynchronous) => !asynchronous.unwrap_or(false),
        Err(reason) => return refused(400, 2, &reason),
    };
    let Some(task) = cx.state.tasks.get_mut(&sid) else {
        return no_worker();
    };
    if task
        .stopped_at
        .is_some_and(|at| cx.now < at + STOPPED_REMEMBERED)
    {
        return refused(400, 49, "invalid operation");
    }
    if !task.reachable() {
        return no_worker();
    }
    task.stopped_at = Some(cx.now);
    let recorded = task.recorded;
    let services = json!([
        {"serviceName": "upload_service", "payload": {"uploadingStatus": if wait { "uploaded" } else { "unknown" }}},
        {"serviceName": "web_recorder_service", "payload": {"state": "exit", "fileList": []}},
    ]);
    let mut answer = SimResponse::json(
        200,
        &of(task, Some(json!({"extensionServiceState": services}))),
    );
    cx.state.end_task(cx.world, cx.now, &sid, 0);
    if !recorded {
        return refused(206, 435, "no recorded data");
    }
    if wait {
        answer.delay = SYNCHRONOUS_STOP_LATENCY;
    }
    answer
}
