//! The report as Markdown.

use std::fmt::Write as _;

use super::Report;

impl Report {
    pub(in crate::soak) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let run = &self.run;
        writeln!(
            text,
            "`--relays {} --hours {} --speed {} --seed {}`: {:.0} s, {}.\n",
            run.relays,
            run.hours,
            run.speed,
            run.seed,
            run.took.as_secs_f64(),
            run.settled_after.map_or_else(
                || "not settled".to_owned(),
                |after| format!("settled {:.0} s after the last show", after.as_secs_f64())
            )
        )?;
        writeln!(text, "| relays by outcome | |\n|---|---:|")?;
        for (outcome, relays) in &self.outcomes {
            writeln!(text, "| `{outcome}` | {relays} |")?;
        }
        writeln!(text, "| **started** | **{}** |", self.started)?;
        writeln!(text, "| went live | {} |", self.went_live)?;
        writeln!(text, "| egresses replaced | {} |", self.replacements)?;
        let (kept, ingests) = (self.kept.relays, self.kept.ingests.len());
        writeln!(
            text,
            "| used an ingest that their channel keeps | {kept} of {ingests} ingests |\n"
        )?;
        self.write_faults(text)?;
        self.write_end(text)?;
        match self.broken().as_slice() {
            [] => writeln!(text, "Every promise holds."),
            broken => {
                writeln!(text, "**Broken promises:**\n")?;
                broken
                    .iter()
                    .try_for_each(|what| writeln!(text, "- {what}"))
            }
        }
    }

    fn write_faults(&self, text: &mut String) -> std::fmt::Result {
        let processes = &self.processes;
        writeln!(text, "| faults | |\n|---|---:|")?;
        writeln!(text, "| calls that a fault made fail | {} |", self.faults)?;
        writeln!(text, "| service killed (SIGKILL) | {} |", processes.killed)?;
        writeln!(
            text,
            "| service terminated (SIGTERM) | {} |",
            processes.terminated
        )?;
        writeln!(text, "| service started | {} |", processes.started)?;
        writeln!(text, "| service crashed | {} |", processes.crashed.len())?;
        writeln!(text, "| ERROR lines in its log | {} |", self.errors.len())?;
        for (kind, times) in &self.violations {
            writeln!(text, "| violations `{kind}` | {times} |")?;
        }
        writeln!(text)
    }

    fn write_end(&self, text: &mut String) -> std::fmt::Result {
        let (left, ledger, processes) = (&self.left, &self.ledger, &self.processes);
        let orphans = left.live_inputs.len() + left.egresses.len();
        let cleanup = &self.cleanup;
        let memory = |kib: Option<u64>| {
            kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB", kib / 1024))
        };
        writeln!(text, "| at the end | |\n|---|---:|")?;
        writeln!(text, "| unfinished relays | {} |", self.unfinished.len())?;
        writeln!(text, "| orphans | {orphans} |")?;
        writeln!(text, "| open cleanups | {} |", cleanup.open.len())?;
        writeln!(
            text,
            "| egresses whose session is unknown, which end by themselves | {} |",
            cleanup.unknown_sessions.len()
        )?;
        writeln!(
            text,
            "| egresses that still run, cut off from Cloudflare | {} |",
            left.cut_off.len()
        )?;
        writeln!(
            text,
            "| cleanups whose target no longer exists | {} |",
            cleanup.second_polls
        )?;
        writeln!(
            text,
            "| recordings not found, polled again after 1 h and 24 h | {} |",
            cleanup.late_recordings
        )?;
        writeln!(text, "| relays that need a cost row | {} |", ledger.relays)?;
        writeln!(text, "| cost rows | {} |", ledger.rows)?;
        writeln!(
            text,
            "| rows equal to the vendor's recordings, to the second | {} ({} s for {:.1} s) |",
            ledger.exact,
            ledger.seconds,
            ledger.recorded.as_secs_f64()
        )?;
        writeln!(
            text,
            "| rows computed from the time live | {} |",
            ledger.by_time
        )?;
        writeln!(
            text,
            "| memory of the first process, at its start | {} |",
            memory(processes.rss_at_start)
        )?;
        writeln!(
            text,
            "| memory of the last process, at its end | {} |",
            memory(processes.rss_at_end)
        )?;
        writeln!(
            text,
            "| peak memory of any process | {} |\n",
            memory(processes.rss_peak)
        )
    }
}
