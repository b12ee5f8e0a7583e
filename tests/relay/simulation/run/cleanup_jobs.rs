//! Runs cleanup jobs as the service does.

use super::*;
use crate::egresses;

impl Run {
    pub(super) fn defer(&mut self, cleanup_job: CleanupJob) {
        if self.mutant.drops(&cleanup_job.cleanup) {
            return;
        }
        self.report.gave_up_recordings |=
            matches!(cleanup_job.cleanup, Cleanup::FindRecordings { .. });
        self.report.cleanup_jobs += 1;
        if let Cleanup::FindEgress(egress) = &cleanup_job.cleanup {
            self.report.unnamed_egress |= !egress.preparations.is_empty();
        }
        let known = self
            .cleanup_jobs
            .iter()
            .any(|known| same(&known.cleanup_job.cleanup, &cleanup_job.cleanup));
        if known {
            return;
        }
        let due = u64::try_from(cleanup_job.due.timestamp_millis() - self.offset)
            .unwrap()
            .max(self.now);
        self.at(due, Item::CleanupJobs);
        self.cleanup_jobs.push(OpenCleanupJob {
            cleanup_job,
            due,
            tries: 0,
            misses: 0,
            handle: None,
        });
    }

    pub(super) fn notify_cleanup_jobs(&mut self, hint: &Hint) {
        let Hint::EgressNamed { tag, handle } = hint else {
            return;
        };
        if self.relay.is_none() {
            return;
        }
        let mut due = None;
        for open in &mut self.cleanup_jobs {
            if let Cleanup::FindEgress(known) = &open.cleanup_job.cleanup
                && known.tag == *tag
                && open.handle.is_none()
            {
                open.handle = Some(handle.clone());
                open.due = self.now;
                due = Some(self.now);
            }
        }
        if let Some(at) = due {
            self.at(at, Item::CleanupJobs);
        }
    }

    pub(super) fn run_cleanup_jobs(&mut self) -> Result<(), String> {
        if self.relay.is_none() {
            return Ok(());
        }
        let mut at = 0;
        while at < self.cleanup_jobs.len() {
            if self.cleanup_jobs[at].due > self.now {
                at += 1;
                continue;
            }
            let expires = self.cleanup_jobs[at]
                .cleanup_job
                .expires
                .map(|at| at.timestamp_millis());
            let expired = expires.is_some_and(|at| at <= i64::try_from(self.now).unwrap());
            let done = expired || self.attempt(at)?;
            if done {
                let cleanup_job = self.cleanup_jobs.remove(at);
                self.note(|| format!("cleaned up: {:?}", cleanup_job.cleanup_job.cleanup));
                continue;
            }
            let open = &mut self.cleanup_jobs[at];
            open.tries += 1;
            let next = open.due.max(self.now + 1);
            let next = expires.map_or(next, |at| next.min(u64::try_from(at).unwrap() + 1));
            open.due = next;
            self.at(next, Item::CleanupJobs);
            at += 1;
        }
        Ok(())
    }

