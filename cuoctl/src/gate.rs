//! `cuoctl gate`: opens and closes `UpdateGate`s.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cuo_cluster::ClientSource;
use cuo_cluster::paths::GATES;
use cuo_coordination::gate::{GateSpec, KIND};
use cuo_core::time::Time;
use jiff::{SignedDuration, Timestamp};

use crate::put;
use crate::span::length;

const GATE: put::Kind<'static> = put::Kind {
    kind: KIND,
    path: GATES,
    optional: &["until", "reason"],
};

/// Options of `gate`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to do.
    #[arg(value_enum)]
    pub way: Way,
    /// The gate; one that does not exist is made.
    pub name: String,
    /// How long it stays open; without it, until it is closed.
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Option<SignedDuration>,
    /// Why, which everybody is shown.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Which way a gate goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Pools that name it are granted.
    Open,
    /// They are not.
    Close,
}

/// Opens or closes the gate, and returns a line about it.
///
/// # Errors
/// Where it can't be written.
pub async fn go(source: &ClientSource, options: &Options) -> Result<String> {
    let Options { way, name, .. } = options;
    let now = Time::from(Timestamp::now());
    let open = *way == Way::Open;
    if let Some(length) = options.length {
        ensure!(
            open,
            "`--for` says how long a gate stays open: it goes with `open`"
        );
        ensure!(
            length.is_positive(),
            "a gate that is open for no time lets nothing through"
        );
    }
    let until = options.length.map(|length| now.later(length));
    let spec = GateSpec {
        open,
        until,
        reason: options.reason.clone(),
    };
    let what = || format!("UpdateGate {name} can't be written");
    GATE.put(source, name, &spec).await.with_context(what)?;
    let until = until
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    let is = if open { "open" } else { "closed" };
    Ok(format!("updategate/{name} {is}{until}"))
}
