//! What tests look at, and wait for.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cuo_agent::steps::Named;
use cuo_core::keys;
use cuo_core::ledger::{DATA_KEY, Ledger};
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Outcome, Phase};
use cuo_lab::bench::{Bench, Operator, OperatorSpec};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::PATIENCE;

/// Where the operator keeps its ledger and its lease.
pub const NAMESPACE: &str = "cuo-system";
const LEDGER: &str = "cuo-ledger";

/// Every step of an agent but the way back from an update, which is a test of its own.
pub fn steps_of_updates() -> BTreeSet<Named> {
    let all = Named::ALL.iter().copied();
    all.filter(|step| *step != Named::RollBack).collect()
}

/// Waits until `look` finds something; if it does not, all nodes and logs are shown.
pub async fn seen<T>(bench: &Bench, what: &str, look: impl AsyncFnMut() -> Result<Option<T>>) -> T {
    match until(what, PATIENCE, look).await {
        Ok(found) => found,
        Err(error) => panic!("{error:#}\n{}", bench.picture().await),
    }
}

/// Waits until the agent of the node is held at `step`.
pub async fn held(bench: &Bench, name: &str, step: &str) {
    let site = bench.site(name).unwrap();
    if let Err(error) = site.gate().hit(step, PATIENCE).await {
        panic!("{error:#}\n{}", bench.picture().await);
    }
}

/// Waits until every node runs `version` and nothing of its update is left.
pub async fn settled(bench: &Bench, version: &str) {
    if let Err(error) = bench.settled(version, PATIENCE).await {
        panic!("{error:#}");
    }
}

/// Waits until the Node is as `wanted` says.
pub async fn node(bench: &Bench, name: &str, what: &str, wanted: impl Fn(&NodeView) -> bool) {
    let look = async || Ok(wanted(&bench.node(name)?).then_some(()));
    seen(bench, &format!("{name} {what}"), look).await
}

/// Waits until the agent says this of itself.
pub async fn shows(bench: &Bench, name: &str, phase: Phase, code: Option<Code>) {
    let what = format!("to be {phase} because of {code:?}");
    node(bench, name, &what, |node| {
        let found = node.agent.status.value().map(|status| status.phase);
        let reason = node.agent.reason.value();
        let reason = reason.and_then(|reason| reason.code.known());
        (found, reason) == (Some(phase), code)
    })
    .await
}

/// Waits until the agent has given the grant of its paused node up. It hears of the pause and of the lost grant one after the other, and
/// either is a reason.
pub async fn gives_up(bench: &Bench, name: &str) {
    node(bench, name, "to give its grant up", |node| {
        let result = node.agent.result.value();
        result.is_some_and(|result| {
            result.outcome == Outcome::Aborted
                && matches!(result.known(), Some(Code::GrantRevoked | Code::Paused))
        })
    })
    .await
}

/// Waits until the agent has answered its last grant so.
pub async fn answers(bench: &Bench, name: &str, outcome: Outcome, code: Option<Code>) {
    let what = format!("to answer its grant with {outcome:?} {code:?}");
    node(bench, name, &what, |node| {
        let result = node.agent.result.value();
        result.is_some_and(|result| (result.outcome, result.known()) == (outcome, code))
    })
    .await
}

/// Waits until the node runs `version`.
pub async fn boots(bench: &Bench, name: &str, version: &str) {
    node(bench, name, &format!("to run {version}"), |node| {
        let booted = node.agent.booted.value();
        booted.is_some_and(|booted| booted.version == version)
    })
    .await
}

/// Nothing of an update is left on the node: no grant, no acceptance, no cordon of the agent.
pub fn is_free(node: &NodeView) -> bool {
    let (agent, operator) = (&node.agent, &node.operator);
    agent.progress.is_absent() && agent.owned.is_absent() && !operator.has_slot()
}

/// How often all hosts together have rebooted.
pub fn reboots(bench: &Bench) -> u32 {
    bench.sites().map(|site| site.reboots()).sum()
}

/// An operator that plans at once, whoever else does.
pub fn leading(name: &str) -> OperatorSpec {
    OperatorSpec {
        name: name.into(),
        without_lease: true,
        ..OperatorSpec::default()
    }
}

/// Waits until the operator says `code` of `count` nodes, by its metrics.
pub async fn verdict(bench: &Bench, operator: &Operator, code: Code, count: usize) {
    let line = format!("cuo_verdicts{{code=\"{code}\"}} {count}");
    let look = async || {
        let text = metrics(operator.address()).await?;
        ensure!(text.lines().any(|found| found == line), "{text}");
        Ok(Some(()))
    };
    seen(bench, &line, look).await
}

/// What the operator at `address` serves.
pub async fn metrics(address: &str) -> Result<String> {
    served(address, "/metrics").await
}

/// What the operator at `address` serves at `path`, with its headers.
pub async fn served(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Publishes `version` to these nodes only: which of several nodes goes first depends on which of them has staged it first.
pub async fn publish_to(bench: &Bench, names: &[&str], version: &str) {
    for name in names {
        bench.site(name).unwrap().publish(version).await.unwrap();
    }
}

/// An administrator holds the node, or lets it go.
pub async fn pause(bench: &Bench, name: &str, paused: bool) {
    let key = keys::REBOOT_PAUSED;
    let change = match paused {
        true => format!("{key}=true"),
        false => format!("{key}-"),
    };
    let annotate = ["annotate", "node", name, &change];
    bench.plane.kubectl(&annotate).await.unwrap();
}

/// Waits until the operator has seen everything that happened until now: it takes away what does not belong on a Node.
pub async fn operator_has_seen(bench: &Bench, name: &str) {
    let label = format!("{}=true", keys::AFTER_REBOOT);
    let put = ["label", "node", name, &label];
    bench.plane.kubectl(&put).await.unwrap();
    let cleaned = |node: &NodeView| !node.operator.after;
    node(bench, name, "to be cleaned", cleaned).await
}

fn ledgers(bench: &Bench) -> Api<ConfigMap> {
    Api::namespaced(bench.plane.admin(), NAMESPACE)
}

/// The ledger as it is; an error if there is none that makes sense.
pub async fn ledger(bench: &Bench) -> Result<Ledger> {
    let object = ledgers(bench).get(LEDGER).await?;
    let data = object.data.unwrap_or_default();
    match Field::json(data.get(DATA_KEY)) {
        Field::Value(ledger) => Ok(ledger),
        other => Err(anyhow::Error::msg(format!("{other:?}"))).context("the ledger"),
    }
}

/// Somebody deletes the ledger.
pub async fn delete_ledger(bench: &Bench) {
    let how = DeleteParams::default();
    ledgers(bench).delete(LEDGER, &how).await.unwrap();
}

/// Waits until no node has a slot any more.
pub async fn no_slot(bench: &Bench) {
    let empty = async || Ok(ledger(bench).await?.entries.is_empty().then_some(()));
    seen(bench, "an empty ledger", empty).await
}
