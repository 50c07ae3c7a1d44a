//! rpm-ostreed's double, started by the bus of a host. On hosts with a systemd, also what that runs at boot and shutdown.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use cuo_lab::machine::ostree::{self, NodeRoot};

/// A double of rpm-ostreed for one host of the lab.
#[derive(Debug, Parser)]
struct Arguments {
    /// Root directory of the host.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Ask polkit who may do what.
    #[arg(long)]
    polkit: bool,
    #[command(subcommand)]
    moment: Option<Moment>,
}

/// What is done in place of serving.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Moment {
    /// What happens when the host boots.
    Boot,
    /// What happens when the host shuts down.
    ShutDown,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let arguments = Arguments::parse();
    let root = NodeRoot::new(arguments.root);
    match arguments.moment {
        None => ostree::run(root, arguments.polkit).await,
        Some(Moment::Boot) => ostree::boot(&root),
        Some(Moment::ShutDown) => ostree::shut_down(&root),
    }
}
