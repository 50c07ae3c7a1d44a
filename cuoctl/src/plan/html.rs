//! The plan as a page: one file without scripts, fonts or anything else from a network, legible in the dark and in the light.

use std::fmt::Write;

use cuo_core::time::Time;

use super::foreseen::{Foreseen, called};
use super::scale::Scale;
use crate::forecast::Reboot;

/// Height of a line, in pixels.
const LINE: usize = 22;
/// Width of the names, in pixels.
const NAMES: usize = 220;
/// Width of the timeline, in pixels.
const WIDTH: usize = 900;
/// How many times are written under it.
const MARKS: i64 = 6;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --faint: #667085; --line: #d0d5dd; --back: #ffffff; --drain: #e5a00d; --boot: #2f6fed; --bad: #c4320a; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --faint: #98a2b3; --line: #344054; --back: #14181f; --drain: #f5c451; --boot: #6ea0ff; --bad: #ff8a65; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem; }
svg { max-width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
.faint, svg text.faint { color: var(--faint); fill: var(--faint); } .bad { color: var(--bad); }
.grid { stroke: var(--line); } .drain { fill: var(--drain); } .boot { fill: var(--boot); }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
";

/// The page.
pub fn page(plan: &Foreseen) -> String {
    let forecast = &plan.forecast;
    let mut body = format!(
        "<h1>What the operator would do</h1>\n<p class=\"faint\">From {} until {}; times are in UTC. Assumed: {}.</p>\n",
        forecast.from,
        forecast.until,
        escaped(&plan.assumed.join("; "))
    );
    if let Some(end) = plan.end {
        let _ = writeln!(body, "<p>All nodes are up to date at <b>{end}</b>.</p>");
    }
    for unknown in &plan.unknown {
        let _ = writeln!(
            body,
            "<p class=\"bad\">Not known: {}.</p>",
            escaped(unknown)
        );
    }
    for late in &plan.late {
        let _ = writeln!(body, "<p class=\"bad\">{}.</p>", escaped(late));
    }
    body += &timeline(plan);
    if !forecast.turns.is_empty() {
        let rows = forecast.turns.iter().map(|turn| {
            [
                turn.at.to_string(),
                turn.pool.to_string(),
                turn.what.clone(),
            ]
        });
        body += &table("Pools", ["Time", "Pool", "What happens"], rows);
    }
    if !forecast.left.is_empty() {
        let rows = forecast.left.iter().map(|left| {
            let until = if left.later { "later" } else { "somebody acts" };
            [
                left.node.to_string(),
                until.to_owned(),
                left.reason.to_string(),
            ]
        });
        body += &table("Nodes that wait", ["Node", "Until", "Why"], rows);
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>CUO: plan</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn timeline(plan: &Foreseen) -> String {
    let reboots = &plan.forecast.reboots;
    let Some(scale) = Scale::of(plan) else {
        return format!("<p>No node reboots until {}.</p>\n", plan.forecast.until);
    };
    let (width, height) = (NAMES + WIDTH + 100, (reboots.len() + 2) * LINE);
    let marks: String = (0..MARKS)
        .map(|number| mark(scale, number, reboots.len() * LINE))
        .collect();
    let bars = reboots.iter().enumerate();
    let bars: String = bars
        .map(|(number, reboot)| bar(scale, number * LINE, reboot))
        .collect();
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"Reboots over time\">\n{marks}{bars}</svg>\n{LEGEND}"
    )
}

/// What the colours mean.
const LEGEND: &str = "<p class=\"faint\"><svg width=\"12\" height=\"12\"><rect class=\"drain\" width=\"12\" height=\"12\"/></svg> drain &nbsp; <svg width=\"12\" height=\"12\"><rect class=\"boot\" width=\"12\" height=\"12\"/></svg> reboot</p>\n";

/// Where a moment is, in pixels from the left.
fn place(scale: Scale, at: Time) -> usize {
    NAMES + scale.place(at, WIDTH)
}

/// A line down to `lines` with the time under it.
fn mark(scale: Scale, number: i64, lines: usize) -> String {
    let at = scale.moment(number, MARKS - 1);
    let (x, y) = (place(scale, at), lines + LINE);
    let time = at.timestamp().strftime("%m-%d %H:%M");
    format!(
        "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{lines}\"/><text class=\"faint\" x=\"{x}\" y=\"{y}\">{time}</text>\n"
    )
}

/// A reboot, in the line that begins at `top`.
fn bar(scale: Scale, top: usize, reboot: &Reboot) -> String {
    let (start, drained) = (place(scale, reboot.granted), place(scale, reboot.drained));
    let done = place(scale, reboot.done);
    let title = format!(
        "{}: {} granted {}, done {}",
        reboot.node,
        called(reboot),
        reboot.granted,
        reboot.done
    );
    let (y, text, high) = (top + 4, top + 15, LINE - 8);
    // Beside the bar, where there is more room.
    let (label, anchor) = match start > NAMES + WIDTH / 2 {
        true => (start - 6, "end"),
        false => (done + 6, "start"),
    };
    format!(
        "<g><title>{}</title><text x=\"0\" y=\"{text}\">{}</text><rect class=\"drain\" x=\"{start}\" y=\"{y}\" width=\"{}\" height=\"{high}\"/><rect class=\"boot\" x=\"{drained}\" y=\"{y}\" width=\"{}\" height=\"{high}\"/><text class=\"faint\" x=\"{label}\" y=\"{text}\" text-anchor=\"{anchor}\">{}</text></g>\n",
        escaped(&title),
        escaped(reboot.node.as_str()),
        drained.saturating_sub(start),
        // However short it is, it is to be seen.
        done.saturating_sub(drained).max(2),
        escaped(&called(reboot)),
    )
}

fn table<const N: usize>(
    title: &str,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let head: String = head.iter().map(|head| format!("<th>{head}</th>")).collect();
    let rows: String = rows
        .map(|row| {
            let cells = row.iter().map(|cell| format!("<td>{}</td>", escaped(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        })
        .collect();
    format!("<h2>{title}</h2>\n<table>\n<tr>{head}</tr>\n{rows}</table>\n")
}

/// What a page may quote from a cluster.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
