//! The rules that hold after every step, and at the end.

use super::*;
use crate::egresses;
use crate::simulation::vendors::{Input, Task};

impl Run {
    fn tag(&self, attempt: u32) -> &String {
        &self.tags[usize::try_from(attempt).unwrap()]
    }

    pub(super) fn check_rules(&mut self) -> Result<(), String> {
        for input in &self.vendors.inputs {
            let publishers = self
                .vendors
                .tasks
                .iter()
                .filter(|t| self.vendors.inputs[t.input].id == input.id)
                .filter(|t| t.may_publish(input, self.now))
                .count();
            if publishers > 1 {
                return Err(format!(
                    "{publishers} egresses can publish into {}",
                    input.id
                ));
            }
        }
        let durable = self.durable();
        let outcome = durable.and_then(|durable| Some((durable, durable.outcome.as_ref()?)));
        if outcome.is_some_and(|(durable, outcome)| {
            durable.started_at.is_some() && outcome.code == OutcomeCode::VendorUnauthorized
        }) {
            return Err("refused credentials ended a relay that was started".into());
        }
        let cleanups = self.cleanup_jobs.iter().map(|o| &o.cleanup_job.cleanup);
        self.vendors.check_kept(cleanups)?;
        // Attempt 0 is an earlier relay's.
        let of_this = |t: &&Task| t.alive(self.now) && t.attempt > 0;
        for task in self.vendors.tasks.iter().filter(of_this) {
            let open = durable.is_some_and(|durable| {
                let ours = durable.open_egress().map(|r| self.tag(r.attempt));
                durable.phase != Phase::Ended && ours == Some(&task.tag)
            });
            let in_cleanup = self
                .cleanup_jobs
                .iter()
                .any(|open| match &open.cleanup_job.cleanup {
                    Cleanup::StopEgress(egress) => {
                        egress.handle == Some(egresses::handle(&task.id))
                    }
                    Cleanup::FindEgress(egress) => egress.tag == task.tag,
                    _ => false,
                });
            if !open && !in_cleanup {
                return Err(format!("egress {} is unowned", task.id));
            }
            if !open && task.may_publish(&self.vendors.inputs[task.input], self.now) {
                let safe = durable.is_some_and(|d| !d.phase.is_watched() || d.ingest.key_stale);
                if !safe {
                    return Err(format!("given up, {} can publish", task.id));
                }
            }
        }
        let kept = self
            .vendors
            .kept
            .as_ref()
            .and_then(|row| row.ingest.clone());
        let relays = |i: &&Input| !i.deleted && Some(&i.id) != kept.as_ref();
        for input in self.vendors.inputs.iter().filter(relays) {
            let in_cleanup = |kinds: fn(&Cleanup) -> bool| {
                self.cleanup_jobs.iter().any(|open| {
                    let target = open.cleanup_job.cleanup.target();
                    kinds(&open.cleanup_job.cleanup) && (target == input.id || target == input.tag)
                })
            };
            let deletion = in_cleanup(|o| {
                matches!(o, Cleanup::FindIngest { .. } | Cleanup::RemoveIngest { .. })
            });
            let closing = in_cleanup(|o| matches!(o, Cleanup::CloseIngest { .. }));
            let ours = durable.filter(|durable| {
                let tagged = *self.tag(durable.ingest.attempt) == input.tag;
                let id = durable.ingest.id.as_ref();
                id.map_or(tagged, |id| *id == input.id)
                    && durable.ingest.stage != relaykeeper::relay::IngestStage::Settled
            });
            let ended = durable.is_some_and(|durable| durable.phase == Phase::Ended);
            let kept = !ended || self.spec.keep_ingest;
            if !(deletion || ours.is_some() && kept) {
                return Err(format!("ingest {} is unowned", input.id));
            }
            let closed = ours.is_some_and(|durable| {
                durable.ingest.stage == relaykeeper::relay::IngestStage::Closed
            });
            if closed && input.enabled && !closing {
                return Err(format!("ingest {} is not closed", input.id));
            }
        }
        if let Some(durable) = durable
            && durable.phase != Phase::Ended
        {
            let timing = &self.spec.timing;
            let all = timing.provisioning_timeout
                + timing.live_timeout
                + timing.max_duration
                + timing.recording_timeout * 3
                + durable.broadcast_outlives_egress()
                + Duration::from_secs(300);
            let all = u64::try_from(all.as_millis()).unwrap() + self.lost_time;
            if self.now > START + all && self.relay.is_some() && self.late <= self.now {
                return Err(format!("it is still {}", durable.phase));
            }
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        self.check_rules()?;
        let journal = self.journal.iter().map(|(at, fact)| (*at, fact));
        let replayed = Durable::replay(journal).map_err(|e| e.to_string())?;
        let Some(relay) = &self.relay else {
            let earlier = usize::from(self.vendors.keeps_earlier());
            if replayed.is_some() || self.vendors.inputs.len() > earlier {
                return Err("something is left of a relay that was never stored".into());
            }
            return Ok(());
        };
        let durable = relay.durable();
        if replayed.as_ref() != Some(durable) {
            return Err("the journal adds up to another state".into());
        }
        if durable.phase != Phase::Ended {
            return Err(format!("it rests in {}", durable.phase));
        }
        if !self.cleanup_jobs.is_empty() {
            return Err(format!("cleanup jobs stay open: {:?}", self.cleanup_jobs));
        }
        self.check_announcements()?;
        self.check_recordings(durable)?;
        self.vendors.check_earlier(&durable.recordings)?;
        let outcome: Option<&Outcome> = durable.outcome.as_ref();
        self.report.outcome = outcome.map(|outcome| outcome.code);
        self.report.live = durable.live_at.is_some();
        self.report.replacements = durable.replacements;
        self.report.interrupted = durable.was_interrupted;
        Ok(())
    }

    /// Unless the search was given up, a recording that is ready counts all that was streamed.
    fn check_recordings(&self, durable: &Durable) -> Result<(), String> {
        if self.report.gave_up_recordings {
            return Ok(());
        }
        for recorded in self.vendors.inputs.iter().flat_map(|i| &i.recordings) {
            let known = durable.recordings.iter().find(|r| r.id == recorded.id);
            let ready = known.filter(|known| known.state == RecordingState::Ready);
            if ready.is_some_and(|known| known.duration_ms != Some(recorded.streamed)) {
                let (counted, whole) = (ready.and_then(|r| r.duration_ms), recorded.streamed);
                return Err(format!("a recording of {whole} ms counts {counted:?}"));
            }
        }
        Ok(())
    }

    fn check_announcements(&self) -> Result<(), String> {
        use Announcement as A;
        let mut last = None;
        for announcement in &self.announced {
            let fits = matches!(
                (last, announcement),
                (None, A::Starting)
                    | (Some(A::Starting), A::Live | A::Stopped | A::Failed)
                    | (
                        Some(A::Live | A::Resumed),
                        A::Interrupted | A::Stopped | A::Failed
                    )
                    | (Some(A::Interrupted), A::Resumed | A::Stopped | A::Failed)
                    | (
                        Some(A::Stopped | A::Failed | A::RecordingReady | A::RecordingMissing),
                        A::RecordingReady | A::RecordingMissing | A::Ended,
                    )
                    | (Some(A::Ended), A::RecordingReady)
            );
            if !fits {
                return Err(format!(
                    "{announcement} after {last:?}: {:?}",
                    self.announced
                ));
            }
            last = Some(if last == Some(A::Ended) {
                A::Ended
            } else {
                *announcement
            });
        }
        let ended = self
            .announced
            .iter()
            .filter(|announcement| **announcement == A::Ended)
            .count();
        if ended != 1 {
            return Err(format!("relay.ended {ended} times"));
        }
        if !self.spec.enable_recording && self.announced.contains(&A::RecordingReady) {
            return Err("an unwanted recording was announced".into());
        }
        Ok(())
    }

    /// The cost must be written once, if the relay was live or left a recording.
    pub(super) fn check_cost(&mut self, costs: bool) -> Result<(), String> {
        let durable = self.relay.as_ref().map(Relay::durable).unwrap();
        let due = durable.live_at.is_some() || !durable.recordings.is_empty();
        if costs != due {
            return Err(format!("cost row: {costs}, due: {due}"));
        }
        if self
            .journal
            .iter()
            .any(|(_, fact)| matches!(fact, Fact::Ended { .. }))
        {
            return Err("it ended twice".into());
        }
        Ok(())
    }

    /// Checks the rules that hold before a call is carried out. Disabling is urgent if it alone keeps an egress from
    /// publishing. A second egress must not start while the first may publish: it has exited, was stopped, or answered
    /// 404 for the whole back-off.
    pub(super) fn check_before(&mut self, call: &Call) -> Result<(), String> {
        let are_found = self.spec.capabilities.recordings.are_found();
        if !are_found && matches!(call, Call::PollRecordings { .. }) {
            return Err("recordings are searched for where there are none".into());
        }
        if let Call::CloseIngest {
            ingest,
            urgent: false,
        } = call
            && let Some(input) = self.vendors.inputs.iter().find(|i| i.id == *ingest)
        {
            let now = self.now;
            let runs = |task: &&Task| task.may_publish(input, now);
            if let Some(task) = self.vendors.tasks.iter().find(runs) {
                return Err(format!("{} runs, and nothing is urgent", task.id));
            }
        }
        let Call::StartEgress { attempt, .. } = call else {
            return Ok(());
        };
        for task in &self.vendors.tasks {
            if task.attempt >= *attempt || task.attempt == 0 || !task.alive(self.now) {
                continue;
            }
            let signs = self.signs.get(task.attempt as usize).copied();
            let signs = signs.unwrap_or_default();
            let silent = signs
                .silent_since
                .is_some_and(|since| signs.silent_until - since + 500 >= self.back_off);
            if !silent {
                return Err(format!(
                    "egress {attempt} starts while {} is not proved gone: {signs:?}",
                    task.attempt
                ));
            }
        }
        Ok(())
    }
}
