//! `cuo-companion`: see the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use cuo_companion::check::check;
use cuo_companion::cli::{Cli, Command};
use cuo_companion::run::run;

fn main() -> ExitCode {
    cuo_cluster::process::run("cuo-companion", program())
}

async fn program() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Check { send }) => check(&cli.config, send).await,
        None => start(&cli).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cuo-companion: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(cli: &Cli) -> anyhow::Result<()> {
    cuo_telemetry::init("cuo-companion", cli.log_format)?;
    run(cli).await
}
