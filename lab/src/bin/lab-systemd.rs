//! systemd's double, started by the private bus of a host.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use cuo_lab::machine::ostree::NodeRoot;
use cuo_lab::machine::systemd;

/// A double of systemd for one host of the lab.
#[derive(Debug, Parser)]
struct Arguments {
    /// Root directory of the host.
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let arguments = Arguments::parse();
    systemd::run(NodeRoot::new(arguments.root)).await
}
