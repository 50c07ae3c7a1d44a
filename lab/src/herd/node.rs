//! One Node of the herd, and what its agent writes.

use anyhow::{Context, Result};
use cuo_core::features::Feature;
use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::node::{NodeView, Published, SystemLabels};
use cuo_core::raw::RawNode;
use cuo_core::values::{Booted, Failures, Outcome, Phase, Progress, RebootResult, Status};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Images that a kubelet lists, as it does by default.
const IMAGES: usize = 50;

/// The version with this number.
fn version(number: u8) -> ReleaseId {
    ReleaseId::Commit([number; 32])
}

/// The boot with this number.
pub fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

/// The number of what runs.
pub fn number(view: &NodeView) -> Result<u8> {
    let booted = view.agent.booted.value().context("nothing is booted")?;
    booted.version.parse().context("a version of the herd")
}

/// A new Node as its kubelet registers it and its agent describes it: about as large as a real one.
pub fn fresh(name: &str) -> Result<Value> {
    let raw = RawNode {
        name: name.to_owned(),
        ..RawNode::default()
    };
    let view = NodeView::parse(&raw)?;
    let patch = at(1, Phase::Idle)
        .patch(&view)
        .context("nothing to write")?;
    let images: Vec<_> = (0..IMAGES)
        .map(|number| {
            let name = format!("registry.example.com/team/application-{number:02}");
            json!({
                "names": [format!("{name}@sha256:{number:064}"), format!("{name}:v1.{number}")],
                "sizeBytes": 123_456_789 + number,
            })
        })
        .collect();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Kubelet", "message": "as the kubelet reports it"});
    let metadata = json!({"name": name, "annotations": patch.annotations, "labels": patch.labels});
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "status": {
            "conditions": [
                condition("MemoryPressure", "False"),
                condition("DiskPressure", "False"),
                condition("PIDPressure", "False"),
                condition("Ready", "True"),
            ],
            "images": images,
            "nodeInfo": {
                "bootID": boot(1).to_string(), "machineID": name, "systemUUID": name, "architecture": "amd64",
                "containerRuntimeVersion": "cri-o://1.37.0", "kernelVersion": "6.16.7", "kubeProxyVersion": "", "kubeletVersion": "v1.37.0",
                "operatingSystem": "linux", "osImage": "Fedora CoreOS 42",
            },
        },
    }))
}

fn at(number: u8, phase: Phase) -> Published {
    Published {
        status: Status {
            phase,
            since: Timestamp::now().into(),
        },
        reason: None,
        features: Feature::own(),
        control_plane_pods: Default::default(),
        needed: (phase != Phase::Idle).then(|| version(number + 1)),
        needed_version: (phase != Phase::Idle).then(|| (number + 1).to_string()),
        following: None,
        dead_end: false,
        reboots: Default::default(),
        booted: Some(Booted {
            identity: version(number),
            version: number.to_string(),
            boot: boot(number),
            since: Timestamp::now().into(),
        }),
        progress: None,
        owned: None,
        result: None,
        failed: Failures::default(),
        system: SystemLabels::default(),
        unschedulable: None,
    }
}

/// What the agent of `view` writes in `phase`.
pub fn published(view: &NodeView, phase: Phase) -> Result<Published> {
    let mut want = at(number(view)?, phase);
    want.result = view.agent.result.value().cloned();
    Ok(want)
}

/// What accepts the grant.
pub fn accepted(view: &NodeView, id: GrantId) -> Result<Published> {
    let mut want = published(view, Phase::Draining)?;
    let number = number(view)?;
    want.progress = Some(Progress {
        id,
        identity: version(number + 1),
        boot: boot(number),
        accepted: Timestamp::now().into(),
    });
    Ok(want)
}

/// What answers it in the next boot.
pub fn answered(view: &NodeView, id: GrantId) -> Result<Published> {
    let mut want = at(number(view)? + 1, Phase::Idle);
    want.result = Some(RebootResult {
        id,
        outcome: Outcome::Done,
        code: None,
        at: Timestamp::now().into(),
    });
    Ok(want)
}
