//! The figures, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// All sizes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub sizes: Vec<Size>,
}

/// One size. Times are in milliseconds, memory in KiB, traffic in bytes through one connection's TLS.
#[derive(Debug, Serialize)]
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
    /// Requests for one reboot, by verb and resource.
    pub requests_per_reboot: BTreeMap<String, f64>,
    pub bytes_per_reboot: f64,
    /// Requests in an hour in which nothing happens.
    pub requests_per_idle_hour: BTreeMap<String, f64>,
    pub bytes_per_idle_hour: f64,
    /// Connections that were opened beyond the first ones.
    pub reconnects: u64,
    pub rss: u64,
    pub rss_peak: u64,
    /// Of one CPU, while idle.
    pub cpu_idle_percent: f64,
    /// CPU time for one reboot.
    pub cpu_per_reboot: f64,
    pub takeover_term: f64,
    pub takeover_kill: f64,
    /// A loop over all Nodes, as predecessors have it: how long one pass takes, and what it transfers in an hour.
    pub plain_pass: f64,
    pub plain_bytes_per_hour: f64,
}

/// What a figure should be at most, for a number of nodes.
fn goal(name: &str, nodes: usize) -> Option<f64> {
    match (name, nodes) {
        ("grant, p99", 1000) => Some(250.0),
        ("grant, p99", 5000) => Some(1000.0),
        ("take-over after SIGTERM", _) => Some(2000.0),
        ("memory", 1000) => Some(40.0 * 1024.0),
        _ => None,
    }
}

type Column = fn(&Size) -> f64;

/// Every row of the table: name, unit, figure.
const ROWS: [(&str, &str, Column); 16] = [
    ("start to first grant", "ms", |size| size.start_to_grant),
    ("grant, p50", "ms", |size| size.grant_p50),
    ("grant, p99", "ms", |size| size.grant_p99),
    ("next grant, p50", "ms", |size| size.next_p50),
    ("next grant, p99", "ms", |size| size.next_p99),
    ("requests a reboot", "", |size| {
        size.requests_per_reboot.values().sum()
    }),
    ("bytes a reboot", "", |size| size.bytes_per_reboot),
    ("requests an idle hour", "", |size| {
        size.requests_per_idle_hour.values().sum()
    }),
    ("bytes an idle hour", "", |size| size.bytes_per_idle_hour),
    ("memory", "KiB", |size| size.rss as f64),
    ("memory, peak", "KiB", |size| size.rss_peak as f64),
    ("CPU while idle", "%", |size| size.cpu_idle_percent),
    ("CPU a reboot", "ms", |size| size.cpu_per_reboot),
    ("take-over after SIGTERM", "ms", |size| size.takeover_term),
    ("take-over after SIGKILL", "ms", |size| size.takeover_kill),
    ("plain loop: one pass", "ms", |size| size.plain_pass),
];

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
                let figure = column(size);
                let missed = goal(name, size.nodes).is_some_and(|goal| figure > goal);
                let mark = if missed { "!" } else { " " };
                write!(f, "{figure:>15.1}{mark}")?;
            }
            writeln!(f)?;
        }
        for size in &self.sizes {
            let ratio = size.plain_bytes_per_hour / size.bytes_per_idle_hour.max(1.0);
            writeln!(
                f,
                "{} nodes: the plain loop transfers {ratio:.0} times as much while idle, and a pass of it takes {:.0} times as long as a grant (p50)",
                size.nodes,
                size.plain_pass / size.grant_p50.max(0.001)
            )?;
            writeln!(f, "  requests a reboot: {:?}", size.requests_per_reboot)?;
            writeln!(
                f,
                "  requests an idle hour: {:?}",
                size.requests_per_idle_hour
            )?;
        }
        if let [first, .., last] = &self.sizes[..] {
            let more = (last.nodes - first.nodes).max(1) as f64;
            let growth = (last.rss as f64 - first.rss as f64) / more;
            writeln!(f, "memory grows by {growth:.1} KiB a node (goal: 4)")?;
        }
        writeln!(f, "! marks a missed goal")
    }
}
