//! The process: it stores, then acts, and may crash at any point.

use super::*;

impl Run {
    pub(super) fn tell(&mut self, event: Event) -> Result<(), String> {
        let wall = self.wall();
        let Some(relay) = self.relay.as_mut() else {
            return Ok(());
        };
        let before = relay.durable().phase;
        let stale = matches!(&event, Event::Answered { action, .. } | Event::Failed { action, .. }
            if action.incarnation != self.incarnation);
        let stopping = matches!(event, Event::Stop);
        let step = relay.handle(event, wall).map_err(|e| e.to_string())?;
        if before == Phase::Ended && !step.actions.is_empty() {
            return Err("an action after the end".into());
        }
        if stale && step.ignored.is_none() {
            return Err("a stale answer was taken".into());
        }
        if stopping && relay.durable().phase.holds_slot() {
            return Err("a stop was not honoured".into());
        }
        self.take(step)
    }

    pub(super) fn take(&mut self, mut step: Step) -> Result<(), String> {
        let changed = !step.facts.is_empty();
        if self.trace.is_some() && (changed || !step.actions.is_empty()) {
            let facts: Vec<String> = step.facts.iter().map(|f| format!("{f:?}")).collect();
            let calls: Vec<String> = step
                .actions
                .iter()
                .map(|a| format!("{:?}", a.call))
                .collect();
            self.note(|| format!("  {} => {}", facts.join("; "), calls.join("; ")));
        }
        let at = (changed || !step.actions.is_empty())
            .then(|| {
                self.dice.chance(if changed {
                    self.rates.crashes
                } else {
                    self.rates.crashes / 8
                })
            })
            .filter(|crash| *crash)
            .map(|_| self.dice.between(0, 3));
        if at == Some(0) {
            if self.mutant == Mutant::ActBeforeStore {
                for action in step.actions.drain(..) {
                    self.act(action)?;
                }
            }
            self.note(|| "crash before the store".into());
            return self.crash();
        }
        self.store(&mut step)?;
        if at == Some(1) {
            let some = self.dice.between(0, step.actions.len() as u64 + 1);
            step.actions.truncate(usize::try_from(some).unwrap());
        }
        for action in step.actions {
            self.act(action)?;
        }
        if at.is_some() {
            self.note(|| "crash after the store".into());
            if self.mutant == Mutant::LastEntryLost {
                self.journal.pop();
            }
            return self.crash();
        }
        if self.dice.chance(self.rates.jumps) && self.late < self.now {
            // The machine sleeps; the vendors go on.
            let long = self.dice.between(1_000, 400_000);
            self.note(|| format!("sleeps for {long} ms"));
            self.late = self.now + long;
            self.lost_time += long;
        }
        self.set_tick()
    }

    fn set_tick(&mut self) -> Result<(), String> {
        let wall = self.wall();
        let Some(relay) = &self.relay else {
            self.tick_at = None;
            return Ok(());
        };
        let wake = relay.wake_at(wall);
        if let Some(at) = wake.filter(|at| *at <= wall) {
            return Err(format!("wakes in the past: {at} at {wall}"));
        }
        self.tick_at = wake.map(|at| {
            let millis = (at - wall).num_microseconds().unwrap_or(i64::MAX) / 1000 + 1;
            (self.now + u64::try_from(millis).unwrap()).max(self.late)
        });
        Ok(())
    }

    fn store(&mut self, step: &mut Step) -> Result<(), String> {
        for (number, announcement) in &step.announcements {
            self.announced.push(*announcement);
            if usize::try_from(*number).unwrap() != self.announced.len() {
                return Err(format!("announcement {number} {announcement} out of order"));
            }
        }
        let wall = self.wall();
        let stale = self.durable().is_some_and(|d| d.ingest.key_stale);
        for fact in step.facts.drain(..) {
            self.vendors.note_kept(&fact, stale, self.now)?;
            match &fact {
                Fact::CleanupAdded { cleanup_job } => self.defer((**cleanup_job).clone()),
                Fact::IngestReady { .. } | Fact::KeyRenewed => {}
                Fact::Ended { cost } => self.check_cost(cost.is_some())?,
                _ => {}
            }
            self.journal.push((wall, fact));
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.relay = None;
        self.tick_at = None;
        self.key = None;
        self.report.crashes += 1;
        let long = match self.dice.between(0, 100) {
            0..60 => self.dice.between(500, 5_000),
            60..90 => self.dice.between(5_000, 120_000),
            90..99 => self.dice.between(120_000, 1_800_000),
            _ => 7 * 3_600_000,
        };
        self.lost_time += long + 30_000;
        self.stored = Durable::replay(self.journal.iter().map(|(at, fact)| (*at, fact)))
            .map_err(|e| e.to_string())?;
        self.later(long, Item::Restart);
        Ok(())
    }

    pub(super) fn restart(&mut self) -> Result<(), String> {
        let Some(durable) = self.stored.take() else {
            // The request was never stored.
            return Ok(());
        };
        self.incarnation += 1;
        if self.dice.chance(50) {
            let was = self.offset;
            self.offset = i64::try_from(self.dice.between(0, 240_000)).unwrap() - 120_000;
            self.lost_time += (self.offset - was).unsigned_abs();
        }
        let (life, offset) = (self.incarnation, self.offset);
        self.note(|| format!("life {life}, clock off by {offset}"));
        self.relay = Some(Relay::load(durable, self.incarnation));
        if std::mem::take(&mut self.stop_waits) {
            let wait = self.dice.between(0, 3_000);
            self.later(wait, Item::Stop);
        }
        self.later(1_000, Item::CleanupJobs);
        let jitter = self.jitter();
        self.tell(Event::Recovered { jitter })
    }
}
