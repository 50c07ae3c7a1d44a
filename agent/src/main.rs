//! `cuo-agent`: see the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use cuo_agent::cli::{Cli, Command, once};
use cuo_agent::run::run;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => start(&cli, cuo_telemetry::Format::Auto).await,
        Some(Command::Run { log_format }) => start(&cli, log_format).await,
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

async fn start(cli: &Cli, format: cuo_telemetry::Format) -> anyhow::Result<()> {
    cuo_telemetry::init("cuo-agent", format)?;
    run(&cli.root).await
}
