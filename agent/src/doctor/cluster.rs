//! Checks of the cluster: credentials, whose they are, what they allow, and the clocks.

use std::path::Path;
use std::time::Duration;

use cuo_cluster::node::{ApiUser, Keep, get_node, try_node, whoami};
use cuo_cluster::rights::{Right, allowed, clock_ahead};
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::ids::{BootId, MachineId};
use cuo_core::node::NodeView;
use cuo_core::raw::RawNode;
use jiff::SignedDuration;

use super::check::{Check, Verdict};
use super::kubeconfig;
use crate::config::Config;
use crate::credentials::of_the_agent;
use crate::status::PROGRAM;
use crate::{facts, feed};

const SERVER: &str = "API server";
const IDENTITY: &str = "identity";
const NODE: &str = "Node";
const RIGHTS: &str = "rights";
const CLOCK: &str = "clock";

/// How long a write may take: an admission webhook has 30 s.
const WRITE: Duration = Duration::from_secs(35);

/// A clock difference that is reported. A grant can be accepted for minutes, so less makes no difference.
const NOTICED: SignedDuration = SignedDuration::from_secs(5);
/// A clock difference that makes grants lapse too soon or too late.
const HARMFUL: SignedDuration = SignedDuration::from_secs(60);

/// Checks the cluster as the agent sees it, or with `given` in place of its kubeconfig.
pub async fn look(root: &Path, config: &Config, given: Option<&Path>) -> Vec<Check> {
    let source = ClientSource::start(of_the_agent(config, root, given), PROGRAM).await;
    let status = source.status();
    let without = |checks: Vec<Check>, names: &[&'static str], needs: &str| {
        let rest = names.iter().map(|name| Check::not_looked_at(name, needs));
        checks.into_iter().chain(rest).collect()
    };
    let mut checks = vec![kubeconfig::judged(root, config, given, &status)];
    if status.problem.is_some() {
        let rest = [SERVER, IDENTITY, NODE, RIGHTS, CLOCK];
        return without(checks, &rest, "a kubeconfig");
    }
    let identity = match whoami(&source).await {
        Ok(identity) => identity,
        Err(error) => {
            checks.push(Check::failed(SERVER, error.to_string(), remedy(&error)));
            let rest = [IDENTITY, NODE, RIGHTS, CLOCK];
            return without(checks, &rest, "an answer of the API server");
        }
    };
    checks.push(Check::ok(SERVER, "answers"));
    checks.push(whose(&identity, config.node_name.as_deref()));
    match feed::named(&source, config.node_name.as_deref(), root).await {
        Ok(Ok(name)) => {
            checks.push(node(&source, root, name.as_str()).await);
            checks.push(rights(&source, name.as_str()).await);
        }
        unnamed => {
            let why = match unnamed {
                Ok(Err(why)) => why,
                Err(error) => error.to_string(),
                Ok(Ok(_)) => String::new(),
            };
            let remedy =
                "Set node_name in the agent's configuration, then `systemctl restart cuo-agent`.";
            checks.push(Check::failed(NODE, why, remedy));
            checks.push(Check::not_looked_at(RIGHTS, "the Node's name"));
        }
    }
    checks.push(clock(&source).await);
    checks
}

fn remedy(error: &ApiError) -> &'static str {
    match error {
        ApiError::Credentials(_) | ApiError::Unauthorized { .. } => {
            "Check whether the kubelet has renewed its certificate; `systemctl restart cuo-agent-credentials` copies it again."
        }
        ApiError::Forbidden { .. } => "Use a node's credentials, or grant these the right.",
        _ => "Look at the network, and whether the address in the kubeconfig is right.",
    }
}

fn whose(identity: &ApiUser, configured: Option<&str>) -> Check {
    let user = &identity.user;
    match (identity.node(), configured) {
        (None, _) => Check::warning(
            IDENTITY,
            format!("{user} is no node's user, so nothing limits it to its own Node"),
            "Leave `kubeconfig` out of the agent's configuration where the kubelet has one that can be found.",
        ),
        (Some(node), Some(name)) if node != name => Check::failed(
            IDENTITY,
            format!(
                "{user} belongs to another node than {name}, which the agent's configuration names"
            ),
            "Take node_name out of the agent's configuration, or give it that node's credential; then `systemctl restart cuo-agent`.",
        ),
        (Some(_), _) => Check::ok(IDENTITY, user.clone()),
    }
}

