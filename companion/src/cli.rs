//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use cuo_cluster::Credentials;

/// Tells people of updates, and holds updates while alerts fire or resources are not as they should be. It grants none.
///
/// What it does is in its configuration. Each flag can also be given as the environment variable that is named with it; the flag takes
/// precedence.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "cuo-companion", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; without one, run until SIGTERM.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration.
    #[arg(
        long,
        env = "CUO_COMPANION_CONFIG",
        value_name = "FILE",
        default_value = "/etc/cuo-companion/config.yaml",
        global = true
    )]
    pub config: PathBuf,
    /// Namespace of the lease and of what was sent: the companion's own.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAME",
        default_value = "cuo-companion"
    )]
    pub namespace: String,
    /// Name of this process in the lease, with a random suffix.
    #[arg(
        long,
        env = "POD_NAME",
        value_name = "NAME",
        default_value = "cuo-companion"
    )]
    pub identity: String,
    /// Kubeconfig to use in place of the pod's service account.
    #[arg(long, env = "CUO_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Address for /metrics, /healthz and /readyz.
    #[arg(
        long,
        env = "CUO_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,
    /// How to write the log: auto (the journal where it listens, else text), journal, text or json.
    #[arg(
        long,
        env = "CUO_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub log_format: cuo_telemetry::Format,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Check the configuration and the secrets that it names, and say what it switches on.
    Check {
        /// Send a message of trial to every service as well.
        #[arg(long)]
        send: bool,
    },
}

impl Cli {
    /// The source of the credentials.
    pub fn credentials(&self) -> Credentials {
        match &self.kubeconfig {
            Some(path) => Credentials::File {
                path: path.clone(),
                root: "/".into(),
            },
            None => Credentials::Pod,
        }
    }
}
