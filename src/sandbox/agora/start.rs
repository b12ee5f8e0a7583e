//! Cloud Recording's start in web mode, with the checks of its body (`agora.md §3.1, §3.2`).

use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::super::http::{CallContext, SimResponse};
use super::super::options::StartRule;
use super::super::world::{BackgroundJob, PushState, SimTask, SimVideoProfile, TaskPhase};
use super::recording::identity;
use super::{body, check, refused};

struct WebRecordingRequest {
    page_url: String,
    max_recording_hour: u64,
    ready_timeout: u64,
    onhold: bool,
    rtmp_url: Option<String>,
    video: SimVideoProfile,
}

pub(super) fn start(cx: &mut CallContext<'_>) -> SimResponse {
    let at = usize::from(cx.ask.part(0) != "v1");
    let (resource_id, mode) = (
        cx.ask.part(at + 5).to_owned(),
        cx.ask.part(at + 7).to_owned(),
    );
    let body = match body(cx) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    if let Some(refusal) = refuse_resource(cx, &resource_id, &mode, &body) {
        return refusal;
    }
    let wanted = match read(&body) {
        Ok(wanted) => wanted,
        Err(reason) => return refused(400, 2, &reason),
    };
    let Some(resource) = cx.state.resources.get(&resource_id) else {
        return refused(400, 1001, "the resourceId cannot be parsed");
    };
    let (cname, uid) = (resource.cname.clone(), resource.uid.clone());
    if cx.state.tasks.conflicts(&cname, &uid) {
        cx.state.violation("task_conflict", cname);
        return refused(400, 53, "task conflict");
    }
    let sid = cx.state.dice.hex(32);
    let ready_timeout =
        (wanted.ready_timeout > 0).then(|| cx.world.clock.of_wire(wanted.ready_timeout));
    let task = SimTask {
        sid: sid.clone(),
        resource_id: resource_id.clone(),
        cname: cname.clone(),
        uid: uid.clone(),
        first_uid: uid.clone(),
        page_url: wanted.page_url,
        ready_timeout,
        ends_at: cx.now + cx.world.clock.of_wire(wanted.max_recording_hour * 3600),
        push_at: cx.now + cx.world.options.push_after,
        phase: TaskPhase::Starting,
        recorded: false,
        rtmp_url: wanted.rtmp_url,
        video: wanted.video,
        output: PushState::Connecting,
        connection: None,
        onhold: wanted.onhold,
        joined: None,
        stopped_at: None,
        crash: None,
        drop_until: None,
        page_loads: 0,
        notices: 0,
        wake: watch::Sender::new(0),
    };
    cx.state.tasks.insert(task);
    if let Some(resource) = cx.state.resources.get_mut(&resource_id) {
        resource.sid = Some(sid.clone());
    }
    // Fails only while the sandbox stops.
    let _ = cx.world.jobs.send(BackgroundJob::RunTask(sid.clone()));
    SimResponse::json(
        200,
        &json!({"cname": cname, "uid": uid, "resourceId": resource_id, "sid": sid}),
    )
}

fn refuse_resource(
    cx: &mut CallContext<'_>,
    resource_id: &str,
    mode: &str,
    body: &Value,
) -> Option<SimResponse> {
    let Some(resource) = cx.state.resources.get(resource_id) else {
        return Some(refused(400, 1001, "the resourceId cannot be parsed"));
    };
    if !["individual", "mix", "web"].contains(&mode) {
        return Some(super::no_route());
    }
    if mode != "web" || resource.scene != 1 {
        return Some(refused(
            400,
            2,
            "the mode does not go with the scene of acquire; only web mode is simulated",
        ));
    }
    let (cname, uid) = match identity(body) {
        Ok(identity) => identity,
        Err(answer) => return Some(answer),
    };
    if cname != resource.cname || uid != resource.uid {
        return Some(refused(
            400,
            432,
            "cname or uid do not match the resourceId",
        ));
    }
    if let Some(sid) = resource.sid.clone() {
        if cx
            .state
            .tasks
            .get(&sid)
            .is_some_and(|task| task.phase != TaskPhase::Ended)
        {
            return Some(refused(201, 7, "already started"));
        }
        cx.state.violation("resource_reused", sid);
        return Some(refused(400, 2, "the resourceId was used"));
    }
    if cx.now > resource.acquired + cx.world.options.resource_lifetime {
        return Some(refused(400, 433, "the resourceId has expired"));
    }
    if resource.acquired_at.elapsed() > cx.world.options.start_within {
        let cname = resource.cname.clone();
        match cx.world.options.start_rule {
            StartRule::Ignore => {}
            StartRule::Record => cx.state.violation("start_too_late", cname),
            StartRule::Refuse => {
                cx.state.violation("start_too_late", cname);
                return Some(refused(400, 2, "start came later than 2 s after acquire"));
            }
        }
    }
    None
}

