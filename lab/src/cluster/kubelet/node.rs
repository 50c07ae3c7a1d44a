//! The Node object of a hollow kubelet, and its heartbeat.

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::{HEARTBEAT, Shared};
use crate::cluster::controlplane::{answered, refusal};

/// The namespace of the leases that are heartbeats.
const LEASES: &str = "kube-node-lease";
/// What is in the lease; the node lifecycle controller judges by its own option.
const LEASE_SECONDS: i32 = 40;

/// Creates the Node if it isn't there, and says that it is Ready.
pub(super) async fn register(shared: &Shared) -> Result<()> {
    let mut labels = json!({
        "kubernetes.io/hostname": shared.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    });
    for (key, value) in &shared.labels {
        labels[key] = json!(value);
    }
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": shared.name, "labels": labels},
        "status": status(shared, Ready::Yes),
    }))
    .context("describe a Node")?;
    let nodes: Api<Node> = Api::all(shared.admin.clone());
    let parameters = PostParams::default();
    match answered(
        format!("create the Node {}", shared.name),
        nodes.create(&parameters, &node),
    )
    .await
    {
        Ok(_) => Ok(()),
        Err(error) if refusal(&error) == Some(409) => write_status(shared, Ready::Yes).await,
        Err(error) => Err(error),
    }?;
    renew_lease(shared).await
}

/// Says that the Node isn't Ready because its host shuts down.
pub(super) async fn announce_shutdown(shared: &Shared) -> Result<()> {
    write_status(shared, Ready::ShuttingDown).await
}

/// Renews the lease, and puts the status right when somebody (the controllers, after missed heartbeats) has changed it.
pub(super) async fn heartbeat(shared: Arc<Shared>) {
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        beat.tick().await;
        // Told once: while the API server is stopped they all fail.
        match beat_once(&shared).await {
            Err(error) if !failing => {
                tracing::warn!(
                    node = shared.name,
                    error = format!("{error:#}"),
                    "heartbeats fail"
                );
                failing = true;
            }
            Err(_) => (),
            Ok(()) => failing = false,
        }
    }
}

async fn beat_once(shared: &Shared) -> Result<()> {
    renew_lease(shared).await?;
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let Some(node) = answered(
        format!("read the Node {}", shared.name),
        nodes.get_opt(&shared.name),
    )
    .await?
    else {
        // A kubelet registers its Node only when it starts.
        return Ok(());
    };
    let status = node.status.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let boot = status
        .node_info
        .is_some_and(|info| info.boot_id == shared.boot().id);
    if ready && boot {
        Ok(())
    } else {
        write_status(shared, Ready::Yes).await
    }
}

/// Renews the lease of the Node. A lease that is missing is made only with the Node as its owner, as kubelets do it, so that it goes
/// with the Node.
async fn renew_lease(shared: &Shared) -> Result<()> {
    let name = &shared.name;
    let leases: Api<Lease> = Api::namespaced(shared.client.clone(), LEASES);
    let renewal = json!({"spec": {"renewTime": MicroTime(Timestamp::now())}});
    let parameters = PatchParams::default();
    let renewed = answered(
        format!("renew the lease of the Node {name}"),
        leases.patch(name, &parameters, &Patch::Merge(renewal)),
    )
    .await;
    match renewed {
        Err(error) if refusal(&error) == Some(404) => create_lease(shared, &leases).await,
        renewed => renewed.map(|_| ()),
    }
}

async fn create_lease(shared: &Shared, leases: &Api<Lease>) -> Result<()> {
    let name = &shared.name;
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let Some(node) = answered(format!("read the Node {name}"), nodes.get_opt(name)).await? else {
        return Ok(());
    };
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: name.clone(),
                uid: node.uid().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    };
    let parameters = PostParams::default();
    let created = answered(
        format!("create the lease of the Node {name}"),
        leases.create(&parameters, &lease),
    )
    .await;
    match created {
        // The heartbeat and a registration may come to it at the same time.
        Err(error) if refusal(&error) == Some(409) => Ok(()),
        created => created.map(|_| ()),
    }
}

/// What the condition `Ready` says.
#[derive(Clone, Copy)]
enum Ready {
    Yes,
    ShuttingDown,
}

async fn write_status(shared: &Shared, ready: Ready) -> Result<()> {
    let nodes: Api<Node> = Api::all(shared.client.clone());
    let patch = Patch::Strategic(json!({"status": status(shared, ready)}));
    let parameters = PatchParams::default();
    let written = nodes.patch_status(&shared.name, &parameters, &patch);
    answered(
        format!("write the status of the Node {}", shared.name),
        written,
    )
    .await?;
    Ok(())
}

/// The status of the Node. Reasons and messages are those of a kubelet of Kubernetes 1.37.
fn status(shared: &Shared, ready: Ready) -> Value {
    let boot = shared.boot();
    let now = Time(Timestamp::now());
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let ready = match ready {
        Ready::Yes => condition(
            "Ready",
            "True",
            "KubeletReady",
            "kubelet is posting ready status",
        ),
        Ready::ShuttingDown => {
            condition("Ready", "False", "KubeletNotReady", "node is shutting down")
        }
    };
    let resources = json!({"cpu": "8", "memory": "32Gi", "pods": "110"});
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            {"type": "InternalIP", "address": shared.address},
            {"type": "Hostname", "address": shared.name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ready,
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": boot.id,
            "containerRuntimeVersion": "hollow://1",
            "kernelVersion": "6.17.0",
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.37.2",
            "machineID": shared.name,
            "operatingSystem": "linux",
            "osImage": boot.os_image,
            "systemUUID": shared.name,
        },
    })
}
