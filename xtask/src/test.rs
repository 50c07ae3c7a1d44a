//! `cargo xtask test`: everything that CI checks.

mod lanes;
mod parts;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use cuo_lab::process::cargo;

use crate::root;
use crate::setup;
use lanes::{Spent, processor_time};
use parts::{FIRST, HOSTS, PARTS, Part, VERSIONS, When};

/// Run everything that CI checks: format, lints, unit, property, model and end-to-end tests, the image and the demo.
///
/// Parts that wait run beside parts that compute; the log of each is in target/test.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave out what needs a control plane, the image or minutes; it is listed at the end.
    #[arg(long, conflicts_with = "all")]
    quick: bool,
    /// Run what takes too long for every change, too; the summary of a run without it says what that is, and for how long.
    #[arg(long)]
    all: bool,
}

/// Runs all parts up to the first that fails.
///
/// # Errors
/// Names the part that failed and its command.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    for programs in [setup::LAB, setup::RPM, setup::PACKAGING] {
        setup::ensure_programs(programs)?;
    }
    let mut impossible = Vec::new();
    if !arguments.quick {
        impossible = what_is_impossible().await;
        setup::ensure_go()?;
    }
    let mut spent = Vec::new();
    let (first, mut skipped) = choose(FIRST, arguments, &impossible);
    for part in &first {
        spent.push(alone(part).await?);
    }
    let (chosen, others) = choose(PARTS, arguments, &impossible);
    skipped.extend(others);
    spent.extend(lanes::run(&chosen, room()?).await?);
    println!("\n=== summary");
    for one in &spent {
        let (time, processor) = (one.time.as_secs_f64(), one.processor.as_secs_f64());
        println!(
            "{:<26} {time:>6.0} s, {processor:>6.0} s of a processor",
            one.name
        );
    }
    for (name, why) in &skipped {
        println!("{name:<26} SKIPPED: {why}");
    }
    println!(
        "{:<26} {:>6.0} s",
        "all of it",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// How much of one core parts that wait may keep busy together, in percent.
///
/// They are also limited by instances of inotify, of which every control plane, host and agent takes some and which Linux gives to all
/// processes of a user: with what it gives by default, such parts run one at a time.
fn room() -> Result<u32> {
    if !setup::ensure_instances_of_inotify()? {
        return Ok(0);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Loads are averages: a quarter is left for when several want more than that at a time.
    Ok(u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(75))
}

/// Those of `parts` that are run, and the others, each with the reason.
fn choose(
    parts: &[Part],
    arguments: &Arguments,
    impossible: &[Impossible],
) -> (Vec<Part>, Vec<(&'static str, String)>) {
    let mut chosen = Vec::new();
    let mut skipped = Vec::new();
    for part in parts {
        let lacks = impossible.iter().find(|one| one.part == part.name);
        let why = match (part.when, lacks) {
            (When::Full | When::All(_), _) if arguments.quick => {
                "--quick leaves out what needs a control plane or the image".to_owned()
            }
            (When::All(minutes), _) if !arguments.all => {
                format!("--all runs it; it takes about {minutes} minutes on two cores")
            }
            (_, Some(one)) => format!("nothing was tested {}: {}", one.lacks, one.why),
            _ => {
                chosen.push(*part);
                continue;
            }
        };
        skipped.push((part.name, why));
    }
    (chosen, skipped)
}

/// Runs one part with its output on the terminal, and returns what it took.
async fn alone(part: &Part) -> Result<Spent> {
    let arguments = part.task.arguments();
    println!("\n=== {}: cargo {}", part.name, arguments.join(" "));
    let (start, before) = (Instant::now(), processor_time()?);
    let ran = cargo().args(&arguments).current_dir(root()).status();
    let status = ran.await.context("run cargo")?;
    if !status.success() {
        bail!(
            "{} failed ({status}) after {:.0?}; the command was: cargo {}",
            part.name,
            start.elapsed(),
            arguments.join(" ")
        );
    }
    Ok(Spent {
        name: part.name,
        time: start.elapsed(),
        processor: processor_time()?.saturating_sub(before),
    })
}

/// A part that can't be here.
struct Impossible {
    part: &'static str,
    /// What is not tested thereby.
    lacks: &'static str,
    why: String,
}

async fn what_is_impossible() -> Vec<Impossible> {
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
    let failed = parts.into_iter().filter_map(|(part, lacks, possible)| {
        let why = format!("{:#}", possible.err()?);
        Some(Impossible { part, lacks, why })
    });
    failed.collect()
}

/// Whether containers with a systemd can be here.
async fn hosts_are_possible() -> Result<()> {
    setup::ensure_programs(setup::HOSTS)?;
    let folder = tempfile::tempdir().context("a folder")?;
    cuo_lab::host::possible(folder.path()).await
}

#[cfg(test)]
mod tests;
