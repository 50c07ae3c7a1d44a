//! Checks of what is known of the cluster already.

use anyhow::Result;
use cuo_core::features::Feature;
use cuo_core::field::{Field, trouble};
use cuo_core::node::NodeView;
use cuo_core::pause::FoundPause;
use cuo_core::plan::{Plan, Snapshot, plan};
use cuo_core::pool::FoundPool;
use cuo_core::reason::Code;
use cuo_core::time::Time;

use super::check::{Check, some};
use crate::cluster::Cluster;

/// All of them.
pub fn all(cluster: &Cluster) -> Result<Vec<Check>> {
    let seen = cluster.seen()?;
    // Without the operator's flags there is no plan, and the check of the operator says what is wrong with them.
    let policy = cluster.policy().ok();
    let plan = policy.map(|policy| plan(&seen, &policy, cluster.at));
    let mut checks = vec![operator(cluster), leader(cluster)];
    checks.extend(nodes(&seen));
    checks.extend(pools(&seen, plan.as_ref()));
    checks.extend(pauses(&seen, cluster.at));
    checks.extend(gates(&seen));
    checks.extend(ledger(&seen));
    let unknown = cluster.unknown.iter();
    checks.extend(unknown.map(|text| Check::unknown("rights", text.clone())));
    Ok(checks)
}

fn operator(cluster: &Cluster) -> Check {
    const ABOUT: &str = "operator";
    if cluster.operator_unread {
        return Check::unknown(ABOUT, "its Deployment can't be read");
    }
    let Some(operator) = &cluster.operator else {
        let remedy = "`kubectl apply -f deploy/operator.yaml`, or name its namespace with -n.";
        return Check::failed(ABOUT, "there is no Deployment cuo-operator", remedy);
    };
    if let Err(error) = operator.config() {
        let remedy = "Correct the flag that is named in the Deployment cuo-operator.";
        return Check::failed(ABOUT, format!("{error:#}"), remedy);
    }
    if operator.ready < 1 {
        let remedy = "See its pods with `kubectl -n cuo-system describe pods`, and their log.";
        return Check::failed(ABOUT, "no pod of it is ready", remedy);
    }
    let own = env!("CARGO_PKG_VERSION");
    match operator.image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !name.contains('@') && tag != own => {
            Check::warning(
                ABOUT,
                format!("it is of version {tag}, and this cuoctl of {own}"),
                "Use the cuoctl of the operator's version: another one may foresee something else.",
            )
        }
        _ => Check::ok(
            ABOUT,
            format!("{} ready, {}", operator.ready, operator.image),
        ),
    }
}

fn leader(cluster: &Cluster) -> Check {
    match &cluster.own_node {
        Some(node) => Check::ok("leader", format!("runs on {node}")),
        None => Check::unknown("leader", "no pod holds the lease cuo-operator"),
    }
}

fn names<'a>(views: impl Iterator<Item = &'a NodeView>) -> Vec<String> {
    views.map(|view| view.name.to_string()).collect()
}

fn nodes(seen: &Snapshot) -> Vec<Check> {
    let views = &seen.nodes;
    let mut checks = Vec::new();
    let without = names(views.values().filter(|view| view.protocol.is_absent()));
    match without.len() {
        0 => checks.push(Check::ok("agents", format!("on all {} nodes", views.len()))),
        count => checks.push(Check::warning(
            "agents",
            format!(
                "{count} of {} nodes have none: {}",
                views.len(),
                some(&without)
            ),
            "Install and enable cuo-agent there, or leave them to something else.",
        )),
    }
    let strange = |view: &&NodeView| !matches!(view.protocol, Field::Value(_) | Field::Absent);
    let strange = names(views.values().filter(strange));
    if !strange.is_empty() {
        checks.push(Check::failed(
            "protocol",
            format!("agents speak another version of it: {}", some(&strange)),
            Code::ProtocolUnknown.remedy(),
        ));
    }
    let old = |view: &&NodeView| {
        let features = &view.agent.features;
        matches!(view.protocol, Field::Value(_))
            && !Feature::ALL.iter().all(|one| one.is_in(features))
    };
    let old = names(views.values().filter(old));
    if !old.is_empty() {
        checks.push(Check::warning(
            "features",
            format!("agents are of an older release: {}", some(&old)),
            "They are upgraded with their hosts; pools that ask for what they lack hold them.",
        ));
    }
    checks
}

