//! `cargo xtask test`: everything that CI checks, the cheapest first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cuo_lab::process::cargo;

use crate::root;
use crate::setup::{self, installed};

/// Run everything that CI checks: format, lints, unit, property, model and end-to-end tests, the image and the demo.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave out what needs a control plane, the image or minutes; it is listed at the end.
    #[arg(long)]
    quick: bool,
}

/// One part.
struct Part {
    name: &'static str,
    /// Part of `--quick`.
    quick: bool,
    arguments: &'static [&'static str],
}

const fn quick(name: &'static str, arguments: &'static [&'static str]) -> Part {
    Part {
        name,
        quick: true,
        arguments,
    }
}

const fn slow(name: &'static str, arguments: &'static [&'static str]) -> Part {
    Part {
        name,
        quick: false,
        arguments,
    }
}

/// The part that not every machine can run.
const HOSTS: &str = "hosts";
/// The part that not every clone can run.
const VERSIONS: &str = "versions";

/// Always the whole workspace, so that every part is built with the same features, and once.
const PARTS: &[Part] = &[
    quick("format", &["fmt", "--all", "--check"]),
    quick(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    ),
    quick(
        "build",
        &["build", "--workspace", "--all-targets", "--locked"],
    ),
    quick(
        "generated documentation",
        &[
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--",
            "codegen",
            "--check",
        ],
    ),
    quick(
        "unit and property tests",
        &["test", "--workspace", "--lib", "--bins", "--locked"],
    ),
    quick(
        "inputs by chance",
        &["test", "--workspace", "--test", "inputs", "--locked"],
    ),
    quick(
        "credentials",
        &["test", "--workspace", "--test", "credentials", "--locked"],
    ),
    quick(
        "model",
        &[
            "test",
            "--workspace",
            "--test",
            "explore",
            "--locked",
            "--",
            "--nocapture",
        ],
    ),
    quick(
        "host doubles",
        &["test", "--workspace", "--test", "doubles", "--locked"],
    ),
    quick(
        "agent and host",
        &["test", "--workspace", "--test", "agent_host", "--locked"],
    ),
    quick(
        "packaging",
        &[
            "test",
            "--workspace",
            "--test",
            "packaging",
            "--locked",
            "--",
            "--nocapture", // a test says what it had to leave out
        ],
    ),
    slow(
        "control plane",
        &[
            "test",
            "--workspace",
            "--test",
            "controlplane",
            "--locked",
            "--",
            "--test-threads=2",
        ],
    ),
    slow(
        "Kubernetes client",
        &[
            "test",
            "--workspace",
            "--test",
            "cluster",
            "--locked",
            "--",
            "--test-threads=2",
        ],
    ),
    slow(
        "operator",
        &["test", "--workspace", "--test", "process", "--locked"],
    ),
    slow(
        "refusing nodes",
        &[
            "test",
            "--workspace",
            "--test",
            "herd",
            "--locked",
            "--",
            "--nocapture", // measurements are printed
        ],
    ),
    slow(
        "pools",
        &[
            "test",
            "--workspace",
            "--test",
            "pools",
            "--locked",
            "--",
            "--nocapture", // the seed of the random histories is printed
        ],
    ),
    slow(
        "deployment",
        &[
            "test",
            "--workspace",
            "--test",
            "deploy",
            "--locked",
            "--",
            "--test-threads=2",
        ],
    ),
    slow(
        "end to end",
        &[
            "test",
            "--workspace",
            "--test",
            "e2e",
            "--locked",
            "--",
            "--test-threads=4",
        ],
    ),
    slow(
        VERSIONS,
        &[
            "test",
            "--workspace",
            "--test",
            "versions",
            "--locked",
            "--",
            "--test-threads=4",
        ],
    ),
    slow(
        HOSTS,
        &[
            "test",
            "--workspace",
            "--test",
            "hosts",
            "--locked",
            "--",
            "--test-threads=4", // some of them do little else than to wait
            "--nocapture",      // measurements are printed
        ],
    ),
    slow(
        "image",
        &["run", "--quiet", "--package", "xtask", "--", "image"],
    ),
    slow(
        "demo",
        &["run", "--quiet", "--package", "xtask", "--", "demo"],
    ),
];

/// Runs all parts up to the first that fails.
///
/// # Errors
/// Names the part that failed and its command.
pub async fn run(arguments: &Arguments) -> Result<()> {
    for programs in [setup::LAB, setup::RPM, setup::PACKAGING] {
        setup::ensure_programs(programs)?;
    }
    let mut impossible = Vec::new();
    if !arguments.quick {
        impossible = what_is_impossible().await;
        setup::ensure_go()?;
    }
    let mut spent: Vec<(&str, Duration)> = Vec::new();
    let mut skipped = Vec::new();
    for part in PARTS {
        if arguments.quick && !part.quick {
            skipped.push((
                part.name,
                "--quick leaves out what needs a control plane or the image".to_owned(),
            ));
            continue;
        }
        if let Some((name, lacks, why)) = impossible.iter().find(|one| one.0 == part.name) {
            println!("\n=== {name}: SKIPPED, nothing was tested {lacks}: {why}");
            skipped.push((*name, why.clone()));
            continue;
        }
        println!("\n=== {}: cargo {}", part.name, part.arguments.join(" "));
        let start = Instant::now();
        let ran = cargo().args(part.arguments).current_dir(root()).status();
        let status = ran.await.context("run cargo")?;
        if !status.success() {
            bail!(
                "{} failed ({status}) after {:.0?}; the command was: cargo {}",
                part.name,
                start.elapsed(),
                part.arguments.join(" ")
            );
        }
        spent.push((part.name, start.elapsed()));
    }
    match installed("cargo-deny") {
        true => deny(&mut spent).await?,
        false => skipped.push((
            "licences and sources",
            "cargo-deny is not installed".to_owned(),
        )),
    }
    println!("\n=== summary");
    for (name, time) in &spent {
        println!("{name:<26} {:>6.0} s", time.as_secs_f64());
    }
    for (name, why) in &skipped {
        println!("{name:<26} SKIPPED: {why}");
    }
    Ok(())
}

/// Parts that can't be here, each with what is not tested thereby, and why.
async fn what_is_impossible() -> Vec<(&'static str, &'static str, String)> {
    let parts = [
        (
            HOSTS,
            "on hosts with a systemd of their own",
            hosts_are_possible().await,
        ),
        (
            VERSIONS,
            "with the release before this one",
            cuo_lab::previous::possible().await,
        ),
    ];
    let parts = parts.into_iter();
    let failed = parts.filter_map(|(name, lacks, possible)| {
        let why = format!("{:#}", possible.err()?);
        Some((name, lacks, why))
    });
    failed.collect()
}

/// Whether containers with a systemd can be here.
async fn hosts_are_possible() -> Result<()> {
    setup::ensure_programs(setup::HOSTS)?;
    let folder = tempfile::tempdir().context("a folder")?;
    cuo_lab::host::possible(folder.path()).await
}

async fn deny(spent: &mut Vec<(&'static str, Duration)>) -> Result<()> {
    println!("\n=== licences and sources: cargo deny check bans licenses sources");
    let start = Instant::now();
    let arguments = ["deny", "check", "bans", "licenses", "sources"];
    let status = cargo()
        .args(arguments)
        .current_dir(root())
        .status()
        .await
        .context("run cargo deny")?;
    if !status.success() {
        bail!(
            "licences and sources failed ({status}); the command was: cargo {}",
            arguments.join(" ")
        );
    }
    spent.push(("licences and sources", start.elapsed()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_target_of_tests_is_a_part() {
        let mut packages = ["agent", "lab", "operator", "xtask"]
            .map(|one| root().join(one))
            .to_vec();
        let crates = fs::read_dir(root().join("crates")).unwrap();
        packages.extend(crates.map(|one| one.unwrap().path()));
        let targets = packages
            .iter()
            .flat_map(|one| fs::read_dir(one.join("tests")));
        let names = targets
            .flatten()
            .map(|one| one.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<_> = names.collect();
        let named = |part: &Part| {
            let place = part.arguments.iter().position(|one| *one == "--test")?;
            Some(part.arguments[place + 1].to_owned())
        };
        let parts: BTreeSet<_> = PARTS.iter().filter_map(named).collect();
        assert_eq!(there, parts);
    }
}
