//! What a hollow kubelet says about a pod. Pure.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Value, json};

/// An annotation of a pod: how long its containers take to end after they were asked to, for example `5s`. The pod's grace period
/// is the upper limit. Without it they end almost at once.
pub const TERMINATE_AFTER: &str = "lab.cuo/terminate-after";

/// Time that containers take to end when nothing else is said.
const USUAL_TERMINATION: Duration = Duration::from_millis(100);

/// What is true of all containers of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Containers {
    /// They run.
    Running {
        ready: bool,
        restarts: i32,
        since: Timestamp,
    },
    /// They ended by themselves and will be started again.
    Waiting { restarts: i32 },
    /// They ended because the pod was deleted.
    Terminated { restarts: i32, since: Timestamp },
}

impl Containers {
    fn ready(self) -> bool {
        matches!(self, Self::Running { ready: true, .. })
    }

    fn phase(self) -> &'static str {
        match self {
            Self::Running { .. } | Self::Waiting { .. } => "Running",
            Self::Terminated { .. } => "Succeeded",
        }
    }

    fn restarts(self) -> i32 {
        match self {
            Self::Running { restarts, .. }
            | Self::Waiting { restarts }
            | Self::Terminated { restarts, .. } => restarts,
        }
    }
}

/// How long the containers of `pod` take to end.
pub(super) fn termination(pod: &Pod) -> Result<Duration> {
    let Some(text) = pod.annotations().get(TERMINATE_AFTER) else {
        return Ok(USUAL_TERMINATION);
    };
    text.parse::<SignedDuration>()
        .map_err(anyhow::Error::from)
        .and_then(|duration| Ok(Duration::try_from(duration)?))
        .with_context(|| {
            format!("annotation {TERMINATE_AFTER}: {text:?} is no duration such as 5s")
        })
}

/// How often the containers of `pod` were started again, according to its status.
pub(super) fn restarts(pod: &Pod) -> Option<i32> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    Some(statuses.first()?.restart_count)
}

/// Whether the status of `pod` says already that its containers are so.
pub(super) fn shows(pod: &Pod, containers: Containers) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    status.phase.as_deref() == Some(containers.phase())
        && ready == containers.ready()
        && restarts(pod) == Some(containers.restarts())
}

/// A strategic merge patch that says that the containers of `pod` are so; it fails when the name has gone to another pod.
pub(super) fn patch(pod: &Pod, containers: Containers, host: &str) -> Value {
    let now = Time(Timestamp::now());
    let uid = pod.uid().unwrap_or_default();
    let address = address("10.244", &uid);
    let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
    let state = match containers {
        Containers::Running { since, .. } => json!({"running": {"startedAt": Time(since)}}),
        Containers::Waiting { .. } => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        Containers::Terminated { since, .. } => {
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": Time(since), "finishedAt": now}})
        }
    };
    let started = matches!(containers, Containers::Running { .. });
    let statuses: Vec<Value> = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| {
            json!({
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "containerID": format!("hollow://{uid}"),
                "ready": containers.ready(),
                "started": started,
                "restartCount": containers.restarts(),
                "state": state,
            })
        })
        .collect();
    let start_time = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.clone())
        .unwrap_or(now.clone());
    json!({
        "metadata": {"uid": uid},
        "status": {
            "phase": containers.phase(),
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": start_time,
            "conditions": [
                condition("PodReadyToStartContainers", started),
                condition("Initialized", true),
                condition("ContainersReady", containers.ready()),
                condition("Ready", containers.ready()),
            ],
            "containerStatuses": statuses,
        },
    })
}

/// An address for the pod or node `id` in `network`; nothing answers there. It is always the same one, because the API server accepts
/// no second address where one was reported.
pub(super) fn address(network: &str, id: &str) -> String {
    let bits = id.bytes().fold(0u16, |bits, byte| {
        bits.wrapping_mul(31).wrapping_add(u16::from(byte))
    });
    let [high, low] = bits.to_be_bytes();
    format!("{network}.{high}.{}", low.max(1))
}