    fn attempt(&mut self, at: usize) -> Result<bool, String> {
        let fate = self.fate("");
        let tries = self.cleanup_jobs[at].tries;
        if !matches!(fate, Fate::Done | Fate::AnswerLost) {
            let wait = 1_000u64 << tries.min(6);
            self.cleanup_jobs[at].due = self.now + wait.min(60_000);
            return Ok(false);
        }
        let cleanup = self.cleanup_jobs[at].cleanup_job.cleanup.clone();
        let now = self.now;
        let found = match &cleanup {
            Cleanup::StopEgress(egress) => self.stop_one_of(egress),
            // There is no list; until a notification names it, there is nothing to call.
            Cleanup::FindEgress(egress) if self.spec.egress.capabilities.prepare.is_some() => {
                let handle = self.cleanup_jobs[at].handle.clone();
                if handle.is_none() {
                    self.cleanup_jobs[at].due = now + 3_600_000;
                    return Ok(false);
                }
                self.stop_one_of(&EgressRef {
                    handle,
                    ..egress.clone()
                })
            }
            Cleanup::FindEgress(egress) => {
                let listed = self
                    .vendors
                    .tasks
                    .iter()
                    .find(|t| t.tag == egress.tag && t.alive(now) && !t.hidden(now));
                let handle = listed.map(|task| egresses::handle(&task.id));
                handle.is_some()
                    && self.stop_one_of(&EgressRef {
                        handle,
                        ..egress.clone()
                    })
            }
            Cleanup::FindIngest { tag } => {
                let found = self.vendors.inputs_by_tag(tag, now);
                for input in &found {
                    let ingest = self.vendors.inputs[*input].id.clone();
                    let _ = self.vendors.perform(&close(&ingest), 0, now);
                    if let Ok(Answer::StillLive { retry_after }) = self.remove(&ingest) {
                        self.cleanup_jobs[at].due = now + wait_of(retry_after);
                        return Ok(false);
                    }
                }
                !found.is_empty()
            }
            Cleanup::CloseIngest { id } | Cleanup::CloseStray { id } => {
                self.vendors.perform(&close(id), 0, now).is_ok()
            }
            Cleanup::RenewIngestKey { id } => {
                let ingest = id.clone();
                let renew = Call::RenewIngestKey { ingest };
                // Without it only a planted bug writes such a job.
                let renews = self.spec.capabilities.renews_key;
                !renews || self.vendors.perform(&renew, 0, now).is_ok()
            }
            Cleanup::RemoveIngest { id } => match self.remove(id) {
                Ok(Answer::StillLive { retry_after }) => {
                    self.cleanup_jobs[at].due = now + wait_of(retry_after);
                    return Ok(false);
                }
                removed => removed.is_ok(),
            },
            Cleanup::DeleteRecording { id } => {
                let mut recordings = self
                    .vendors
                    .inputs
                    .iter_mut()
                    .flat_map(|i| &mut i.recordings);
                match recordings.find(|recording| recording.id == *id) {
                    // A recording in progress cannot be deleted.
                    Some(recording) if recording.closed.is_none() => {
                        self.cleanup_jobs[at].due = now + 60_000;
                        return Ok(false);
                    }
                    Some(recording) => {
                        recording.deleted = true;
                        true
                    }
                    None => true,
                }
            }
            Cleanup::FindRecordings { ingest } => {
                let call = Call::PollRecordings {
                    ingest: ingest.clone(),
                    thorough: true,
                };
                self.check_before(&call)?;
                let found = self.vendors.perform(&call, 0, now);
                let found = found.map(|found| self.vendors.own_recordings(found));
                if let Ok(Answer::Recordings(recordings)) = found {
                    self.tell(Event::LateRecordings(recordings))?;
                }
                if self.relay.is_none() {
                    return Ok(false);
                }
                let open = &mut self.cleanup_jobs[at];
                open.misses += 1;
                open.due = now + 23 * 3_600_000;
                return Ok(open.misses > 1);
            }
        };
        self.vendors.refresh(now);
        if fate == Fate::AnswerLost {
            self.cleanup_jobs[at].due = now + 5_000;
            return Ok(false);
        }
        if found {
            return Ok(true);
        }
        // 404 at Agora: it may be moving. Checked again after 30, 120 and 240 s.
        let open = &mut self.cleanup_jobs[at];
        open.misses += 1;
        let wait = match open.misses {
            1 => 30_000,
            2 => 90_000,
            3 => 120_000,
            _ => return Ok(true),
        };
        open.due = now + wait;
        Ok(false)
    }

    fn remove(&mut self, id: &str) -> Result<Answer, Failure> {
        let ingest = id.into();
        let call = Call::RemoveIngest { ingest };
        self.vendors.perform(&call, 0, self.now)
    }

    /// Tries each preparation that the egress may run on.
    fn stop_one_of(&mut self, egress: &EgressRef) -> bool {
        let mut tries = vec![egress.preparations.first()];
        tries.extend(egress.preparations.iter().skip(1).map(Some));
        tries.into_iter().any(|preparation| {
            let egress = EgressRef {
                preparations: preparation.into_iter().cloned().collect(),
                ..egress.clone()
            };
            self.vendors.stop(&egress, self.now) == Answer::Stopped
        })
    }
}

fn close(id: &str) -> Call {
    Call::CloseIngest {
        ingest: id.into(),
        urgent: true,
    }
}

fn wait_of(retry_after: Duration) -> Ms {
    u64::try_from(retry_after.as_millis()).unwrap().max(1_000)
}

fn same(one: &Cleanup, other: &Cleanup) -> bool {
    let kind = |cleanup: &Cleanup| -> &'static str { cleanup.kind().into() };
    kind(one) == kind(other) && one.target() == other.target()
}
