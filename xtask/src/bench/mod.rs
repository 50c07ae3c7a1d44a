//! `cargo xtask bench`: what one operator costs and how fast it is, with many nodes.

mod measure;
mod report;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::assets;
use cuo_lab::process::cargo;

use crate::{root, setup};
use measure::Programs;
use report::Report;

/// Measure one operator with many nodes: real API server, Nodes as large as real ones, agents that answer at once.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many nodes; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 5000])]
    nodes: Vec<usize>,
    /// Write the figures as JSON to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

/// Builds what is needed and measures.
///
/// # Errors
/// What could not be set up or measured, or which goals were missed.
pub async fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_go()?;
    setup::ensure_programs(setup::LAB)?;
    eprintln!("==> building the operator and cuoctl as they are shipped");
    let built = cargo()
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "cuo-operator",
            "--package",
            "cuoctl",
        ])
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(root())
        .status()
        .await
        .context("run cargo")?;
    ensure!(built.success(), "the build failed: {built}");
    assets::ensure(|line| eprintln!("    {line}")).await?;
    let programs = Programs {
        operator: root().join("target/release/cuo-operator"),
        cuoctl: root().join("target/release/cuoctl"),
    };
    let mut report = Report::default();
    for count in &arguments.nodes {
        eprintln!("==> {count} nodes");
        let sized = measure::all(&programs, *count).await;
        report
            .sizes
            .push(sized.with_context(|| format!("with {count} nodes"))?);
    }
    report.judge();
    print!("{report}");
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let missed = report.goals.iter().filter(|goal| !goal.met).count();
    ensure!(missed == 0, "{missed} goals were missed");
    Ok(())
}
