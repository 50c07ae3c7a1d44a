//! Flags and environment variables: the operator has no configuration file.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, FromArgMatches, Parser};
use cuo_cluster::Credentials;
use cuo_cluster::node::Keep;
use cuo_core::control_plane::Rule;
use cuo_core::ids::NodeName;
use cuo_core::keys;
use cuo_core::plan::Policy;
use cuo_core::pool::{MaxUnavailable, Pool};
use cuo_core::selector::Selector;
use cuo_core::values::DrainPolicy;
use cuo_core::window::{Calendar, Window, Windows};
use jiff::SignedDuration;

/// The longest time span that any flag accepts.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Decides which node of the cluster reboots into its staged update, and when; the cuo-agent on the node does the rest.
///
/// The flags --window, --max-unavailable, --before-reboot-annotations, --after-reboot-annotations and --drain-timeout are the policy for
/// nodes that no UpdatePool selects; --paused is for all nodes.
///
/// Each flag can also be given as the environment variable that is named with it; the flag takes precedence.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "cuo-operator", version, about, max_term_width = 100)]
pub struct Config {
    /// When nodes that no UpdatePool selects may be granted a reboot, as "[DAYS] HH:MM LENGTH [ZONE]", such as "Mon-Fri 22:00 4h Europe/Berlin"; without days it
    /// opens daily, without a zone it is in UTC. For several, repeat the flag or separate them by ';'. Without any, it is always open.
    #[arg(
        long = "window",
        env = "CUO_WINDOW",
        value_name = "WINDOW",
        value_delimiter = ';'
    )]
    pub windows: Vec<Window>,
    /// How many nodes that no UpdatePool selects may be rebooting or otherwise out of service, counting the one that is granted.
    #[arg(long, env = "CUO_MAX_UNAVAILABLE", value_name = "N", default_value = "1", value_parser = count)]
    pub max_unavailable: usize,
    /// Grant nothing in any pool, and withdraw grants that were not accepted yet.
    #[arg(long, env = "CUO_PAUSED", value_parser = BoolishValueParser::new())]
    pub paused: bool,
    /// Annotations that have to be `true` on a node before it is granted, separated by commas. They are set by programs that run on nodes
    /// with the label cuo.coreos.com/before-reboot=true.
    #[arg(long, env = "CUO_BEFORE_REBOOT_ANNOTATIONS", value_name = "NAMES", value_delimiter = ',', value_parser = check)]
    pub before_reboot_annotations: Vec<String>,
    /// Annotations that have to be `true` on a node that rebooted before its slot is free, separated by commas. They are set by programs
    /// that run on nodes with the label cuo.coreos.com/after-reboot=true.
    #[arg(long, env = "CUO_AFTER_REBOOT_ANNOTATIONS", value_name = "NAMES", value_delimiter = ',', value_parser = check)]
    pub after_reboot_annotations: Vec<String>,
    /// How long an agent may take to accept its grant.
    #[arg(long, env = "CUO_ACCEPT_TIMEOUT", value_name = "TIME", default_value = "5m", value_parser = length)]
    pub accept_timeout: SignedDuration,
    /// How long a drain may take. After that, the agent uncordons its node and gives the slot back.
    #[arg(long, env = "CUO_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10m", value_parser = length)]
    pub drain_timeout: SignedDuration,
    /// Nodes with these labels belong to the control plane, too, of which grants never take two out of service at once: a label selector as
    /// kubectl takes it. Nodes with the usual labels and taints, and those that run static pods of etcd or kube-apiserver, belong to it
    /// anyway. For several, repeat the flag or separate them by ';'.
    #[arg(
        long,
        env = "CUO_CONTROL_PLANE_NODES",
        value_name = "SELECTOR",
        value_delimiter = ';'
    )]
    pub control_plane_nodes: Vec<Selector>,
    /// Nodes with these labels do not belong to the control plane, whatever else they have: for nodes that claim it by mistake, and delay
    /// the others. For several, repeat the flag or separate them by ';'.
    #[arg(
        long,
        env = "CUO_NO_CONTROL_PLANE_NODES",
        value_name = "SELECTOR",
        value_delimiter = ';'
    )]
    pub no_control_plane_nodes: Vec<Selector>,
    /// Namespace of the ledger and the lease: the operator's own.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "cuo-system", value_parser = namespace)]
    pub namespace: String,
    /// The node that the operator runs on, which is updated last.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub own_node: Option<NodeName>,
    /// Name of this process in Events and, with a random suffix, in the lease.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "cuo-operator", value_parser = filled)]
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
    /// Serve metrics of each node as long as the cluster has no more than that many: some four time series a node. 0 serves none.
    #[arg(
        long,
        env = "CUO_METRICS_PER_NODE",
        value_name = "N",
        default_value = "5000"
    )]
    pub metrics_per_node: usize,
    /// How to write the log: auto (the journal where it listens, else text), journal, text or json.
    #[arg(
        long,
        env = "CUO_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub log_format: cuo_telemetry::Format,
}

