//! The agent's metrics, as text for node_exporter's textfile collector: the agent itself opens no port.
//!
//! The text is Prometheus' own format, of which that collector reads this much: `HELP` and `TYPE` for each metric, and no time of a sample.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use cuo_core::reason::Code;
use cuo_core::time::Time;
use cuo_core::values::{Outcome, Phase};

/// What the agent has counted since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    succeeded: u64,
    failed: BTreeMap<Code, u64>,
    downloads: u64,
    outcomes: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Counts a look for updates, with the code of what failed.
    pub fn look(&mut self, failed: Option<Code>) {
        match failed {
            Some(code) => *self.failed.entry(code).or_default() += 1,
            None => self.succeeded += 1,
        }
    }

    /// Counts an update that was downloaded and staged.
    pub fn download(&mut self) {
        self.downloads += 1;
    }

    /// Counts the answer to a grant.
    pub fn answer(&mut self, outcome: Outcome) {
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
    }
}

/// What the metrics are made of.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The agent's version.
    pub version: &'a str,
    /// The agent's phase.
    pub phase: Phase,
    /// When the agent entered the phase.
    pub since: Time,
    /// The code of the reason that it reports.
    pub reason: Option<Code>,
    /// When a look for updates last succeeded.
    pub looked: Option<Time>,
    /// rpm-ostreed answered when it was last asked.
    pub daemon_up: bool,
    /// What was counted.
    pub counts: &'a Counts,
}

/// All metrics.
pub fn text(known: &Known<'_>) -> String {
    let mut page = Page::default();
    let version = ("version", known.version);
    page.gauge("build_info", "The agent that runs.")
        .labelled(version, 1);
    let phases = page.gauge(
        "phase",
        "The phase that the agent is in: 1 for that one, and 0 for the others.",
    );
    for phase in Phase::ALL {
        let now = *phase == known.phase;
        phases.labelled(("phase", phase.as_str()), now.into());
    }
    page.gauge(
        "phase_since_timestamp_seconds",
        "Since when the agent is in its phase.",
    )
    .plain(seconds(known.since));
    if let Some(looked) = known.looked {
        let help = "When a look for updates last succeeded; absent until one has.";
        page.gauge("last_look_timestamp_seconds", help)
            .plain(seconds(looked));
    }
    counts(&mut page, known.counts);
    if let Some(code) = known.reason {
        let help = "The reason that the agent reports now; absent if there is none.";
        page.gauge("reason", help)
            .labelled(("code", code.as_str()), 1);
    }
    let help = "Whether rpm-ostreed answered when it was last asked: 1 or 0.";
    page.gauge("daemon_up", help).plain(known.daemon_up.into());
    page.text
}

fn counts(page: &mut Page, counts: &Counts) {
    let help = "Looks for updates since the agent started, by result: `ok`, or the code of the reason why they failed.";
    let looks = page.counter("looks_total", help);
    looks.labelled(("result", "ok"), counts.succeeded);
    for (code, count) in &counts.failed {
        looks.labelled(("result", code.as_str()), *count);
    }
    let help = "Updates that the agent had downloaded and staged since it started.";
    page.counter("downloads_total", help)
        .plain(counts.downloads);
    let help = "Grants that were answered since the agent started, by outcome.";
    let reboots = page.counter("reboots_total", help);
    for outcome in Outcome::ALL {
        let count = counts.outcomes.get(outcome.as_str());
        let count = count.copied().unwrap_or_default();
        reboots.labelled(("outcome", outcome.as_str()), count);
    }
}

/// A time as Prometheus has it. No time of a host is before 1970.
fn seconds(time: Time) -> u64 {
    u64::try_from(time.timestamp().as_second()).unwrap_or_default()
}

/// The text so far, and the name of the last metric.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

// Writing to a String can't fail.
impl Page {
    fn gauge(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.metric("gauge", name, help)
    }

    fn counter(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.metric("counter", name, help)
    }

    /// `help` has neither backslashes nor more than one line.
    fn metric(&mut self, kind: &str, name: &'static str, help: &str) -> &mut Self {
        self.name = name;
        let _ = writeln!(self.text, "# HELP cuo_agent_{name} {help}");
        let _ = writeln!(self.text, "# TYPE cuo_agent_{name} {kind}");
        self
    }

    fn plain(&mut self, value: u64) {
        self.sample(&"", value);
    }

    fn labelled(&mut self, (label, text): (&str, &str), value: u64) {
        let text = escaped(text);
        self.sample(&format_args!("{{{label}=\"{text}\"}}"), value);
    }

    fn sample(&mut self, labels: &dyn Display, value: u64) {
        let _ = writeln!(self.text, "cuo_agent_{}{labels} {value}", self.name);
    }
}

/// `text` as the value of a label.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
