//! Carries out what the command line says.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{CommandFactory, FromArgMatches};
use cuo_cluster::ClientSource;

use crate::approve::Approved;
use crate::cli::{Cli, Command, command};
use crate::cluster::Cluster;
use crate::fetch::fetch;
use crate::follow::Follow;
use crate::plan::{Foreseen, Output};
use crate::print::{Screen, note, say};
use crate::release::Releases;
use crate::status::Status;
use crate::why::Why;
use crate::{approve, give_up, history, plan, print};

/// `plan` found a node that would never be updated.
const NEVER: u8 = 3;

/// Runs `cuoctl` with these arguments, of which the first is the program's name.
pub async fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let parsed = command(arguments.first().map(OsString::as_os_str))
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cuoctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let screen = Screen::find(cli.no_color);
    let connection = &cli.connection;
    let cluster = async || {
        let source = connection.open().await?;
        let cluster = fetch(&source, &connection.namespace).await?;
        cluster.unknown.iter().for_each(|text| note(text));
        Ok::<_, anyhow::Error>(cluster)
    };
    match cli.command {
        Command::Status(options) => {
            let wide = options.output == print::Output::Wide;
            if options.watch {
                ensure!(
                    matches!(options.output, print::Output::Table | print::Output::Wide),
                    "--watch shows tables: it goes with `-o table` and `-o wide`"
                );
                let follow = Follow {
                    namespace: &connection.namespace,
                    names: &options.names,
                    wide,
                    no_color: cli.no_color,
                };
                follow.run(&connection.open().await?).await?;
                return Ok(ExitCode::SUCCESS);
            }
            let status = Status::of(&cluster().await?, &options.names)?;
            if !options.output.machine(&status)? {
                say(&status.text(screen, wide))?;
            }
        }
        Command::Why(options) => {
            let why = Why::of(&cluster().await?, &options.node)?;
            if !options.output.machine(&why)? {
                say(&why.text())?;
            }
        }
        Command::Plan(options) => return foresee(&options, cluster, screen).await,
        Command::Release(options) => {
            let releases = Releases::of(&cluster().await?)?;
            let wide = options.output == print::Output::Wide;
            if !options.output.machine(&releases)? {
                say(&releases.text(screen, wide))?;
            }
        }
        Command::History(options) => {
            let lines = history::of(&cluster().await?, options.pool.as_deref())?;
            let wide = options.output == print::Output::Wide;
            if !options.output.machine(&lines)? {
                say(&history::text(&lines, screen, wide))?;
            }
        }
        Command::Approve(options) => approves(&connection.open().await?, &options).await?,
        Command::GiveUp(options) => {
            give_up::give_up(&connection.open().await?, &options).await?;
            say(&format!("node/{} grant removed\n", options.node))?;
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cuoctl", &mut io::stdout());
        }
        Command::Man { directory } => pages(&directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn foresee(
    options: &plan::Options,
    cluster: impl AsyncFnOnce() -> Result<Cluster>,
    screen: Screen,
) -> Result<ExitCode> {
    let cluster = match options.cluster()? {
        Some(cluster) => cluster,
        None => cluster().await?,
    };
    if let Some(path) = &options.snapshot_out {
        cluster.write(path)?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan: Foreseen = options.foresee(cluster)?;
    let machine = match options.output {
        Output::Json => print::Output::Json,
        Output::Yaml => print::Output::Yaml,
        Output::Table | Output::Gantt | Output::Html => print::Output::Table,
    };
    if !machine.machine(&plan)? {
        say(&plan.text(options.output, screen))?;
    }
    Ok(match plan.never() {
        true => ExitCode::from(NEVER),
        false => ExitCode::SUCCESS,
    })
}

async fn approves(source: &ClientSource, options: &approve::Options) -> Result<()> {
    let approve::Options { pool, release } = options;
    let text = match approve::approve(source, options).await? {
        Approved::Now => format!("updatepool/{pool} approves {release}\n"),
        Approved::Before => format!("updatepool/{pool} approves {release} already\n"),
    };
    say(&text)
}

fn pages(directory: &Path) -> Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let written = page(command, directory);
    written.with_context(|| format!("write pages to {}", directory.display()))
}

/// Writes the pages of `command` and of all its subcommands.
fn page(command: clap::Command, directory: &Path) -> io::Result<()> {
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    for below in below.cloned().collect::<Vec<_>>() {
        page(below, directory)?;
    }
    clap_mangen::Man::new(command)
        .section("1")
        .generate_to(directory)?;
    Ok(())
}
