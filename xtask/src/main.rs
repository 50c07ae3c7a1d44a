//! CUO's build and test tasks: `cargo xtask TASK`.

mod behaviours;
mod bench;
mod chart;
mod codegen;
mod companion;
mod conformance;
mod demo;
mod deny;
mod examples;
mod files;
mod image;
mod life;
mod metrics;
mod oci;
mod place;
mod policies;
mod release;
mod rpm;
mod setup;
#[cfg(test)]
mod structure;
mod test;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// CUO's build and test tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure one operator with many nodes.
    Bench(bench::Arguments),
    /// Build the operator's container image, without a container engine.
    Image(image::Arguments),
    /// Bring the generated parts of the documentation up to date.
    Codegen(codegen::Arguments),
    /// Compare the lab's double of rpm-ostreed with the real daemon of a tree.
    ///
    /// TREE is a root file system with rpm-ostree, ostree, dbus-daemon, rpm and systemctl, such as that of a Fedora image; with skopeo, images
    /// are tried, too, from a registry on loopback. Its programs run in a mount namespace, on a private bus, and nothing in TREE is written.
    /// What they work on is made for this and removed afterwards. Needs root.
    Conformance(conformance::Arguments),
    /// Check licences, sources and versions of all dependencies with cargo-deny, which is built if it is missing.
    Deny,
    /// Watch two updates go through a cluster on this machine.
    Demo(demo::Arguments),
    /// Make all files of a release, and list what would be published where.
    Release(release::Arguments),
    /// Build the RPMs of the agent and of cuoctl.
    Rpm(rpm::Arguments),
    /// Run everything that CI checks.
    Test(test::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Bench(arguments) => bench::run(&arguments).await,
        Task::Image(arguments) => image::run(&arguments).await,
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Conformance(arguments) => conformance::run(&arguments).await,
        Task::Deny => deny::run().await,
        Task::Demo(arguments) => demo::run(&arguments).await,
        Task::Release(arguments) => release::run(&arguments).await,
        Task::Rpm(arguments) => rpm::run(&arguments).await,
        Task::Test(arguments) => test::run(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