async fn node(source: &ClientSource, root: &Path, name: &str) -> Check {
    let raw = match get_node(source, name, &Keep::default()).await {
        Ok(Some(raw)) => raw,
        Ok(None) => {
            let remedy = "Check that the kubelet runs and has registered; a wrong name comes from node_name in the agent's configuration or from the host's name.";
            return Check::failed(NODE, format!("there is no Node {name}"), remedy);
        }
        Err(error) => return Check::failed(NODE, error.to_string(), remedy(&error)),
    };
    let own = facts::boot_id(root).ok().zip(facts::machine_id(root));
    let seen = seen(&raw, own);
    match try_node(source, name, WRITE).await {
        // This is independent of the Node's state, and worse.
        Err(error) if seen.verdict != Verdict::Failed => unwritable(name, &error),
        Ok(()) | Err(_) => seen,
    }
}

/// The result if the Node can be read, but a write would be refused.
fn unwritable(name: &str, error: &ApiError) -> Check {
    let found = format!("{name} can't be written: {error}");
    match error.admission() {
        Some(by) => Check::failed(NODE, found, by.remedy()),
        None => Check::failed(NODE, found, remedy(error)),
    }
}

/// Checks the Node `raw`, for the host with this boot id and machine id.
fn seen(raw: &RawNode, own: Option<(BootId, MachineId)>) -> Check {
    let name = &raw.name;
    // If it is not Ready, its kubelet may run on this host and not have reported yet.
    let elsewhere = |view: &NodeView| {
        let (boot, machine) = own.filter(|_| view.ready)?;
        view.elsewhere(&[boot], machine)
    };
    match NodeView::parse(raw).map(|view| (elsewhere(&view), view)) {
        Err(error) => Check::failed(NODE, error.to_string(), "Rename the node."),
        Ok((Some(why), _)) => Check::failed(
            NODE,
            format!("{why}; this credential belongs to another node"),
            "Give this host a credential of its own node, and take a wrong node_name out of the agent's configuration; then `systemctl restart cuo-agent`.",
        ),
        Ok((None, view)) if view.paused => Check::warning(
            NODE,
            format!("{name} is paused"),
            format!(
                "`kubectl label node {name} cuo.coreos.com/reboot-paused-`, or the annotation of that name."
            ),
        ),
        Ok((None, view)) if !view.ready => Check::warning(
            NODE,
            format!("{name} is not Ready"),
            "See the kubelet's journal.",
        ),
        Ok((None, view)) if view.operator.only_node => Check::ok(
            NODE,
            format!(
                "{name} is Ready, and the only node that takes pods: those with a disruption budget do not leave it, and `drain.mode: None` in its pool updates it without a drain"
            ),
        ),
        Ok((None, _)) => Check::ok(NODE, format!("{name} is Ready")),
    }
}

async fn rights(source: &ClientSource, name: &str) -> Check {
    let own = |verb| Right {
        verb,
        resource: "nodes",
        subresource: None,
        name: Some(name),
        only: None,
    };
    let pods = Right {
        resource: "pods",
        name: None,
        only: Some(("spec.nodeName", name)),
        ..own("list")
    };
    let evict = Right {
        verb: "create",
        subresource: Some("eviction"),
        only: None,
        ..pods
    };
    let watch = Right {
        verb: "watch",
        ..pods
    };
    let needed = [own("get"), own("watch"), own("patch"), pods, watch, evict];
    let mut missing = Vec::new();
    for right in &needed {
        match allowed(source, right).await {
            Ok(true) => {}
            Ok(false) => missing.push(right.to_string()),
            Err(error) => return Check::failed(RIGHTS, error.to_string(), remedy(&error)),
        }
    }
    if missing.is_empty() {
        return Check::ok(RIGHTS, "all that the agent needs");
    }
    Check::failed(
        RIGHTS,
        format!("missing: {}", missing.join(", ")),
        "Use a node's credentials, or grant these the rights.",
    )
}

async fn clock(source: &ClientSource) -> Check {
    match clock_ahead(source).await {
        Ok(ahead) => reported(ahead),
        Err(error) => Check::warning(CLOCK, error.to_string(), remedy(&error)),
    }
}

fn reported(ahead: SignedDuration) -> Check {
    let side = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let by = ahead.abs();
    let found = format!("the API server's is {} s {side} this host's", by.as_secs());
    let remedy =
        "See `timedatectl` and `chronyc tracking` on both: grants lapse too soon or too late.";
    if by >= HARMFUL {
        Check::failed(CLOCK, found, remedy)
    } else if by >= NOTICED {
        Check::warning(CLOCK, found, remedy)
    } else {
        Check::ok(CLOCK, "agrees with the API server's")
    }
}

#[cfg(test)]
mod tests;
