//! Carries out what the command line says.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, FromArgMatches};
use cuo_cluster::ClientSource;
use serde::Serialize;

use crate::approve::Approved;
use crate::cli::{Cli, Command, Steer, command};
use crate::cluster::Cluster;
use crate::connect::Connection;
use crate::fetch::fetch;
use crate::follow::Follow;
use crate::plan::{Foreseen, Output};
use crate::print::{Screen, note, say};
use crate::release::Releases;
use crate::status::Status;
use crate::why::Why;
use crate::{
    approve, blockers, bundle, complete, doctor, events, gate, give_up, history, pause, plan,
    print, reboot, retry, status,
};

/// `doctor` found something that does not work or is not safe.
const BROKEN: u8 = 4;
/// `plan` found a node that would never be updated.
const NEVER: u8 = 3;

/// Runs `cuoctl` with these arguments, of which the first is the program's name.
pub async fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    if let Some((program, words)) = arguments.split_first()
        && Path::new(program).file_name() == Some(complete::NAME.as_ref())
    {
        let said = complete::lines(words.iter().cloned()).and_then(|text| say(&text));
        return ended(said.map(|()| ExitCode::SUCCESS));
    }
    let parsed = command(arguments.first().map(OsString::as_os_str))
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    ended(run(cli).await)
}

fn ended(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("cuoctl: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let screen = Screen::find(cli.no_color);
    let connection = &cli.connection;
    match cli.command {
        Command::Status(options) if options.watch => {
            watch(&options, connection, cli.no_color).await?
        }
        Command::Status(options) => {
            let cluster = cluster(connection).await?;
            Status::check_names(&cluster, &options.names)?;
            let status = Status::of(&cluster, &options.names)?;
            shown(options.output, &status, |wide| status.text(screen, wide))?;
        }
        Command::Why(options) => {
            let why = Why::of(&cluster(connection).await?, &options.node)?;
            shown(options.output, &why, |_| why.text())?;
        }
        Command::Blockers(options) => blocked(&options, connection, screen).await?,
        Command::Events(options) => events::run(&connection.open().await?, &options).await?,
        Command::Plan(options) => return foresee(&options, connection, screen).await,
        Command::Release(options) => {
            let releases = Releases::of(&cluster(connection).await?)?;
            shown(options.output, &releases, |wide| {
                releases.text(screen, wide)
            })?;
        }
        Command::History(options) => {
            let lines = history::of(&cluster(connection).await?, options.pool.as_deref())?;
            shown(options.output, &lines, |wide| {
                history::text(&lines, screen, wide)
            })?;
        }
        Command::Doctor(options) => return examine(&options, connection, screen).await,
        Command::SupportBundle(options) => {
            bundle::run(&connection.open().await?, connection, &options).await?;
        }
        Command::Steer(what) => steer(what, &connection.open().await?).await?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cuoctl", &mut io::stdout());
        }
        Command::Man { directory } => pages(&directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes something in the cluster, and says what.
async fn steer(what: Steer, source: &ClientSource) -> Result<()> {
    match what {
        Steer::Pause(options) => pauses(source, &options).await,
        Steer::Resume(options) => pause::resume(source, &options, said).await,
        Steer::Gate(options) => said(&gate::go(source, &options).await?),
        Steer::Approve(options) => approves(source, &options).await,
        Steer::Retry(options) => retry::retry(source, &options, said).await,
        Steer::Reboot(options) => reboot::reboot(source, &options, said).await,
        Steer::GiveUp(options) => gives_up(source, &options).await,
    }
}

/// The cluster as it is; what could not be read is said beside the output.
async fn cluster(connection: &Connection) -> Result<Cluster> {
    let source = connection.open().await?;
    let cluster = fetch(&source, &connection.namespace).await?;
    cluster.unknown.iter().for_each(|text| note(text));
    Ok(cluster)
}

/// Prints for programs or for people, as `output` says.
fn shown(
    output: print::Output,
    value: &impl Serialize,
    text: impl FnOnce(bool) -> String,
) -> Result<()> {
    match output.machine(value)? {
        true => Ok(()),
        false => say(&text(output == print::Output::Wide)),
    }
}

/// Prints a line about something that was done.
fn said(line: &str) -> Result<()> {
    say(&format!("{line}\n"))
}

async fn watch(options: &status::Options, connection: &Connection, no_color: bool) -> Result<()> {
    let wide = match options.output {
        print::Output::Table => false,
        print::Output::Wide => true,
        print::Output::Json | print::Output::Yaml => {
            bail!("--watch shows tables: it goes with `-o table` and `-o wide`")
        }
    };
    let follow = Follow {
        namespace: &connection.namespace,
        names: &options.names,
        wide,
        no_color,
    };
    follow.run(&connection.open().await?).await
}

async fn examine(
    options: &doctor::Options,
    connection: &Connection,
    screen: Screen,
) -> Result<ExitCode> {
    let source = connection.open().await?;
    let cluster = fetch(&source, &connection.namespace).await?;
    let checks = doctor::run(&source, connection, &cluster).await?;
    shown(options.output, &checks, |_| doctor::text(&checks, screen))?;
    let broken = checks
        .iter()
        .any(|check| check.level == doctor::Level::Failed);
    Ok(match broken {
        true => ExitCode::from(BROKEN),
        false => ExitCode::SUCCESS,
    })
}

async fn foresee(
    options: &plan::Options,
    connection: &Connection,
    screen: Screen,
) -> Result<ExitCode> {
    let cluster = match options.cluster()? {
        Some(cluster) => {
            cluster.unknown.iter().for_each(|text| note(text));
            cluster
        }
        None => cluster(connection).await?,
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

async fn blocked(
    options: &blockers::Options,
    connection: &Connection,
    screen: Screen,
) -> Result<()> {
    let source = connection.open().await?;
    let cluster = fetch(&source, &connection.namespace).await?;
    cluster.unknown.iter().for_each(|text| note(text));
    let found = blockers::find(&source, &cluster, options).await?;
    shown(options.output, &found, |wide| {
        blockers::text(&found, screen, wide)
    })
}

async fn gives_up(source: &ClientSource, options: &give_up::Options) -> Result<()> {
    give_up::give_up(source, options).await?;
    said(&format!("node/{} grant removed", options.node))
}

async fn pauses(source: &ClientSource, options: &pause::Options) -> Result<()> {
    pause::pause(source, options, said).await?;
    for strange in pause::strangers(source, options).await? {
        note(&format!(
            "there is no {strange}, so that pause holds nothing yet"
        ));
    }
    Ok(())
}

async fn approves(source: &ClientSource, options: &approve::Options) -> Result<()> {
    let approve::Options { pool, release } = options;
    let before = match approve::approve(source, options).await? {
        Approved::Now => "",
        Approved::Before => " already",
    };
    said(&format!("updatepool/{pool} approves {release}{before}"))
}

fn pages(directory: &Path) -> Result<()> {
    let written = clap_mangen::generate_to(Cli::command(), directory);
    written.with_context(|| format!("write pages to {}", directory.display()))
}
