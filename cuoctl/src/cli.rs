//! The command line.

use clap::{CommandFactory, Parser, Subcommand};

use crate::connect::Connection;
use crate::{
    approve, blockers, bundle, doctor, events, gate, give_up, history, pause, plan, reboot,
    release, retry, status, why,
};

/// Shows the state of the updates of a cluster's nodes and why it is so, foresees what comes next, and steers them.
///
/// It does with the API server what the kubeconfig's user may do. Exit codes: 0 all is well, 1 it failed, 2 the command line is wrong, 3
/// `plan` found a node that would never be updated, 4 `doctor` found something that does not work or is not safe.
#[derive(Debug, Parser)]
#[command(name = "cuoctl", version, about, max_term_width = 100)]
pub struct Cli {
    /// Which cluster, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// Print no colours, as if NO_COLOR were set.
    #[arg(long, global = true, help_heading = "Options of each command")]
    pub no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show pools and nodes: what they are at, what runs, what comes next, and why they wait.
    Status(status::Options),
    /// Explain why a node does or does not reboot now: all that is looked at, from the host to its pools.
    Why(why::Options),
    /// Foresee which node reboots when, by the operator's own planner on the cluster as it is or as it would be.
    Plan(plan::Options),
    /// Show which pods would not leave their nodes now, and why, by a dry run of each eviction: nothing is evicted.
    Blockers(blockers::Options),
    /// Show what the operator and the agents said of nodes and pools, in order.
    Events(events::Options),
    /// Show which releases pools go to, and how many nodes run or need which.
    Release(release::Options),
    /// Show what became of the candidates of pools.
    History(history::Options),
    /// Check whether the cluster is as CUO needs it, and say what to do where it is not.
    Doctor(doctor::Options),
    /// Write all that helps to find out what is wrong to one file: objects, Events, the operator's logs and metrics, without secrets.
    SupportBundle(bundle::Options),
    /// Steer the cluster.
    #[command(flatten)]
    Steer(Steer),
    /// Print a completion script for a shell.
    #[command(hide = true)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands.
    #[command(hide = true)]
    Man {
        /// Where to.
        directory: std::path::PathBuf,
    },
}

/// How to steer the cluster. Only these write anything.
#[derive(Debug, Subcommand)]
pub enum Steer {
    /// Hold updates: of all nodes, of a pool's, or of single ones. What is not accepted yet is taken back; what is under way goes on.
    Pause(pause::Options),
    /// End a pause.
    Resume(pause::ResumeOptions),
    /// Open or close a gate: the pools that name it are granted nothing while it is closed.
    Gate(gate::Options),
    /// Add a release to those that a pool approves; what is on its list stays there.
    Approve(approve::Options),
    /// Have nodes try again what failed on them, without waiting any longer, as `cuo-agent forget` does on a host.
    Retry(retry::Options),
    /// Reboot nodes without an update: each when its turn comes, drained and verified as for an update.
    Reboot(reboot::Options),
    /// Take the grant of a node back: a drain ends, and its agent uncordons the node. A reboot that was requested already goes on.
    GiveUp(give_up::Options),
}

/// The command as it is called: kubectl runs its plugins by a name of their own.
pub fn command(called: Option<&std::ffi::OsStr>) -> clap::Command {
    let path = called.map(std::path::Path::new);
    let name = path.and_then(|path| path.file_stem());
    match name.is_some_and(|name| name == "kubectl-cuo" || name == "kubectl_cuo") {
        true => Cli::command().bin_name("kubectl cuo"),
        false => Cli::command(),
    }
}
