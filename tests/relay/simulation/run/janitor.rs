//! The janitor: pays what is owed, as the one of the service does.

use super::*;

impl Run {
    pub(super) fn owe(&mut self, debt: Debt) {
        if self.mutant == Mutant::DebtsDropped {
            return;
        }
        self.report.debts += 1;
        if matches!(debt.owed, Owed::UnknownRecorder { .. }) {
            self.report.unknown_recorder = true;
        }
        let known = self
            .debts
            .iter()
            .any(|known| same(&known.debt.owed, &debt.owed));
        if known {
            return;
        }
        let due = u64::try_from(debt.due.timestamp_millis() - self.offset)
            .unwrap()
            .max(self.now);
        self.at(due, Item::Janitor);
        self.debts.push(OpenDebt {
            debt,
            due,
            tries: 0,
            misses: 0,
            sid: None,
        });
    }

    pub(super) fn janitor_hears(&mut self, hint: &Hint) {
        let Hint::RecorderChanged { cname, sid } = hint else {
            return;
        };
        if self.relay.is_none() {
            return;
        }
        let mut due = None;
        for open in &mut self.debts {
            if let Owed::UnknownRecorder { cname: known, .. } = &open.debt.owed
                && known == cname
                && open.sid.is_none()
            {
                open.sid = Some(sid.clone());
                open.due = self.now;
                due = Some(self.now);
            }
        }
        if let Some(at) = due {
            self.at(at, Item::Janitor);
        }
    }

    /// The janitor tries what is due.
    pub(super) fn pay(&mut self) -> Result<(), String> {
        if self.relay.is_none() {
            return Ok(());
        }
        let mut at = 0;
        while at < self.debts.len() {
            if self.debts[at].due > self.now {
                at += 1;
                continue;
            }
            let expires = self.debts[at].debt.expires.map(|at| at.timestamp_millis());
            let expired = expires.is_some_and(|at| at <= i64::try_from(self.now).unwrap());
            let paid = expired || self.try_to_pay(at)?;
            if paid {
                let debt = self.debts.remove(at);
                self.note(|| format!("paid: {:?}", debt.debt.owed));
                continue;
            }
            let open = &mut self.debts[at];
            open.tries += 1;
            let next = open.due.max(self.now + 1);
            let next = expires.map_or(next, |at| next.min(u64::try_from(at).unwrap() + 1));
            open.due = next;
            self.at(next, Item::Janitor);
            at += 1;
        }
        Ok(())
    }

    fn try_to_pay(&mut self, at: usize) -> Result<bool, String> {
        let fate = self.fate("");
        let tries = self.debts[at].tries;
        if !matches!(fate, Fate::Done | Fate::DoneUnheard) {
            let wait = 1_000u64 << tries.min(6);
            self.debts[at].due = self.now + wait.min(60_000);
            return Ok(false);
        }
        let owed = self.debts[at].debt.owed.clone();
        let now = self.now;
        let input_gone = |vendors: &mut Vendors, call: Call| vendors.perform(&call, 0, now).is_ok();
        let found = match &owed {
            Owed::StopRecorder {
                resource_id,
                other_resources,
                sid,
                cname,
                uid,
            } => self.stop_one_of(resource_id, other_resources, sid, cname, *uid),
            Owed::UnknownRecorder {
                resource_id,
                other_resources,
                cname,
                uid,
            } => match self.debts[at].sid.clone() {
                Some(sid) => self.stop_one_of(resource_id, other_resources, &sid, cname, *uid),
                None => {
                    self.debts[at].due = now + 3_600_000;
                    return Ok(false);
                }
            },
            Owed::DeleteConverter {
                converter_id,
                region,
            } => {
                let recorder = RecorderRef::MediaPush {
                    converter_id: converter_id.clone(),
                    region: region.clone(),
                };
                self.vendors.stop(&recorder, now) == Answer::Stopped
            }
            Owed::FindConverter { name, region } => {
                let listed = self
                    .vendors
                    .tasks
                    .iter()
                    .find(|t| t.cname == *name && t.alive(now) && !t.hidden(now));
                match listed.map(|task| task.sid.clone()) {
                    Some(converter_id) => {
                        let region = region.clone();
                        let recorder = RecorderRef::MediaPush {
                            converter_id,
                            region,
                        };
                        self.vendors.stop(&recorder, now) == Answer::Stopped
                    }
                    None => false,
                }
            }
            Owed::FindLiveInput { mark } => {
                if let Some(input) = self.vendors.input_by_mark(mark) {
                    self.vendors.inputs[input].deleted = true;
                }
                true
            }
            Owed::DisableLiveInput { uid } | Owed::DisableGhost { uid } => input_gone(
                &mut self.vendors,
                Call::DisableLiveInput {
                    live_input: uid.clone(),
                    urgent: true,
                },
            ),
            Owed::DeleteLiveInput { uid } => input_gone(
                &mut self.vendors,
                Call::DeleteLiveInput {
                    live_input: uid.clone(),
                },
            ),
            Owed::DeleteVideo { uid } => {
                let mut videos = self.vendors.inputs.iter_mut().flat_map(|i| &mut i.videos);
                match videos.find(|video| video.uid == *uid) {
                    // A video being recorded cannot be deleted.
                    Some(video) if video.closed.is_none() => {
                        self.debts[at].due = now + 60_000;
                        return Ok(false);
                    }
                    Some(video) => {
                        video.deleted = true;
                        true
                    }
                    None => true,
                }
            }
            Owed::FindRecordings { live_input } => {
                let call = Call::LookForRecordings {
                    live_input: live_input.clone(),
                    thorough: true,
                };
                if let Ok(Answer::Recordings(videos)) = self.vendors.perform(&call, 0, now) {
                    self.tell(Event::LateRecordings(videos))?;
                }
                if self.relay.is_none() {
                    return Ok(false);
                }
                let open = &mut self.debts[at];
                open.misses += 1;
                open.due = now + 23 * 3_600_000;
                return Ok(open.misses > 1);
            }
        };
        self.vendors.refresh(now);
        if fate == Fate::DoneUnheard {
            self.debts[at].due = now + 5_000;
            return Ok(false);
        }
        if found {
            return Ok(true);
        }
        // 404 at Agora: it may be moving. Looked for again at 30, 120, 240 s.
        let open = &mut self.debts[at];
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

    /// Tries each resource the recorder may run on.
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
            let recorder = RecorderRef::CloudRecording(CloudTask {
                resource_id: resource_id.into(),
                sid: sid.into(),
                cname: cname.into(),
                uid,
            });
            if self.vendors.stop(&recorder, self.now) == Answer::Stopped {
                return true;
            }
        }
        false
    }
}

fn same(one: &Owed, other: &Owed) -> bool {
    let kind = |owed: &Owed| -> &'static str { owed.into() };
    kind(one) == kind(other) && one.target() == other.target()
}
