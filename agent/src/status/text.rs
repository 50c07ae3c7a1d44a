//! The report as text for people.

use std::fmt::Write;

use cuo_core::release::Following;
use cuo_core::time::Time;
use cuo_core::values::{Outcome, RebootResult};

use super::report::{Report, Shown};
use crate::answer::{Granted, LookState};

/// The report as of `now`, one line for each known fact: first what the agent reports, which is known at once, and last what is not known.
pub fn of(report: &Report, now: Time) -> String {
    let mut lines = Lines::default();
    agent(&mut lines, report, now);
    lines.maybe("Booted", report.booted.as_ref().map(deployment));
    lines.maybe("Pending", report.pending.as_ref().map(deployment));
    for other in &report.others {
        lines.put("Other", deployment(other));
    }
    for why in &report.unknown {
        lines.put("Unknown", why.clone());
    }
    lines.0
}

/// The lines about the agent.
fn agent(lines: &mut Lines, report: &Report, now: Time) {
    let agent = &report.agent;
    lines.put(
        "Agent",
        match (agent.running, agent.pid, &agent.version) {
            (true, Some(pid), Some(version)) => format!("runs, version {version}, process {pid}"),
            (true, Some(pid), None) => format!("runs, process {pid}"),
            _ => "does not run".to_owned(),
        },
    );
    lines.maybe("Node", report.node.clone());
    let since = report.since.map(|since| format!(" since {since}"));
    let phase = report.phase.map(|phase| {
        let since = since.unwrap_or_default();
        format!("{phase}{since}: {}", phase.means())
    });
    lines.maybe("Phase", phase);
    if let Some(reason) = &report.reason {
        lines.put("Reason", format!("{}: {}", reason.code, reason.message));
        lines.put("", format!("What to do: {}", reason.remedy));
    }
    lines.maybe(
        "Grant",
        report.grant.as_ref().map(|known| grant(known, now)),
    );
    if let Some(release) = &report.release {
        follows(lines, release);
    }
    if let Some(check) = &report.check {
        checked(lines, check, now);
    }
    if let Some(next) = &report.next {
        let at = next.at.map(|at| match at > now {
            true => format!(", at {at}"),
            false => format!(", due since {at}"),
        });
        lines.put("Next", format!("{}{}", next.what, at.unwrap_or_default()));
    }
    if let Some(result) = &report.result {
        lines.put("Last", answer(result));
    }
    for failure in &report.failed {
        let text = format!("{} at {}: {}", failure.identity, failure.at, failure.code);
        lines.put("Failed", text);
    }
}

fn follows(lines: &mut Lines, release: &Following) {
    let Following {
        source,
        reference,
        goal,
        behind,
    } = release;
    lines.put("Source", format!("{source}; the host follows {reference}"));
    let behind = behind.filter(|behind| *behind > 0);
    let behind = behind.map(|behind| match behind {
        1 => ", one release behind".to_owned(),
        many => format!(", {many} releases behind"),
    });
    let goal = goal.as_ref().map(|goal| {
        let short = goal.identity.short();
        let name = goal
            .version
            .as_ref()
            .map(|version| format!("{version} ({short})"));
        let name = name.unwrap_or(short);
        format!("on the way to {name}{}", behind.unwrap_or_default())
    });
    lines.maybe("", goal);
}

fn checked(lines: &mut Lines, check: &LookState, now: Time) {
    let at = check.last.map(|last| last.to_string());
    let at = at.unwrap_or_else(|| "not yet".to_owned());
    let next = check.next.map(|next| match next > now {
        true => format!(", again {next}"),
        false => format!(", due again since {next}"),
    });
    lines.put("Checked", at + &next.unwrap_or_default());
    lines.maybe("", check.error.as_ref().map(|why| format!("failed: {why}")));
}

fn answer(result: &RebootResult) -> String {
    let outcome = match result.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Aborted => "given up",
        Outcome::Failed => "failed",
    };
    let code = result.code.as_ref().map(|code| format!(" ({code})"));
    let code = code.unwrap_or_default();
    format!("grant {} {outcome}{code} at {}", result.id, result.at)
}

fn deployment(shown: &Shown) -> String {
    let staged = match (shown.staged, shown.locked) {
        (false, _) => "",
        (true, None) => ", staged",
        (true, Some(true)) => ", staged and locked",
        (true, Some(false)) => ", staged and not locked",
    };
    format!("{} ({}){staged}", shown.version, shown.identity.short())
}

fn grant(grant: &Granted, now: Time) -> String {
    let when = match (grant.accepted, grant.deadline) {
        (Some(at), _) => format!(", accepted {at}"),
        (None, Some(until)) if until < now => format!(", lapsed at {until}"),
        (None, Some(until)) => format!(", to be accepted by {until}"),
        (None, None) => String::new(),
    };
    format!("{} for {}{when}", grant.id, grant.identity.short())
}

/// Lines with their labels in a column.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn put(&mut self, name: &str, text: String) {
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("{name}:")
        };
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "{name:<9}{text}");
    }

    fn maybe(&mut self, name: &str, text: Option<String>) {
        if let Some(text) = text {
            self.put(name, text);
        }
    }
}

#[cfg(test)]
mod tests;
