//! Reads a cluster from its API server.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cuo_cluster::node::Keep;
use cuo_cluster::paths::{GATES, PAUSES, POOLS};
use cuo_cluster::watch::list_nodes;
use cuo_cluster::{ApiError, ClientSource, Retry};
use cuo_coordination::ledger;
use cuo_coordination::pool::list_values;
use cuo_core::pool::FoundPool;
use cuo_core::time::Time;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod};

use crate::cluster::{Cluster, Settings};
use crate::read::{get, patiently};
use crate::{durations, events};

/// The operator's Deployment, its container and its lease are called so (`deploy/operator.yaml`).
const OPERATOR: &str = "cuo-operator";
/// Environment variables that are the operator's settings begin so; the others are about the pod.
const VARIABLES: &str = "CUO_";

/// Reads everything that the planner needs; what may not be read is listed in [`Cluster::unknown`].
///
/// # Errors
/// Where the Nodes can't be read, without which there is nothing to say.
pub async fn fetch(source: &ClientSource, namespace: &str) -> Result<Cluster> {
    let mut cluster = fetch_but_nodes(source, namespace).await;
    let keep = keep(&cluster)?;
    let nodes = patiently(async || list_nodes(source, &keep).await).await;
    cluster.nodes = nodes.context("the Nodes can't be read")?;
    Ok(cluster)
}

/// The same without the Nodes.
pub async fn fetch_but_nodes(source: &ClientSource, namespace: &str) -> Cluster {
    let mut cluster = Cluster::unknown(Time::from(Timestamp::now()));
    let (pools, pauses, gates, settings, ledger, own_node, events) = tokio::join!(
        patiently(async || list_values(source, POOLS).await),
        patiently(async || list_values(source, PAUSES).await),
        patiently(async || list_values(source, GATES).await),
        settings(source, namespace),
        ledger_text(source, namespace),
        own_node(source, namespace),
        patiently(async || events::listed(source, None).await),
    );
    let mut unknown = Unknown::default();
    cluster.operator_unread = settings.is_err();
    cluster.pools = unknown.or("the UpdatePools can't be read, so none are assumed", pools);
    cluster.pauses = unknown.or(
        "the UpdatePauses can't be read, so none are assumed",
        pauses,
    );
    cluster.gates = unknown.or("the UpdateGates can't be read, so none are assumed", gates);
    cluster.operator = unknown.or(
        "the operator's flags can't be read, so its defaults are assumed",
        settings,
    );
    cluster.ledger = unknown.or(
        "the ledger can't be read, so no slot is assumed to be out",
        ledger,
    );
    let events = unknown.or(
        "the Events can't be read, so nothing is known of how long updates took",
        events,
    );
    cluster.took = durations::learn(&events.0);
    cluster.own_node = unknown.or("the node of the operator is not known", own_node);
    let operator = cluster.operator.iter();
    let elsewhere = operator.flat_map(|operator| &operator.elsewhere);
    cluster.unanswered = unknown.unanswered;
    unknown.texts.extend(elsewhere.map(|name| {
        format!("{name} of the operator comes from somewhere else than its Deployment, so its default is assumed")
    }));
    cluster.unknown = unknown.texts;
    cluster
}

/// What could not be read.
#[derive(Default)]
struct Unknown {
    /// Each a sentence.
    texts: Vec<String>,
    /// The API server did not answer, so nothing is known of what is there.
    unanswered: bool,
}

impl Unknown {
    /// What was read, or else nothing and a note of that.
    fn or<T: Default>(&mut self, what: &str, read: Result<T, ApiError>) -> T {
        read.unwrap_or_else(|error| {
            self.unanswered |= matches!(error.retry_class(), Retry::Later(_));
            self.texts.push(format!("{what}: {error}"));
            T::default()
        })
    }
}

/// What to keep of Nodes: all labels, since a pool that is not applied yet can select by any; of annotations those of checks besides CUO's own.
///
/// # Errors
/// Where the operator's flags or the pools can't be parsed.
pub fn keep(cluster: &Cluster) -> Result<Keep> {
    // Flags that can't be read name no checks; who needs the flags says so.
    let keep = cluster.config().map(|config| config.keep());
    let mut keep = keep.unwrap_or_default().all_labels();
    for pool in cluster.pools()? {
        if let FoundPool::Valid(pool) = &pool.found {
            let checks = pool.before.iter().chain(&pool.after);
            keep.grow(checks.map(String::as_str), []);
        }
    }
    Ok(keep)
}

async fn settings(source: &ClientSource, namespace: &str) -> Result<Option<Settings>, ApiError> {
    let found: Option<Deployment> = get(source, namespace, OPERATOR).await?;
    Ok(found.map(|deployment| {
        let ready = deployment.status.and_then(|status| status.ready_replicas);
        let pod = deployment.spec.template.spec;
        let containers = pod.map(|pod| pod.containers).unwrap_or_default();
        let named = |container: &Container| container.name == OPERATOR;
        let place = containers.iter().position(named).unwrap_or_default();
        let container = containers.into_iter().nth(place).unwrap_or_default();
        Settings {
            ready: ready.unwrap_or_default(),
            ..of_container(container)
        }
    }))
}

fn of_container(container: Container) -> Settings {
    let variables = container.env.unwrap_or_default();
    let settings = variables
        .into_iter()
        .filter(|variable| variable.name.starts_with(VARIABLES));
    let (known, elsewhere): (Vec<_>, Vec<_>) =
        settings.partition(|variable| variable.value_from.is_none());
    let value = |variable: EnvVar| (variable.name, variable.value.unwrap_or_default());
    let elsewhere = elsewhere.into_iter().map(|variable| variable.name);
    // Any variable could be in there.
    let whole = container.env_from.unwrap_or_default();
    let whole = whole.into_iter().map(|from| {
        let map = from
            .config_map_ref
            .map(|map| format!("the ConfigMap {}", map.name));
        let secret = from
            .secret_ref
            .map(|secret| format!("the Secret {}", secret.name));
        let source = map.or(secret);
        let source = source.unwrap_or_else(|| "something unknown".to_owned());
        format!("every variable from {source}")
    });
    Settings {
        image: container.image.unwrap_or_default(),
        arguments: container.args.unwrap_or_default(),
        environment: known.into_iter().map(value).collect::<BTreeMap<_, _>>(),
        elsewhere: elsewhere.chain(whole).collect(),
        ready: 0,
    }
}

async fn ledger_text(source: &ClientSource, namespace: &str) -> Result<Option<String>, ApiError> {
    let found: Option<ConfigMap> = get(source, namespace, ledger::NAME).await?;
    let data = found.and_then(|map| map.data);
    Ok(data.and_then(|mut data| data.remove(ledger::KEY)))
}

/// Where the operator that holds the lease runs: the holder is its pod's name and eight digits.
async fn own_node(source: &ClientSource, namespace: &str) -> Result<Option<String>, ApiError> {
    let found: Option<Lease> = get(source, namespace, OPERATOR).await?;
    let spec = found.and_then(|lease| lease.spec);
    let holder = spec.and_then(|spec| spec.holder_identity);
    let Some((pod, _)) = holder.as_deref().and_then(|holder| holder.rsplit_once('-')) else {
        return Ok(None);
    };
    let found: Option<Pod> = get(source, namespace, pod).await?;
    Ok(found.and_then(|pod| pod.spec?.node_name))
}
