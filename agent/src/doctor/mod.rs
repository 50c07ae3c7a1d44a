//! `cuo-agent doctor`: checks everything that the agent depends on, and reports what is wrong and what to do.

mod check;
mod cluster;
mod host;
mod kubeconfig;
mod polkit;
mod releases;
mod systemd;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::config::Config;
use crate::status::{Options, Output};

pub use check::{Check, Verdict};
pub use polkit::ACTIONS;

/// All checks, and whether none of them failed.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Runs all checks and prints the results; `false` if one failed.
///
/// # Errors
/// When the results can't be printed.
pub async fn run(root: &Path, options: &Options) -> Result<bool> {
    let (config, errors) = Config::load(root);
    let mut checks = host::look(root, &config, &errors).await;
    checks.extend(cluster::look(root, &config, options.kubeconfig.as_deref()).await);
    let ok = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let report = Report { ok, checks };
    let text = match options.output {
        Output::Human => lines(&report),
        Output::Json => serde_json::to_string_pretty(&report).context("the report as JSON")? + "\n",
    };
    io::stdout()
        .write_all(text.as_bytes())
        .context("write to the standard output")?;
    Ok(ok)
}

fn lines(report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{verdict:<8}{:<15}{}", check.name, check.found);
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(text, "{:23}What to do: {remedy}", "");
        }
    }
    text
}
