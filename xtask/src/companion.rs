//! The tables of the companion's page.

use clap::CommandFactory;
use cuo_companion::cli::Cli;
use cuo_companion::metrics::{Fate, Metrics};
use cuo_companion::notify::news::Kind;

use crate::codegen::{self, table};
use crate::metrics;

/// What `cuo-companion --help` lists.
pub fn flags() -> String {
    codegen::flags(&Cli::command())
}

/// Every kind of news.
pub fn news() -> String {
    let rows = Kind::ALL.iter().map(|kind| {
        let severity = kind.severity().as_str().to_owned();
        let event = format!("`{}`", kind.event());
        vec![
            format!("`{kind}`"),
            severity,
            kind.means().to_owned(),
            event,
        ]
    });
    table(
        &["Code", "Severity", "When", "`type` of its CloudEvent"],
        rows,
    )
}

/// Each metric, of a companion that has done everything once.
pub fn metrics() -> String {
    let all = Metrics::new();
    all.gate("quiet", true);
    all.gate_unknown("quiet");
    all.messages("chat", Fate::Sent, 1);
    all.waiting("chat", 0);
    all.hook_jobs("running", 0);
    metrics::table(&all.text())
}
