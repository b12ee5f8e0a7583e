//! Runs cleanup jobs as the service does.

use super::*;

impl Run {
    pub(super) fn defer(&mut self, cleanup_job: CleanupJob) {
        if self.mutant.drops(&cleanup_job.cleanup) {
            return;
        }
        self.report.gave_up_recordings |=
            matches!(cleanup_job.cleanup, Cleanup::FindRecordings { .. });
        self.report.cleanup_jobs += 1;
        if matches!(cleanup_job.cleanup, Cleanup::UnknownEgress { .. }) {
            self.report.unknown_egress = true;
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
            sid: None,
        });
    }

    pub(super) fn notify_cleanup_jobs(&mut self, hint: &Hint) {
        let Hint::EgressChanged { cname, sid } = hint else {
            return;
        };
        if self.relay.is_none() {
            return;
        }
        let mut due = None;
        for open in &mut self.cleanup_jobs {
            if let Cleanup::UnknownEgress { cname: known, .. } = &open.cleanup_job.cleanup
                && known == cname
                && open.sid.is_none()
            {
                open.sid = Some(sid.clone());
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
            Cleanup::StopEgress {
                resource_id,
                other_resources,
                sid,
                cname,
                uid,
            } => self.stop_one_of(resource_id, other_resources, sid, cname, *uid),
            Cleanup::UnknownEgress {
                resource_id,
                other_resources,
                cname,
                uid,
            } => match self.cleanup_jobs[at].sid.clone() {
                Some(sid) => self.stop_one_of(resource_id, other_resources, &sid, cname, *uid),
                None => {
                    self.cleanup_jobs[at].due = now + 3_600_000;
                    return Ok(false);
                }
            },
            Cleanup::DeleteConverter {
                converter_id,
                region,
            } => {
                let egress = EgressRef::MediaPush {
                    converter_id: converter_id.clone(),
                    region: region.clone(),
                };
                self.vendors.stop(&egress, now) == Answer::Stopped
            }
            Cleanup::FindConverter { name, region } => {
                let listed = self
                    .vendors
                    .tasks
                    .iter()
                    .find(|t| t.cname == *name && t.alive(now) && !t.hidden(now));
                match listed.map(|task| task.sid.clone()) {
                    Some(converter_id) => {
                        let region = region.clone();
                        let egress = EgressRef::MediaPush {
                            converter_id,
                            region,
                        };
                        self.vendors.stop(&egress, now) == Answer::Stopped
                    }
                    None => false,
                }
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
            Cleanup::DisableIngest { id } | Cleanup::DisableStray { id } => {
                self.vendors.perform(&close(id), 0, now).is_ok()
            }
            Cleanup::DeleteIngest { id } => match self.remove(id) {
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
                if let Ok(Answer::Recordings(recordings)) = self.vendors.perform(&call, 0, now) {
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

    /// Tries each resource that the egress may run on.
    fn stop_one_of(
        &mut self,
        resource_id: &str,
        others: &[String],
        sid: &str,
        cname: &str,
        uid: u32,
    ) -> bool {
        let others = others.iter().map(String::as_str);
        for resource_id in std::iter::once(resource_id).chain(others) {
            let egress = EgressRef::CloudRecording(CloudTask {
                resource_id: resource_id.into(),
                sid: sid.into(),
                cname: cname.into(),
                uid,
            });
            if self.vendors.stop(&egress, self.now) == Answer::Stopped {
                return true;
            }
        }
        false
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
