//! The figures, for people and as JSON, and whether they are good enough.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// All sizes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub sizes: Vec<Size>,
    pub goals: Vec<Goal>,
}

/// Requests and bytes in a time, or for something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    pub requests: f64,
    pub bytes: f64,
}

/// One size. Times are in milliseconds, memory in KiB, traffic in bytes without TLS.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    pub nodes: usize,
    /// From the start of the process to the first grant.
    pub start_to_grant: f64,
    /// From `reboot-needed` to `reboot-ok`.
    pub grant_p50: f64,
    pub grant_p99: f64,
    /// From the answer of one node to the grant of the next.
    pub next_p50: f64,
    pub next_p99: f64,
    /// For one reboot, by verb and resource, without the lease.
    pub per_reboot: BTreeMap<String, Rate>,
    /// In an hour in which nothing happens.
    pub per_idle_hour: BTreeMap<String, Rate>,
    /// Watches that were opened after the first one.
    pub watch_restarts: u64,
    pub rss: u64,
    pub rss_peak: u64,
    /// Of one CPU, while idle.
    pub cpu_idle_percent: f64,
    /// CPU time for one reboot.
    pub cpu_per_reboot: f64,
    pub takeover_term: f64,
    pub takeover_kill: f64,
    /// `cuoctl status`, and the most memory that it had.
    pub status: f64,
    pub status_peak: u64,
    /// A loop over all Nodes, as predecessors have it: how long one pass takes, and what it costs in an hour.
    pub plain_pass: f64,
    pub plain_per_hour: Rate,
}

fn sum(rates: &BTreeMap<String, Rate>) -> Rate {
    let add = |sum: Rate, rate: &Rate| Rate {
        requests: sum.requests + rate.requests,
        bytes: sum.bytes + rate.bytes,
    };
    rates.values().fold(Rate::default(), add)
}

/// It is a write, and not the lease's.
pub fn is_write(what: &str) -> bool {
    let reads = ["get ", "list ", "watch "];
    !what.ends_with(" leases") && !reads.iter().any(|verb| what.starts_with(verb))
}

impl Size {
    /// Writes in an idle hour that are not the lease's.
    fn idle_writes(&self) -> f64 {
        let writes = self.per_idle_hour.iter().filter(|(what, _)| is_write(what));
        // A sum of nothing would be shown as -0.
        writes.fold(0.0, |sum, (_, rate)| sum + rate.requests)
    }
}

/// What a figure should be at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    pub what: String,
    pub figure: f64,
    pub limit: f64,
    pub met: bool,
}

impl Goal {
    fn new(what: String, figure: f64, limit: f64) -> Self {
        let met = figure <= limit;
        Self {
            what,
            figure,
            limit,
            met,
        }
    }
}

type Column = fn(&Size) -> f64;

/// Every row of the table: name, unit, figure.
const ROWS: [(&str, &str, Column); 21] = [
    ("start to first grant", "ms", |size| size.start_to_grant),
    ("grant, p50", "ms", |size| size.grant_p50),
    ("grant, p99", "ms", |size| size.grant_p99),
    ("next grant, p50", "ms", |size| size.next_p50),
    ("next grant, p99", "ms", |size| size.next_p99),
    ("requests a reboot", "", |size| {
        sum(&size.per_reboot).requests
    }),
    ("bytes a reboot", "", |size| sum(&size.per_reboot).bytes),
    ("requests an idle hour", "", |size| {
        sum(&size.per_idle_hour).requests
    }),
    ("bytes an idle hour", "", |size| {
        sum(&size.per_idle_hour).bytes
    }),
    ("watch restarts", "", |size| size.watch_restarts as f64),
    ("memory", "KiB", |size| size.rss as f64),
    ("memory, peak", "KiB", |size| size.rss_peak as f64),
    ("CPU while idle", "%", |size| size.cpu_idle_percent),
    ("CPU a reboot", "ms", |size| size.cpu_per_reboot),
    ("take-over after SIGTERM", "ms", |size| size.takeover_term),
    ("take-over after SIGKILL", "ms", |size| size.takeover_kill),
    ("cuoctl status", "ms", |size| size.status),
    ("cuoctl status, peak", "KiB", |size| size.status_peak as f64),
    ("plain loop: one pass", "ms", |size| size.plain_pass),
    ("plain loop: requests an hour", "", |size| {
        size.plain_per_hour.requests
    }),
    ("plain loop: bytes an hour", "", |size| {
        size.plain_per_hour.bytes
    }),
];

