//! `cuoctl doctor`: whether the cluster is as CUO needs it, and what to do where it is not.

mod asked;
mod check;
mod known;
mod rivals;

use anyhow::Result;
use clap::Args;
use cuo_cluster::ClientSource;

use crate::cluster::Cluster;
use crate::connect::Connection;
use crate::print::{Output, Screen};
use crate::table::{Cell, Look, Table};

pub use check::{Check, Level};

/// Options of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Makes all checks.
///
/// # Errors
/// Where what was read can't be parsed.
pub async fn run(
    source: &ClientSource,
    connection: &Connection,
    cluster: &Cluster,
) -> Result<Vec<Check>> {
    let mut checks = known::all(cluster)?;
    checks.extend(asked::all(source, connection, cluster).await);
    checks.push(rivals::check(source).await);
    Ok(checks)
}

/// As a table, with what to do under each that needs it.
pub fn text(checks: &[Check], screen: Screen) -> String {
    let mut table = Table::new(&["LEVEL", "WHAT", "FOUND"]);
    for check in checks {
        let look = match check.level {
            Level::Ok => Look::Good,
            Level::Unknown => Look::Faint,
            Level::Warning => Look::Busy,
            Level::Failed => Look::Bad,
        };
        table.row([
            Cell::new(check.level.as_str(), look),
            check.about.into(),
            check.found.clone().into(),
        ]);
        if let Some(remedy) = &check.remedy {
            let remedy = format!("What to do: {remedy}");
            table.row([Cell::default(), Cell::default(), remedy.into()]);
        }
    }
    table.text(screen, false)
}

#[cfg(test)]
mod tests;
