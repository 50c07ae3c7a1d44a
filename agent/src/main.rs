//! `cuo-agent`: see the library for what it does.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cuo_agent::cli::{Cli, Command, once};
use cuo_agent::run::run;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => start(&cli.root, cuo_telemetry::Format::Auto, None).await,
        Some(Command::Run {
            log_format,
            kubeconfig,
        }) => start(&cli.root, log_format, kubeconfig.as_deref()).await,
        Some(command) => once(&cli.root, command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cuo-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(
    root: &Path,
    format: cuo_telemetry::Format,
    kubeconfig: Option<&Path>,
) -> anyhow::Result<()> {
    cuo_telemetry::init("cuo-agent", format)?;
    run(root, kubeconfig).await
}
