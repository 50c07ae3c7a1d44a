//! What is shown while an update goes through: a table on a terminal, a line for each change elsewhere.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use cuo_core::node::NodeView;
use cuo_core::time::Time;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, Budget, SiteSpec, Workloads};
use cuo_lab::machine::OriginKind;
use jiff::Timestamp;

/// How often the table is drawn again, so that times go on.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// Width where none is known.
const WIDTH: usize = 120;

/// One node as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    phase: Option<Phase>,
    since: Option<Time>,
    version: String,
    out: bool,
    reason: String,
}

impl Row {
    fn new(node: &NodeView, event: Option<&String>) -> Self {
        let status = node.agent.status.value();
        let phase = status.map(|status| status.phase);
        let agent = node.agent.reason.value().map(ToString::to_string);
        // What the operator last reported is about the wait, and old news once that is over.
        let operator = || event.filter(|_| phase == Some(Phase::Waiting)).cloned();
        let booted = node.agent.booted.value();
        Self {
            phase,
            since: status.map(|status| status.since),
            version: booted.map_or_else(|| "?".to_owned(), |booted| booted.version.clone()),
            out: !node.ready || node.unschedulable,
            reason: agent.or_else(operator).unwrap_or_default(),
        }
    }

    fn service(&self) -> &'static str {
        if self.out { "out" } else { "in service" }
    }

    fn phase(&self) -> &'static str {
        self.phase.map_or("?", Phase::as_str)
    }
}

/// Where it is shown.
pub struct Screen {
    origins: BTreeMap<String, &'static str>,
    start: Instant,
    terminal: bool,
    colour: bool,
    /// Lines of the table on the terminal now.
    drawn: usize,
    rows: BTreeMap<String, Row>,
    title: String,
}

impl Screen {
    pub fn start(specs: &[SiteSpec]) -> Self {
        let origin = |spec: &SiteSpec| match spec.host.origin {
            OriginKind::Ostree => "ostree",
            OriginKind::Container => "container",
        };
        let terminal = std::io::stderr().is_terminal();
        Self {
            origins: specs
                .iter()
                .map(|spec| (spec.name.clone(), origin(spec)))
                .collect(),
            start: Instant::now(),
            terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            drawn: 0,
            rows: BTreeMap::new(),
            title: String::new(),
        }
    }

    /// Begins something new.
    pub fn say(&mut self, title: &str) {
        self.end();
        self.title = title.to_owned();
        eprintln!("==> {title}");
    }

    /// Leaves what is on the terminal there.
    pub fn end(&mut self) {
        self.drawn = 0;
    }

    /// Shows what happens until it is dropped.
    pub async fn follow(&mut self, bench: &Bench, work: &Workloads) -> Infallible {
        let mut changes = bench.recorder.changes();
        loop {
            self.draw(bench, work);
            // Either is a reason to look; that nobody records any more shows elsewhere.
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(DRAW_EVERY) => {}
            }
        }
    }

    /// Shows how things are now.
    pub fn draw(&mut self, bench: &Bench, work: &Workloads) {
        let events = work.events();
        let rows = bench.recorder.nodes().into_iter().map(|(name, node)| {
            let name = name.to_string();
            let row = Row::new(&node, events.get(&name));
            (name, row)
        });
        let rows: BTreeMap<_, _> = rows.collect();
        // What can't be shown is no reason to fail.
        let _ = match self.terminal {
            true => self.table(&rows, work),
            false => self.lines(&rows),
        };
        self.rows = rows;
    }

    fn lines(&self, rows: &BTreeMap<String, Row>) -> std::io::Result<()> {
        let mut out = std::io::stderr().lock();
        for (name, row) in rows {
            if self.rows.get(name) != Some(row) {
                writeln!(
                    out,
                    "{:>6.1}s  {name:<10} {:<10} {:<10} {}  {}",
                    self.start.elapsed().as_secs_f64(),
                    row.phase(),
                    row.service(),
                    row.version,
                    row.reason
                )?;
            }
        }
        Ok(())
    }

    fn table(&mut self, rows: &BTreeMap<String, Row>, work: &Workloads) -> std::io::Result<()> {
        let width = rustix::termios::tcgetwinsize(std::io::stderr())
            .map_or(WIDTH, |size| usize::from(size.ws_col).max(40));
        let elapsed = self.start.elapsed();
        let lines = self.picture(
            rows,
            &work.budgets(),
            elapsed,
            Timestamp::now().into(),
            width,
        );
        let mut out = std::io::stderr().lock();
        out.write_all(&redraw(self.drawn, &lines))?;
        self.drawn = lines.len();
        out.flush()
    }

    /// The table line by line, none longer than the terminal is wide: a line that wraps would be drawn over.
    fn picture(
        &self,
        rows: &BTreeMap<String, Row>,
        budgets: &BTreeMap<String, Budget>,
        elapsed: Duration,
        now: Time,
        width: usize,
    ) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<11} {:<10} {:<11} {:<7} {:<11} {:<16} REASON",
            "NODE", "ORIGIN", "PHASE", "SINCE", "SERVICE", "VERSION"
        )];
        for (name, row) in rows {
            let since = row.since.map_or_else(String::new, |since| {
                format!("{} s", now.since(since).as_secs().max(0))
            });
            lines.push(format!(
                "{name:<11} {:<10} {:<11} {since:<7} {:<11} {:<16} {}",
                self.origins.get(name).unwrap_or(&""),
                row.phase(),
                row.service(),
                row.version,
                row.reason
            ));
        }
        let budgets = budgets.iter().map(|(name, budget)| {
            format!(
                "{name} {} healthy, at least {}",
                budget.healthy, budget.desired
            )
        });
        let budgets: Vec<_> = budgets.collect();
        lines.push(format!(
            "{:.0} s; {}",
            elapsed.as_secs_f64(),
            budgets.join("; ")
        ));
        let painted = lines.iter().enumerate().map(|(at, line)| {
            let line: String = line.chars().take(width - 1).collect();
            let row = at.checked_sub(1).and_then(|at| rows.values().nth(at));
            let (begin, end) = self.paint(at, row);
            format!("{begin}{}{end}", line.trim_end())
        });
        painted.collect()
    }

    fn paint(&self, line: usize, row: Option<&Row>) -> (&'static str, &'static str) {
        let code = match row {
            _ if !self.colour => return ("", ""),
            _ if line == 0 => "\x1b[1m",
            Some(row) if row.phase == Some(Phase::Failed) => "\x1b[31m",
            Some(row) if row.out => "\x1b[33m",
            Some(row) if row.phase == Some(Phase::Idle) => "\x1b[32m",
            _ => return ("", ""),
        };
        (code, "\x1b[0m")
    }
}

/// What puts `lines` on the terminal in place of the `drawn` lines above the cursor.
fn redraw(drawn: usize, lines: &[String]) -> Vec<u8> {
    let mut out = String::new();
    if drawn > 0 {
        out.push_str(&format!("\x1b[{drawn}A"));
    }
    for line in lines {
        out.push_str(&format!("\r\x1b[K{line}\n"));
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests;