impl Config {
    /// Reads flags (the first of `args` is the program's name) and environment variables.
    ///
    /// # Errors
    /// A clap error that names the invalid flag or variable, or carries help or version text. Meant for [`clap::Error::exit`].
    pub fn load<T: Into<OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(args)
            .map_err(|error| with_variable(error, Self::command(), |name| std::env::var_os(name)))
    }

    /// Reads flags and, in place of this process' environment, the variables that `variable` finds: those of an operator elsewhere.
    ///
    /// # Errors
    /// A clap error that names the invalid flag.
    pub fn with_environment(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, clap::Error> {
        let command = Self::command().mut_args(|arg| arg.env(None::<&str>));
        let mut args: Vec<OsString> = args.into_iter().collect();
        for arg in Self::command().get_arguments() {
            let Some((name, long)) = arg
                .get_env()
                .and_then(|name| name.to_str())
                .zip(arg.get_long())
            else {
                continue;
            };
            let flag = format!("--{long}");
            let given = args.iter().filter_map(|arg| arg.to_str()).any(|arg| {
                let rest = arg.strip_prefix(&flag);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            });
            let Some(value) = variable(name).filter(|_| !given) else {
                continue;
            };
            if arg.get_action().takes_values() {
                let value = value.to_string_lossy();
                args.push(format!("{flag}={value}").into());
            } else if BoolishValueParser::new().parse_ref(&command, Some(arg), &value)? {
                args.push(flag.into());
            }
        }
        Self::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    /// The plan's settings, from the flags.
    pub fn policy(&self) -> Policy {
        Policy {
            builtin: Pool {
                max_unavailable: MaxUnavailable::Count(self.max_unavailable),
                calendar: Calendar::new(Windows::new(self.windows.clone()), vec![]),
                before: self.before_reboot_annotations.clone(),
                after: self.after_reboot_annotations.clone(),
                drain: DrainPolicy {
                    timeout_seconds: u32::try_from(self.drain_timeout.as_secs())
                        .unwrap_or(u32::MAX),
                    ..DrainPolicy::default()
                },
                ..Pool::default()
            },
            paused: self.paused,
            control_plane: Rule {
                also: self.control_plane_nodes.clone(),
                never: self.no_control_plane_nodes.clone(),
            },
            accept_timeout: self.accept_timeout,
        }
    }

    /// The annotations and labels that the plan needs from each Node besides CUO's own.
    pub fn keep(&self) -> Keep {
        let names = self.before_reboot_annotations.iter();
        let mut keep = Keep::new(names.chain(&self.after_reboot_annotations).cloned());
        let selectors = self.control_plane_nodes.iter();
        let selectors = selectors.chain(&self.no_control_plane_nodes);
        keep.grow([], selectors.flat_map(Selector::keys));
        keep
    }

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

/// Adds the environment variable's name to the flag's if the value may have come from it: in a pod nobody wrote the flag.
fn with_variable(
    mut error: clap::Error,
    mut command: Command,
    variable: impl Fn(&str) -> Option<OsString>,
) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    command.build();
    let found = command
        .get_arguments()
        .find(|argument| argument.to_string() == *shown)
        .and_then(|argument| argument.get_env()?.to_str())
        .and_then(|name| Some((name, variable(name)?)));
    if let Some((name, value)) = found {
        let tip = format!(
            "the environment variable {name} is {:?}",
            value.to_string_lossy()
        );
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of nodes, 1 or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn length(text: &str) -> Result<SignedDuration, String> {
    let expected = "expected a length of time from 1s to 7 days (168h), such as 90s or 5m";
    let found: SignedDuration = text
        .parse()
        .map_err(|error| format!("{error}; {expected}"))?;
    if found < SignedDuration::from_secs(1) || found > LONGEST {
        return Err(expected.to_owned());
    }
    Ok(found)
}

/// Whether `text` has at most 63 characters, of which the first and the last are letters or digits.
fn word(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inside = bytes.iter().all(|c| c.is_ascii_alphanumeric() || inner(*c));
    bytes.len() <= 63 && inside && edge(bytes.first()) && edge(bytes.last())
}

fn namespace(text: &str) -> Result<String, String> {
    let lower = !text.bytes().any(|c| c.is_ascii_uppercase());
    if lower && word(text, |c| c == b'-') {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a namespace: a-z, 0-9 and '-'".to_owned())
    }
}

/// Parses the name of a check's annotation.
fn check(text: &str) -> Result<String, String> {
    if text.starts_with(keys::PREFIX) {
        return Err(format!(
            "names that begin with {} are CUO's own",
            keys::PREFIX
        ));
    }
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    // A prefix has the form of a Node's name.
    let prefix = prefix.is_none_or(|prefix| prefix.parse::<NodeName>().is_ok());
    if prefix && word(name, |c| matches!(c, b'-' | b'_' | b'.')) {
        Ok(text.to_owned())
    } else {
        Err("expected the name of an annotation, such as example.com/backup-done".to_owned())
    }
}

fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected a name".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
