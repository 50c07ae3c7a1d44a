//! The command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser, Subcommand};
use cuo_core::ids::ReleaseId;
use rustix::process::{Pid, Signal, kill_process};

use crate::config::Config;
use crate::credentials;
use crate::status;
use crate::store::Store;

/// Keeps this rpm-ostree host up to date: stages updates, and reboots when the cluster's cuo-operator grants it.
#[derive(Debug, Parser)]
#[command(name = "cuo-agent", version, about, max_term_width = 100)]
pub struct Cli {
    /// Directory below which the host's files are looked for.
    #[arg(long, global = true, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// What to do; without it, run as the host's agent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as the host's agent (the default; cuo-agent.service does this).
    Run {
        /// How to write the log: auto (the journal where it listens, else text), journal, text or json.
        #[arg(long, env = "CUO_LOG_FORMAT", default_value = "auto")]
        log_format: cuo_telemetry::Format,
        /// The kubeconfig, in place of the configuration's; cuo-agent.service names the copy that `credentials` makes.
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Show what runs on this host, what a reboot would boot, and what the agent does about it.
    Status(status::Options),
    /// Check everything that the agent depends on, and report what is wrong and what to do.
    Doctor(status::Options),
    /// Make the running agent look for an update now.
    Check,
    /// Make the running agent forget that a release failed here, so that it may be tried again.
    Forget {
        /// The release id (a commit, or sha256:… of an image), or `all`.
        #[arg(value_parser = forgettable)]
        identity: String,
    },
    /// Copy the kubelet's credentials to where the agent's user may read them (cuo-agent-credentials.service does this).
    ///
    /// They are those of the kubeconfig that the configuration names. Without one they are looked for in /etc/cuo-agent/kubeconfig,
    /// which is used until its certificate has ended, and where installers put the kubelet's: /var/lib/kubelet/kubeconfig,
    /// /etc/kubernetes/kubelet.conf (kubeadm), /var/lib/rancher/k3s/agent/kubelet.kubeconfig (k3s),
    /// /var/lib/rancher/rke2/agent/kubelet.kubeconfig (RKE2), /run/k0s/nllb/kubeconfig.yaml and /var/lib/k0s/kubelet.conf (k0s), and
    /// /var/lib/microshift/resources/kubelet/kubeconfig (MicroShift). Those that can't be used are skipped and reported. Of the rest, the
    /// one with the newest client certificate that has not expired is used, and of equal ones, and of k0s's two, the first.
    Credentials,
    /// Show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands.
    #[command(hide = true)]
    Man {
        /// Where to write one page for each command.
        directory: Option<PathBuf>,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print what all fragments together say, defaults included, and the file that each value is from; what is wrong goes to standard error.
    Show,
}

fn forgettable(text: &str) -> Result<String, String> {
    if text != "all" {
        text.parse::<ReleaseId>()
            .map_err(|error| format!("{error}; or `all`"))?;
    }
    Ok(text.to_owned())
}

/// Carries out the commands that need only the host's files: all but [`Command::Run`], [`Command::Status`] and [`Command::Doctor`].
///
/// # Errors
/// When the command fails, with the file or process that it failed for.
pub fn once(root: &Path, command: Command) -> Result<()> {
    let store = Store::new(root);
    match command {
        Command::Run { .. } | Command::Status(_) | Command::Doctor(_) => {
            bail!("this is for the main function")
        }
        Command::Check => wake(&store),
        Command::Forget { identity } => {
            store.request_forget(&identity)?;
            wake(&store)
        }
        Command::Credentials => credentials::copy(root),
        Command::Config(ConfigCommand::Show) => show(root),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cuo-agent", &mut io::stdout());
            Ok(())
        }
        Command::Man { directory: None } => page(Cli::command())
            .render(&mut io::stdout())
            .context("write the page"),
        Command::Man {
            directory: Some(directory),
        } => {
            let mut command = Cli::command().disable_help_subcommand(true);
            command.build();
            pages(command, &directory)
                .with_context(|| format!("write pages to {}", directory.display()))
        }
    }
}

/// The manual page of `command`, in the section for system administration.
fn page(command: clap::Command) -> clap_mangen::Man {
    clap_mangen::Man::new(command).section("8")
}

/// Writes the pages of `command` and of all its subcommands; each page lists its subcommands.
fn pages(command: clap::Command, directory: &Path) -> io::Result<()> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages(below.clone(), directory)?;
    }
    page(command).generate_to(directory)?;
    Ok(())
}

/// Sends SIGHUP to the running agent.
fn wake(store: &Store) -> Result<()> {
    // The agent's user can write that file, and root may be the reader: no process of anybody else is signalled because of it.
    let pid = store.agent()?.context(
        "the agent does not run; `systemctl start cuo-agent`, and `systemctl status cuo-agent` says why it ended",
    )?;
    let agent = Pid::from_raw(pid).with_context(|| format!("no such process id: {pid}"))?;
    kill_process(agent, Signal::HUP).with_context(|| {
        format!("process {pid} can't be signalled; see `systemctl status cuo-agent`")
    })
}

fn show(root: &Path) -> Result<()> {
    let (text, errors) = Config::shown(root).context("configuration as TOML")?;
    io::stdout().write_all(text.as_bytes()).context("write")?;
    for error in &errors {
        eprintln!("{}", error.picture());
    }
    if errors.is_empty() {
        Ok(())
    } else {
        bail!(
            "{} of the configuration's files can't be used",
            errors.len()
        )
    }
}

#[cfg(test)]
mod tests;
