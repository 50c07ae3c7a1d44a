//! `cargo xtask deny`: what may be in the dependency tree, as `deny.toml` says.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cuo_lab::tool;
use tokio::process::Command;

use crate::root;
use crate::setup::installed;

/// Advisories need a database from the network, and are for the pipeline.
const CHECKS: [&str; 4] = ["check", "bans", "licenses", "sources"];

/// Runs cargo-deny: the installed one, or else one that is built for it.
pub async fn run() -> Result<()> {
    let name = tool::CARGO_DENY.name;
    let program = match installed(name) {
        true => PathBuf::from(name),
        false => tool::built(tool::CARGO_DENY, |line| eprintln!("{line}")).await?,
    };
    let mut deny = Command::new(&program);
    let status = deny.args(CHECKS).current_dir(root()).status().await;
    let status = status.with_context(|| format!("run {}", program.display()))?;
    ensure!(status.success(), "cargo-deny: {status}");
    Ok(())
}
