//! `cuo-agent`: see the library for what it does.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cuo_agent::cli::{Cli, Command, once};
use cuo_agent::doctor;
use cuo_agent::run::run;
use cuo_agent::status;

fn main() -> ExitCode {
    cuo_cluster::process::run("cuo-agent", program())
}

async fn program() -> ExitCode {
    let mut cli = Cli::parse();
    if cli.command.is_none() {
        // Without a subcommand: the defaults and the environment of `run`.
        cli = Cli::parse_from(std::env::args_os().chain(["run".into()]));
    }
    let result = match cli.command {
        Some(Command::Run {
            log_format,
            kubeconfig,
        }) => start(&cli.root, log_format, kubeconfig.as_deref()).await,
        Some(Command::Status(options)) => status::run(&cli.root, &options).await,
        Some(Command::Doctor(options)) => match doctor::run(&cli.root, &options).await {
            Ok(false) => return ExitCode::FAILURE,
            other => other.map(drop),
        },
        Some(command) => once(&cli.root, command),
        None => Ok(()),
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