/// A conflict now and then is another request; more than this is not the same number any more.
const SAME: f64 = 1.25;

impl Report {
    /// Compares the figures with what they should be.
    pub fn judge(&mut self) {
        let mut goals = Vec::new();
        for size in &self.sizes {
            let named = |what: &str| format!("{what} with {} nodes", size.nodes);
            let grant = match size.nodes {
                ..=1000 => 250.0,
                _ => 1000.0,
            };
            goals.push(Goal::new(named("grant, p99, ms"), size.grant_p99, grant));
            let term = size.takeover_term;
            goals.push(Goal::new(named("take-over after SIGTERM, ms"), term, 300.0));
            goals.push(Goal::new(
                named("CPU while idle, %"),
                size.cpu_idle_percent,
                if size.nodes <= 5000 { 0.5 } else { 1.5 },
            ));
            if size.nodes <= 5000 {
                let peak = size.status_peak as f64;
                goals.push(Goal::new(named("cuoctl status, ms"), size.status, 2000.0));
                goals.push(Goal::new(
                    named("cuoctl status, peak, KiB"),
                    peak,
                    150.0 * 1024.0,
                ));
            }
            goals.push(Goal::new(
                named("writes in an idle hour"),
                size.idle_writes(),
                0.0,
            ));
            if size.nodes <= 1000 {
                let limit = 40.0 * 1024.0;
                goals.push(Goal::new(named("memory, KiB"), size.rss as f64, limit));
            }
        }
        for pair in self.sizes.windows(2) {
            let [less, more] = pair else { continue };
            let between =
                |what: &str| format!("{what} from {} to {} nodes", less.nodes, more.nodes);
            let growth = more.rss as f64 - less.rss as f64;
            let growth = growth / (more.nodes as f64 - less.nodes as f64);
            goals.push(Goal::new(between("memory, KiB a node"), growth, 4.0));
            let [few, many] = [less, more].map(|size| sum(&size.per_reboot).requests);
            let times = many / few.max(f64::MIN_POSITIVE);
            goals.push(Goal::new(between("requests a reboot, times"), times, SAME));
        }
        self.goals = goals;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<32}", "nodes")?;
        for size in &self.sizes {
            write!(f, "{:>16}", size.nodes)?;
        }
        writeln!(f)?;
        for (name, unit, column) in ROWS {
            write!(f, "{:<32}", format!("{name} {unit}"))?;
            for size in &self.sizes {
                write!(f, "{:>16.1}", column(size))?;
            }
            writeln!(f)?;
        }
        for size in &self.sizes {
            writeln!(f, "\n{} nodes", size.nodes)?;
            for (title, rates) in [
                ("a reboot", &size.per_reboot),
                ("an idle hour", &size.per_idle_hour),
            ] {
                for (what, Rate { requests, bytes }) in rates {
                    let name = format!("{title}: {what}");
                    writeln!(
                        f,
                        "  {name:<38}{requests:>10.1} requests{bytes:>14.0} bytes"
                    )?;
                }
            }
            let idle = sum(&size.per_idle_hour);
            let plain = size.plain_per_hour;
            writeln!(
                f,
                "  the plain loop: {:.0} times the requests and {:.0} times the bytes while idle; a pass takes {:.0} times as long as a grant (p50)",
                plain.requests / idle.requests.max(1.0),
                plain.bytes / idle.bytes.max(1.0),
                size.plain_pass / size.grant_p50.max(0.001)
            )?;
        }
        writeln!(f, "\ngoals")?;
        for goal in &self.goals {
            let Goal {
                what,
                figure,
                limit,
                met,
            } = goal;
            let verdict = if *met { "met" } else { "MISSED" };
            writeln!(
                f,
                "  {what:<52}{figure:>12.1}  at most {limit:>8.1}  {verdict}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
