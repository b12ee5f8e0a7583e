//! The cloud browser: opens the recorder's page over HTTP, and does what the page's script would do.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::super::agora::verify_token;
use super::super::world::{TaskPhase, World};
use super::wait;

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";
const RETRY_AFTER: Duration = Duration::from_secs(2);
const MAX_WAIT: Duration = Duration::from_secs(600);

enum PageExit {
    NotReady,
    Left,
}

/// Opens the page, and reloads it once if it is not ready in time (`agora.md §3.7`).
pub(super) async fn show(world: &Arc<World>, sid: &str) {
    let found = world.with(|state, _| {
        state
            .tasks
            .get(sid)
            .map(|task| (task.page_url.clone(), task.wake.subscribe()))
    });
    let Some((address, woken)) = found else {
        return;
    };
    let Ok(url) = Url::parse(&address) else {
        return;
    };
    for load in 0..2 {
        let opened = world
            .http
            .get(url.clone())
            .header("User-Agent", USER_AGENT)
            .send()
            .await;
        if !opened.is_ok_and(|response| response.status() == 200) {
            world.with(|state, now| state.end_task(world, now, sid, 5));
            return;
        }
        let mut script = Script {
            world,
            sid,
            url: &url,
            woken: woken.clone(),
            sequence: 0,
            reported: None,
        };
        match script.run().await {
            PageExit::Left => return,
            PageExit::NotReady if load == 0 => {
                world.with(|state, _| {
                    if let Some(task) = state.tasks.get_mut(sid) {
                        task.joined = None;
                        task.phase = TaskPhase::Starting;
                    }
                    state.task_notice(sid, 73, 6, json!({"reason": "page_load_timeout"}));
                });
            }
            PageExit::NotReady => world.with(|state, now| state.end_task(world, now, sid, 4)),
        }
    }
}

struct Script<'a> {
    world: &'a Arc<World>,
    sid: &'a str,
    url: &'a Url,
    woken: watch::Receiver<u64>,
    sequence: u64,
    reported: Option<bool>,
}

impl Script<'_> {
    async fn run(&mut self) -> PageExit {
        let (sid, world) = (self.sid, self.world);
        let loaded = world.clock.now();
        let limit = world.with(|state, _| {
            let task = state.tasks.get_mut(sid)?;
            task.page_loads += 1;
            task.phase = TaskPhase::Waiting;
            task.ready_timeout
        });
        let deadline = limit.map(|limit| loaded + limit);
        if deadline.is_none() {
            self.notify_ready();
        }
        // The script sets no limit for `notifyReady()`; the browser does.
        let script = self.report_presence();
        match deadline {
            None => {
                script.await;
                PageExit::Left
            }
            Some(deadline) => {
                let mut script = std::pin::pin!(script);
                let early = tokio::time::timeout(
                    world.clock.real(deadline.saturating_sub(loaded)),
                    &mut script,
                )
                .await;
                if !world.with(|state, _| {
                    state
                        .tasks
                        .get(sid)
                        .is_some_and(|task| task.phase == TaskPhase::Running)
                }) {
                    if early.is_ok() {
                        // The page left before it was ready: the browser keeps waiting.
                        world
                            .clock
                            .sleep(deadline.saturating_sub(world.clock.now()))
                            .await;
                    }
                    return PageExit::NotReady;
                }
                if early.is_err() {
                    script.await;
                }
                PageExit::Left
            }
        }
    }

    async fn report_presence(&mut self) {
        let Some(channel) = self.join().await else {
            return;
        };
        let mut heartbeat = Duration::ZERO;
        loop {
            let now = self.world.clock.now();
            let present = self.world.with(|state, _| state.sellers.any(&channel, &[]));
            if present {
                self.notify_ready();
            }
            if self.reported != Some(present) || now >= heartbeat {
                self.sequence += 1;
                self.reported = Some(present);
                heartbeat = now + self.world.options.heartbeat;
                let body = json!({"query": self.query(), "present": present, "seq": self.sequence});
                let answer = self.post("/recorder/presence", body).await;
                if answer.is_none() {
                    heartbeat = now + RETRY_AFTER;
                }
                if answer.is_some_and(|answer| leaves(&answer)) {
                    self.world.with(|state, _| {
                        if let Some(task) = state.tasks.get_mut(self.sid) {
                            task.joined = None;
                        }
                    });
                    return;
                }
            }
            wait(self.world, heartbeat.min(now + MAX_WAIT), &mut self.woken).await;
        }
    }

    /// The joined channel. `None`: the page must leave, or its token is invalid.
    async fn join(&self) -> Option<String> {
        loop {
            let Some(answer) = self
                .post("/recorder/token", json!({"query": self.query()}))
                .await
            else {
                self.world.clock.sleep(RETRY_AFTER).await;
                continue;
            };
            if leaves(&answer) {
                return None;
            }
            let text = |name: &str| match answer.get(name) {
                Some(Value::Number(number)) => number.to_string(),
                value => value.and_then(Value::as_str).unwrap_or_default().to_owned(),
            };
            let (app, channel, uid, token) =
                (text("app_id"), text("channel"), text("uid"), text("token"));
            let verdict = self.check_token(&app, &channel, &uid, &token);
            self.world.with(|state, _| match verdict {
                Ok(()) => {
                    if let Some(seller) = answer
                        .get("seller_uid")
                        .and_then(Value::as_u64)
                        .and_then(|uid| u32::try_from(uid).ok())
                    {
                        state.sellers.name(&channel, seller);
                    }
                    if let Some(task) = state.tasks.get_mut(self.sid) {
                        task.joined = Some(channel.clone());
                    }
                }
                Err(reason) => state.violation("token_refused", format!("{}: {reason}", self.sid)),
            });
            return verdict.is_ok().then_some(channel);
        }
    }

    fn check_token(
        &self,
        app: &str,
        channel: &str,
        uid: &str,
        token: &str,
    ) -> Result<(), &'static str> {
        let keys = &self.world.keys;
        if app != keys.app_id {
            return Err("another app");
        }
        if channel.is_empty() || uid.parse::<u32>().is_err() {
            return Err("no channel or no uid");
        }
        if !self.world.options.certificate {
            return Ok(());
        }
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
        verify_token(token, app, &keys.app_certificate, channel, uid, now)
    }

    fn query(&self) -> &str {
        self.url.query().unwrap_or_default()
    }

    /// `window.navigator.notifyReady()` starts the recording.
    fn notify_ready(&self) {
        self.world.with(|state, _| {
            let Some(task) = state
                .tasks
                .get_mut(self.sid)
                .filter(|task| task.phase == TaskPhase::Waiting)
            else {
                return;
            };
            task.phase = TaskPhase::Running;
            task.recorded = true;
            task.nudge();
            state.task_notice(
                self.sid,
                70,
                6,
                json!({"recorderStartTime": Utc::now().timestamp_millis()}),
            );
        });
    }

    /// Posts to the page's origin. `None`: the answer is not 2xx with JSON or an empty body.
    async fn post(&self, path: &str, body: Value) -> Option<Value> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(None);
        url.set_fragment(None);
        let request = self
            .world
            .http
            .post(url)
            .header("User-Agent", USER_AGENT)
            .header("Origin", self.url.origin().ascii_serialization())
            .json(&body);
        let response = request.send().await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let body = response.bytes().await.ok()?;
        if body.is_empty() {
            Some(json!({}))
        } else {
            serde_json::from_slice(&body).ok()
        }
    }
}

fn leaves(answer: &Value) -> bool {
    answer.get("leave").and_then(Value::as_bool) == Some(true)
}
