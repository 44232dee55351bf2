//! The live line of a run: a bar on a terminal, a line a second elsewhere. Knows only the counters it is shown.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// What the line shows, counted since the stage began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) elapsed: Duration,
    pub(crate) acknowledged_records: u64,
    pub(crate) acknowledged_bytes: u64,
    pub(crate) received_bytes: u64,
}

/// The line of one stage.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    live: bool,
    stage: &'static str,
    before: Counters,
}

impl Progress {
    /// Begins the line of a stage that is to last `length`.
    pub(crate) fn begin(stage: &'static str, length: Duration) -> Progress {
        let live = std::io::stderr().is_terminal();
        let bar = if live {
            ProgressBar::new(millis(length))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{prefix:<14} {bar:24} {msg}");
        bar.set_style(style.expect("the template is well formed"));
        bar.set_prefix(stage);
        Progress {
            bar,
            live,
            stage,
            before: Counters::default(),
        }
    }

    /// Shows where the stage stands; rates are those since the last call.
    pub(crate) fn show(&mut self, now: Counters) {
        let seconds = (now.elapsed - self.before.elapsed).as_secs_f64().max(1e-6);
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        let message = format!(
            "{:>5.1} s  produced {:>7.1} MB/s {:>9.0} records/s  consumed {:>7.1} MB/s",
            now.elapsed.as_secs_f64(),
            rate(now.acknowledged_bytes, self.before.acknowledged_bytes) / 1e6,
            rate(now.acknowledged_records, self.before.acknowledged_records),
            rate(now.received_bytes, self.before.received_bytes) / 1e6,
        );
        if self.live {
            self.bar.set_position(millis(now.elapsed));
            self.bar.set_message(message);
        } else {
            eprintln!("{:<14} {message}", self.stage);
        }
        self.before = now;
    }

    /// Ends the line.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
