//! Draining: which pods must leave, and when each is evicted.

use jiff::{SignedDuration, Timestamp};

/// What is taken from a Pod object on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RawPod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: a new pod of the same name is another pod.
    pub uid: String,
    /// Kind of the controlling owner, when there is one.
    pub controller: Option<String>,
    /// Has the annotation `kubernetes.io/config.mirror`: a static pod's picture, which can't be evicted.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`: nothing of it runs.
    pub completed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

/// What came of the last eviction of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EvictionTry {
    /// `metadata.uid` of the pod.
    pub uid: String,
    /// When it was tried.
    pub at: Timestamp,
    /// The API server's refusal, in its words; `None` when it was accepted.
    pub refused: Option<String>,
}

/// The pods that must have left before the node may reboot, in the order of their names.
///
/// Static pods and pods of DaemonSets come back by themselves and stay; finished pods run nothing. Terminating pods are waited for.
pub fn leaving(pods: &[RawPod]) -> Vec<&RawPod> {
    let stays = |pod: &RawPod| {
        pod.mirror
            || pod.completed
            || matches!(pod.controller.as_deref(), Some("DaemonSet" | "Node"))
    };
    let mut leaving: Vec<_> = pods.iter().filter(|pod| !stays(pod)).collect();
    leaving.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    leaving
}

/// What to do about the pods that have to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Pods whose eviction is due now.
    pub evict: Vec<RawPod>,
    /// When the next eviction is due, if none is now.
    pub wake: Option<Timestamp>,
    /// `namespace/name: refusal` of each pod that the API server last refused to evict.
    pub blocked: Vec<String>,
}

/// Plans one round: each pod is evicted once, and again every `retry` while the API server refuses.
///
/// An accepted eviction is repeated too if the pod still does not terminate after `retry`: the answer may have been lost.
pub fn round(
    leaving: &[&RawPod],
    tries: &[EvictionTry],
    retry: SignedDuration,
    now: Timestamp,
) -> Round {
    let mut round = Round {
        evict: Vec::new(),
        wake: None,
        blocked: Vec::new(),
    };
    for pod in leaving.iter().filter(|pod| !pod.terminating) {
        let last = tries.iter().rev().find(|tried| tried.uid == pod.uid);
        if let Some(why) = last.and_then(|tried| tried.refused.as_deref()) {
            round.blocked.push(format!("{}: {why}", name(pod)));
        }
        match last.map(|tried| later(tried.at, retry)) {
            Some(due) if due > now => {
                round.wake = Some(round.wake.map_or(due, |wake| wake.min(due)))
            }
            _ => round.evict.push((*pod).clone()),
        }
    }
    round
}

/// `namespace/name`.
pub fn name(pod: &RawPod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// `time` and `span` later; the end of time where that is beyond it.
pub fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> RawPod {
        RawPod {
            namespace: "default".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            ..RawPod::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_pods_that_run_something_which_does_not_come_back_must_leave() {
        let owned = |name: &str, kind: &str| RawPod {
            controller: Some(kind.into()),
            ..pod(name)
        };
        let pods = [
            pod("bare"),
            owned("web", "ReplicaSet"),
            owned("db", "StatefulSet"),
            owned("log", "DaemonSet"),
            owned("static", "Node"),
            RawPod {
                mirror: true,
                ..pod("mirror")
            },
            RawPod {
                completed: true,
                ..owned("job", "Job")
            },
            RawPod {
                terminating: true,
                ..pod("going")
            },
        ];
        let names: Vec<_> = leaving(&pods).iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["bare", "db", "going", "web"]);
    }

    #[test]
    fn a_refused_eviction_is_tried_again_and_told() {
        let (fresh, refused, accepted) = (pod("fresh"), pod("refused"), pod("accepted"));
        let going = RawPod {
            terminating: true,
            ..pod("going")
        };
        let tries = [
            EvictionTry {
                uid: "uid-refused".into(),
                at: at(0),
                refused: Some("budget".into()),
            },
            EvictionTry {
                uid: "uid-accepted".into(),
                at: at(2),
                refused: None,
            },
            EvictionTry {
                uid: "uid-going".into(),
                at: at(0),
                refused: None,
            },
        ];
        let pods = [&fresh, &refused, &accepted, &going];
        let retry = SignedDuration::from_secs(5);
        let blocked = vec!["default/refused: budget".to_owned()];
        assert_eq!(
            round(&pods, &tries, retry, at(3)),
            Round {
                evict: vec![fresh.clone()],
                wake: Some(at(5)),
                blocked: blocked.clone()
            }
        );
        assert_eq!(
            round(&pods, &tries, retry, at(7)),
            Round {
                evict: vec![fresh.clone(), refused.clone(), accepted.clone()],
                wake: None,
                blocked
            }
        );
    }
}
