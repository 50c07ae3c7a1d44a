//! `cuo-operator`: see the library for what it does.

use std::process::ExitCode;

use cuo_operator::config::Config;
use cuo_operator::run::run;

fn main() -> ExitCode {
    cuo_cluster::process::run("cuo-operator", program())
}

async fn program() -> ExitCode {
    let config = match Config::load(std::env::args_os()) {
        Ok(config) => config,
        // Prints help and version to the standard output, and what is wrong to standard error with exit code 2.
        Err(error) => error.exit(),
    };
    match start(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cuo-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(config: Config) -> anyhow::Result<()> {
    cuo_telemetry::init("cuo-operator", config.log_format)?;
    run(config).await
}