fn read(body: &Value) -> Result<WebRecordingRequest, String> {
    let request = body
        .get("clientRequest")
        .filter(|request| request.is_object())
        .ok_or("clientRequest is required")?;
    storage(
        request
            .get("storageConfig")
            .filter(|storage| storage.is_object())
            .ok_or("storageConfig is required")?,
    )?;
    let files = request
        .pointer("/recordingFileConfig/avFileType")
        .and_then(Value::as_array)
        .ok_or("recordingFileConfig.avFileType is required")?;
    let files: Option<Vec<&str>> = files.iter().map(Value::as_str).collect();
    if !files
        .is_some_and(|files| files == ["hls"] || files == ["hls", "mp4"] || files == ["mp4", "hls"])
    {
        return Err("avFileType must be [\"hls\"] or [\"hls\",\"mp4\"]".to_owned());
    }
    let config = request
        .get("extensionServiceConfig")
        .filter(|config| config.is_object())
        .ok_or("extensionServiceConfig is required")?;
    check::choice(config, "errorHandlePolicy", &["error_abort"])?;
    let services = config
        .get("extensionServices")
        .and_then(Value::as_array)
        .ok_or("extensionServices is required")?;
    let mut web = None;
    let mut push = None;
    for service in services {
        let parameters = service
            .get("serviceParam")
            .filter(|parameters| parameters.is_object())
            .ok_or("serviceParam is required")?;
        match service.get("serviceName").and_then(Value::as_str) {
            Some("web_recorder_service") if web.is_none() => {
                check::choice(service, "errorHandlePolicy", &["error_abort"])?;
                web = Some(parameters);
            }
            Some("rtmp_publish_service") if push.is_none() => {
                check::choice(service, "errorHandlePolicy", &["error_ignore"])?;
                push = Some(check::one_output(parameters)?);
            }
            Some("web_recorder_service" | "rtmp_publish_service") => {
                return Err("a service is named twice".to_owned());
            }
            _ => {
                return Err(
                    "serviceName must be web_recorder_service or rtmp_publish_service".to_owned(),
                );
            }
        }
    }
    let web = web.ok_or("web_recorder_service is required")?;
    let page_url = check::required_text(web, "url")?.to_owned();
    let page = Url::parse(&page_url).map_err(|_| "url is not a URL")?;
    if !["http", "https"].contains(&page.scheme()) || page_url.len() > 1024 * 8 {
        return Err("url must begin with http:// or https://".to_owned());
    }
    check::required_number(web, "audioProfile", 0, 2)?;
    let width = check::required_number(web, "videoWidth", 240, 1920)?;
    let height = check::required_number(web, "videoHeight", 240, 1920)?;
    if width * height > 1920 * 1080 {
        return Err("videoWidth x videoHeight must not exceed 1920 x 1080".to_owned());
    }
    let max_recording_hour = check::required_number(web, "maxRecordingHour", 1, 720)?;
    let kbps = check::number(web, "videoBitrate", 50, 8000)?.unwrap_or(1500);
    check::number(web, "videoFps", 5, 60)?;
    check::number(web, "maxVideoDuration", 30, 240)?;
    check::boolean(web, "mobile")?;
    Ok(WebRecordingRequest {
        page_url,
        max_recording_hour,
        ready_timeout: check::number(web, "readyTimeout", 0, 60)?.unwrap_or(0),
        onhold: check::boolean(web, "onhold")?.unwrap_or(false),
        rtmp_url: push,
        video: SimVideoProfile {
            width,
            height,
            kbps,
        },
    })
}

fn storage(config: &Value) -> Result<(), String> {
    let vendor = check::required_number(config, "vendor", 1, 11)?;
    if ![1, 2, 3, 5, 6, 7, 8, 11].contains(&vendor) {
        return Err("storageConfig.vendor is unknown".to_owned());
    }
    check::required_number(config, "region", 0, 100)?;
    for name in ["bucket", "accessKey", "secretKey"] {
        check::required_text(config, name)?;
    }
    if vendor == 11
        && config
            .pointer("/extensionParams/endpoint")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    {
        return Err("storageConfig.extensionParams.endpoint is required with vendor 11".to_owned());
    }
    let Some(prefix) = config.get("fileNamePrefix") else {
        return Ok(());
    };
    let parts: Option<Vec<&str>> = prefix
        .as_array()
        .and_then(|parts| parts.iter().map(Value::as_str).collect());
    let fine = parts.is_some_and(|parts| {
        parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            && parts.join("/").len() <= 128
    });
    if fine {
        Ok(())
    } else {
        Err(
            "storageConfig.fileNamePrefix must be a list of letters and digits, 128 at most"
                .to_owned(),
        )
    }
}
