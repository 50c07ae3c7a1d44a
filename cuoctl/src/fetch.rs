//! Reads a cluster from its API server.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cuo_cluster::node::Keep;
use cuo_cluster::paths::{GATES, PAUSES, POOLS};
use cuo_cluster::watch::list_nodes;
use cuo_cluster::{ApiError, ClientSource};
use cuo_coordination::ledger;
use cuo_coordination::pool::list_values;
use cuo_core::pool::FoundPool;
use cuo_core::time::Time;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod};
use kube::Api;

use crate::cluster::{Cluster, Settings};

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
    let nodes = list_nodes(source, &keep(&cluster)?).await;
    cluster.nodes = nodes.context("the Nodes can't be read")?;
    Ok(cluster)
}

/// The same without the Nodes.
pub async fn fetch_but_nodes(source: &ClientSource, namespace: &str) -> Cluster {
    let mut cluster = Cluster::unknown(Time::from(Timestamp::now()));
    let mut unknown = Vec::new();
    let mut note = |what: &str, error: ApiError| unknown.push(format!("{what}: {error}"));
    match list_values(source, POOLS).await {
        Ok(pools) => cluster.pools = pools,
        Err(error) => note("the UpdatePools can't be read, so none are assumed", error),
    }
    match list_values(source, PAUSES).await {
        Ok(pauses) => cluster.pauses = pauses,
        Err(error) => note("the UpdatePauses can't be read, so none are assumed", error),
    }
    match list_values(source, GATES).await {
        Ok(gates) => cluster.gates = gates,
        Err(error) => note("the UpdateGates can't be read, so none are assumed", error),
    }
    match settings(source, namespace).await {
        Ok(settings) => cluster.operator = settings,
        Err(error) => note(
            "the operator's flags can't be read, so its defaults are assumed",
            error,
        ),
    }
    match ledger_text(source, namespace).await {
        Ok(text) => cluster.ledger = text,
        Err(error) => note(
            "the ledger can't be read, so no slot is assumed to be out",
            error,
        ),
    }
    match own_node(source, namespace).await {
        Ok(name) => cluster.own_node = name,
        Err(error) => note("the node of the operator is not known", error),
    }
    let elsewhere = cluster
        .operator
        .iter()
        .flat_map(|operator| &operator.elsewhere);
    let elsewhere = elsewhere.map(|name| {
        format!("{name} of the operator comes from somewhere else than its Deployment, so its default is assumed")
    });
    unknown.extend(elsewhere);
    cluster.unknown = unknown;
    cluster
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

/// `None` in place of [`ApiError::NotFound`].
fn found<T>(read: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn settings(source: &ClientSource, namespace: &str) -> Result<Option<Settings>, ApiError> {
    let read = source.call(|client| async move {
        let deployments = Api::<Deployment>::namespaced(client, namespace);
        deployments.get(OPERATOR).await
    });
    Ok(found(read.await)?.map(|deployment| {
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
    Settings {
        image: container.image.unwrap_or_default(),
        arguments: container.args.unwrap_or_default(),
        environment: known.into_iter().map(value).collect::<BTreeMap<_, _>>(),
        elsewhere: elsewhere
            .into_iter()
            .map(|variable| variable.name)
            .collect(),
        ready: 0,
    }
}

async fn ledger_text(source: &ClientSource, namespace: &str) -> Result<Option<String>, ApiError> {
    let read = source.call(|client| async move {
        let maps = Api::<ConfigMap>::namespaced(client, namespace);
        maps.get(ledger::NAME).await
    });
    let data = found(read.await)?.and_then(|map| map.data);
    Ok(data.and_then(|mut data| data.remove(ledger::KEY)))
}

/// Where the operator that holds the lease runs: the holder is its pod's name and eight digits.
async fn own_node(source: &ClientSource, namespace: &str) -> Result<Option<String>, ApiError> {
    let read = source.call(|client| async move {
        let leases = Api::<Lease>::namespaced(client, namespace);
        leases.get(OPERATOR).await
    });
    let spec = found(read.await)?.and_then(|lease| lease.spec);
    let holder = spec.and_then(|spec| spec.holder_identity);
    let Some((pod, _)) = holder.as_deref().and_then(|holder| holder.rsplit_once('-')) else {
        return Ok(None);
    };
    let read = source.call(|client| async move {
        let pods = Api::<Pod>::namespaced(client, namespace);
        pods.get(pod).await
    });
    let spec = found(read.await)?.and_then(|pod| pod.spec);
    Ok(spec.and_then(|spec| spec.node_name))
}
