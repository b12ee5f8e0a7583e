//! Calls on their way to a vendor and back.

use super::*;

impl Run {
    pub(super) fn fate(&mut self, call: &str) -> Fate {
        let out = self
            .down
            .filter(|(from, to, _)| (*from..*to).contains(&self.now));
        if let Some((_, _, fate)) = out {
            return fate;
        }
        if let Some((kind, fate)) = self.failing_call
            && kind == call
            && self.dice.chance(800)
        {
            return fate;
        }
        if !self.dice.chance(self.rates.faults) {
            return Fate::Done;
        }
        self.report.faults += 1;
        match self.dice.between(0, 100) {
            0..35 => Fate::AnswerLost,
            35..60 => Fate::Lost,
            60..80 => Fate::Refused(Class::Unavailable),
            80..95 => Fate::Refused(Class::RateLimited),
            95..97 => Fate::Refused(Class::Quota),
            97..99 => Fate::Refused(Class::Unexpected),
            _ => self.dice.one_of(&[
                Fate::Refused(Class::Unauthorized),
                Fate::Refused(Class::Rejected),
            ]),
        }
    }

    pub(super) fn act(&mut self, action: Action) -> Result<(), String> {
        let fate = self.fate((&action.call).into());
        let reads = matches!(
            action.call,
            Call::PollFeed { .. }
                | Call::PollHosts
                | Call::PollEgress(_)
                | Call::PollRecordings { .. }
        );
        if reads || self.dice.chance(700) {
            return self.arrives(self.incarnation, action, fate);
        }
        let wait = self.dice.between(0, 400);
        self.later(wait, Item::Arrives(self.incarnation, action, fate));
        Ok(())
    }

    pub(super) fn arrives(
        &mut self,
        incarnation: u32,
        action: Action,
        fate: Fate,
    ) -> Result<(), String> {
        let result = match fate {
            Fate::Done | Fate::AnswerLost => {
                self.check_before(&action.call)?;
                let result = self.perform(&action.call);
                let unanswered = fate == Fate::AnswerLost;
                if unanswered && matches!(action.call, Call::CreateIngest { .. }) {
                    self.may_create_twin();
                }
                self.news();
                match fate {
                    Fate::AnswerLost => Err(self.failure(Class::Timeout, true)),
                    _ => result,
                }
            }
            Fate::Lost => Err(self.failure(Class::Timeout, true)),
            Fate::Refused(class) => Err(self.failure(class, false)),
        };
        let call: &'static str = (&action.call).into();
        self.note(|| format!("    {call}: {fate:?} {result:?}"));
        let wait = match fate {
            Fate::Done | Fate::Refused(_) if self.dice.chance(900) => self.dice.between(30, 600),
            Fate::Done | Fate::Refused(_) => self.dice.between(600, 6_000),
            Fate::AnswerLost | Fate::Lost => self.dice.one_of(&[200, 5_000, 15_000]),
        };
        self.later(wait, Item::Result(incarnation, action, result));
        Ok(())
    }

    /// Something between us and a platform without keys repeats a creation.
    fn may_create_twin(&mut self) {
        let repeat = self.spec.capabilities.create_repeat;
        if repeat == CreateRepeat::LookUp && self.dice.chance(300) {
            self.vendors.create_twin();
        }
    }

    fn failure(&mut self, class: Class, maybe_done: bool) -> Failure {
        let retry_after_ms = (class == Class::RateLimited).then(|| self.dice.between(500, 30_000));
        Failure {
            vendor: String::new(),
            call: String::new(),
            class,
            maybe_done,
            status: None,
            message: String::new(),
            retry_after_ms,
        }
    }

    fn perform(&mut self, call: &Call) -> Result<Answer, Failure> {
        let input = self.vendors.inputs.last().map_or(1, |input| input.key);
        let key = *self.key.get_or_insert(input);
        if let Some(answer) = self.mutant.instead(
            call,
            self.doubted.contains(call),
            key,
            self.now,
            &mut self.vendors,
        ) {
            self.vendors.refresh(self.now);
            return answer;
        }
        let answer = self.vendors.perform(call, key, self.now);
        answer.map(|answer| self.vendors.own_recordings(answer))
    }

    pub(super) fn deliver(
        &mut self,
        incarnation: u32,
        action: Action,
        result: Result<Answer, Failure>,
    ) -> Result<(), String> {
        if incarnation != self.incarnation && self.dice.chance(500) {
            return Ok(());
        }
        if self.relay.is_none() {
            return Ok(());
        }
        let Action { id, call } = action;
        if incarnation == self.incarnation {
            self.observe(&call, &result);
        }
        let jitter = self.jitter();
        let event = match result {
            Ok(answer) => Event::Answered {
                action: id,
                answer,
                jitter,
            },
            Err(failure) => {
                if failure.maybe_done {
                    self.doubted.push(call);
                }
                Event::Failed {
                    action: id,
                    failure,
                    jitter,
                }
            }
        };
        self.tell(event)
    }

    fn note_platform(&mut self, result: &Result<Answer, Failure>) {
        match result {
            Ok(Answer::Ingest { others, .. }) => self.report.had_others |= !others.is_empty(),
            Ok(Answer::StillLive { .. }) => self.report.waited = true,
            Ok(Answer::Recordings(recordings)) => {
                let ready = |r: &Recording| r.state == RecordingState::Ready && !r.is_final;
                self.report.not_final |= recordings.iter().any(ready);
            }
            _ => {}
        }
    }

    /// What the process learns from an answer, for the rules and for the key in memory.
    fn observe(&mut self, call: &Call, result: &Result<Answer, Failure>) {
        self.note_platform(result);
        let of = |egress: &EgressRef, vendors: &Vendors| {
            vendors.task(egress).map(|at| vendors.tasks[at].attempt)
        };
        let (attempt, silent) = match (call, result) {
            (Call::FindIngest { .. }, Ok(Answer::Ingest { .. })) => {
                self.report.looked_up = true;
                return;
            }
            (Call::RenewIngestKey { .. }, Ok(Answer::KeyRenewed)) => {
                self.key = None;
                return;
            }
            (Call::StopEgress(r), Ok(Answer::NotFound))
            | (Call::PollEgress(r), Ok(Answer::Egress(EgressReading::NotFound))) => {
                (of(r, &self.vendors), true)
            }
            (Call::PollEgress(r), Ok(Answer::Egress(_))) => (of(r, &self.vendors), false),
            _ => return,
        };
        let Some(attempt) = attempt.map(|a| a as usize) else {
            return;
        };
        if self.signs.len() <= attempt {
            self.signs.resize(attempt + 1, Signs::default());
        }
        let signs = &mut self.signs[attempt];
        if silent {
            signs.silent_since.get_or_insert(self.now);
            signs.silent_until = self.now;
        } else {
            signs.silent_since = None;
        }
    }
}
