//! The report as people read it.

use std::fmt::Write as _;

use super::Report;

impl Report {
    /// As Markdown.
    pub(in crate::cli::soak) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let run = &self.run;
        writeln!(
            text,
            "`relaykeeper soak --relays {} --hours {} --speed {} --seed {}`: {:.0} s, {}.\n",
            run.relays,
            run.hours,
            run.speed,
            run.seed,
            run.took.as_secs_f64(),
            run.settled_after.map_or_else(
                || "not at rest when it was over".to_owned(),
                |after| format!("at rest {:.0} s after the last show", after.as_secs_f64())
            )
        )?;
        writeln!(text, "| relays by outcome | |\n|---|---:|")?;
        for (outcome, relays) in &self.outcomes {
            writeln!(text, "| `{outcome}` | {relays} |")?;
        }
        writeln!(text, "| **started** | **{}** |", self.started)?;
        writeln!(text, "| went live | {} |", self.went_live)?;
        writeln!(text, "| recorders replaced | {} |\n", self.replacements)?;
        self.write_troubles(text)?;
        self.write_rest(text)?;
        match self.broken().as_slice() {
            [] => writeln!(text, "Everything that must hold holds."),
            broken => {
                writeln!(text, "**What must hold does not:**\n")?;
                broken
                    .iter()
                    .try_for_each(|what| writeln!(text, "- {what}"))
            }
        }
    }

    fn write_troubles(&self, text: &mut String) -> std::fmt::Result {
        let lives = &self.lives;
        writeln!(text, "| troubles | |\n|---|---:|")?;
        writeln!(text, "| calls a fault made go wrong | {} |", self.faults)?;
        writeln!(text, "| service killed (SIGKILL) | {} |", lives.killed)?;
        writeln!(
            text,
            "| service told to go (SIGTERM) | {} |",
            lives.told_to_go
        )?;
        writeln!(text, "| service started | {} |", lives.started)?;
        writeln!(text, "| service ended by itself | {} |", lives.died.len())?;
        writeln!(text, "| ERROR lines in its log | {} |", self.errors.len())?;
        for (kind, times) in &self.violations {
            writeln!(text, "| vendors noted `{kind}` | {times} |")?;
        }
        writeln!(text)
    }

    fn write_rest(&self, text: &mut String) -> std::fmt::Result {
        let (left, ledger, lives) = (&self.left, &self.ledger, &self.lives);
        let orphans = left.live_inputs.len() + left.recorders.len();
        let owed = &self.owed;
        let memory = |kib: Option<u64>| {
            kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB", kib / 1024))
        };
        writeln!(text, "| at the end | |\n|---|---:|")?;
        writeln!(text, "| unfinished relays | {} |", self.unfinished.len())?;
        writeln!(text, "| orphans | {orphans} |")?;
        writeln!(text, "| debts open | {} |", owed.open.len())?;
        writeln!(
            text,
            "| sessions of recorders nobody was told, owed until their own hours are over | {} |",
            owed.nameless.len()
        )?;
        writeln!(
            text,
            "| of these recorders that still run, cut off from Cloudflare | {} |",
            left.cut_off.len()
        )?;
        writeln!(
            text,
            "| second looks for what the vendors do not have any more | {} |",
            owed.second_looks
        )?;
        writeln!(
            text,
            "| recordings that did not turn up, looked for again after 1 h and 24 h | {} |",
            owed.late_recordings
        )?;
        writeln!(
            text,
            "| relays that are to have a cost row | {} |",
            ledger.relays
        )?;
        writeln!(text, "| cost rows | {} |", ledger.rows)?;
        writeln!(
            text,
            "| of these as the vendor's recordings are, to the second | {} ({} s for {:.1} s) |",
            ledger.exact,
            ledger.seconds,
            ledger.recorded.as_secs_f64()
        )?;
        writeln!(text, "| of these by the time live | {} |", ledger.by_time)?;
        writeln!(
            text,
            "| memory of the first life, at its start | {} |",
            memory(lives.rss_at_start)
        )?;
        writeln!(
            text,
            "| memory of the last life, at its end | {} |",
            memory(lives.rss_at_end)
        )?;
        writeln!(
            text,
            "| most memory of any life | {} |\n",
            memory(lives.rss_at_most)
        )
    }
}