fn pools(seen: &Snapshot, plan: Option<&Plan>) -> Vec<Check> {
    let mut checks = Vec::new();
    for found in &seen.pools {
        if let FoundPool::Invalid { name, why, .. } = found {
            let found = format!("pool {name}: {why}");
            checks.push(Check::failed("pools", found, Code::PoolInvalid.remedy()));
        }
    }
    let Some(plan) = plan else {
        return checks;
    };
    let empty = plan.pools.iter().filter(|pool| pool.members == 0);
    let empty: Vec<_> = empty
        .filter_map(|pool| Some(pool.name.as_ref()?.to_string()))
        .collect();
    if !empty.is_empty() {
        let found = format!("these select no node: {}", some(&empty));
        checks.push(Check::warning(
            "pools",
            found,
            "Compare their `nodeSelector` with the labels of the nodes.",
        ));
    }
    let differ = plan
        .verdicts
        .iter()
        .filter(|(_, why)| why.code == Code::PoolsDiffer);
    let differ: Vec<_> = differ
        .map(|(name, why)| format!("{name}: {}", why.message))
        .collect();
    if let Some(first) = differ.first() {
        let found = format!("{} nodes are in pools that differ: {first}", differ.len());
        checks.push(Check::failed("pools", found, Code::PoolsDiffer.remedy()));
    }
    if checks.is_empty() {
        let found = match plan.pools.len().saturating_sub(1) {
            0 => "none: the operator's flags are the policy of all nodes".to_owned(),
            1 => "one, and it makes sense".to_owned(),
            count => format!("{count}, and all make sense"),
        };
        checks.push(Check::ok("pools", found));
    }
    checks
}

fn pauses(seen: &Snapshot, at: Time) -> Vec<Check> {
    let pauses = seen.pauses.iter().filter_map(|found| match found {
        FoundPause::Valid(pause) if pause.holds(at) => None,
        FoundPause::Valid(pause) => Some(Check::ok(
            "pauses",
            format!("UpdatePause {} is over and can be deleted", pause.name),
        )),
        FoundPause::Invalid { name, why } => Some(Check::failed(
            "pauses",
            format!("UpdatePause {name} holds all nodes, since it can't be understood: {why}"),
            "Correct it, or delete it.",
        )),
    });
    pauses.collect()
}

/// Gates that pools name, and that are not there or make no sense. One that is closed does what it is for.
fn gates(seen: &Snapshot) -> Vec<Check> {
    let pools = seen.pools.iter().filter_map(|found| match found {
        FoundPool::Valid(pool) => Some(pool),
        FoundPool::Invalid { .. } => None,
    });
    let named = pools.flat_map(|pool| pool.gates.iter().map(move |gate| (pool, gate)));
    let wrong = named.filter_map(|(pool, gate)| {
        let why = match seen.gates.get(gate) {
            Some(Ok(_)) => return None,
            Some(Err(why)) => why.clone(),
            None => "there is no such gate, so it counts as closed".to_owned(),
        };
        let pool = pool.name.as_ref()?;
        let found = format!("pool {pool}: gate {gate}: {why}");
        Some(Check::failed("gates", found, Code::GateClosed.remedy()))
    });
    wrong.collect()
}

/// Nothing at all is granted by a ledger that makes no sense.
fn ledger(seen: &Snapshot) -> Option<Check> {
    let why = trouble(&seen.ledger, "the ConfigMap cuo-ledger")?;
    let remedy = "See `The ledger is malformed` in docs/operations.md.";
    Some(Check::failed("ledger", why.message, remedy))
}
