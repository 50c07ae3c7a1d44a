//! Draining: which pods have to leave, how each is made to leave ([`rounds`]), and what is reported about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Time;
use crate::values::{DrainPolicy, PodMatch, Treatment};

pub mod rounds;

pub use rounds::{
    AT_ONCE, Answer, Blocked, EvictionTry, How, Outlook, Removal, Round, all_tried, few, kept,
    outlook, refused, reported, round, stay,
};

/// The fields that are read from a Pod object on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RawPod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`: a new pod of the same name is another pod.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Kind of the controlling owner, when there is one.
    pub controller: Option<String>,
    /// Has the annotation `kubernetes.io/config.mirror`: the mirror pod of a static pod, which can't be evicted.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`: none of its containers run.
    pub completed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `metadata.finalizers`: the pod is not gone before all of them are.
    pub finalizers: Vec<String>,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// Has an `emptyDir` volume.
    pub empty_dir: bool,
    /// Names of the claims that it uses, in its own namespace.
    pub claims: BTreeSet<String>,
    /// `metadata.creationTimestamp`, by the API server's clock.
    pub created: Option<Time>,
    /// Tolerates the taint of a cordoned node, so that the scheduler may bring it to one.
    pub tolerates_cordon: bool,
    /// Its creator, or a scheduler other than the default one, bound it to the node.
    pub placed: bool,
}

impl RawPod {
    fn has_controller(&self, kind: &str) -> bool {
        self.controller.as_deref() == Some(kind)
    }

    /// Belongs to a DaemonSet.
    pub fn is_daemon(&self) -> bool {
        self.has_controller("DaemonSet")
    }
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// The pods that have to be gone before the node may reboot, each in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left<'a> {
    /// Pods that are made to leave, or are ending already.
    pub leaving: Vec<&'a RawPod>,
    /// Pods that the policy leaves alone, with the reason. The node is not drained while they are there.
    pub kept: Vec<(&'a RawPod, &'static str)>,
    /// Pods that came after the cordon and would be recreated here. They stay until the reboot, like those of DaemonSets.
    pub newcomers: Vec<&'a RawPod>,
}

impl Left<'_> {
    /// Whether the drain waits for no pod.
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.kept.is_empty()
    }
}

enum Fate {
    Leaves,
    Stays,
    ComesAgain,
    Kept(&'static str),
}

/// Whether the pod came to the node after it was cordoned and tolerates the cordon: an evicted one would be recreated right here.
///
/// Both times are the API server's, in whole seconds. A pod that was created in the second of the cordon counts as later: whatever is
/// evicted in that second is recreated in it, several times over, and one that was there just before would only come back.
fn comes_again(pod: &RawPod, cordoned: Option<Time>) -> bool {
    let after =
        matches!((pod.created, cordoned), (Some(created), Some(cordoned)) if created >= cordoned);
    after && (pod.tolerates_cordon || pod.placed)
}

/// What a drain does about `pod` on a node that was cordoned at `cordoned`.
///
/// Static pods and pods of DaemonSets are recreated on the node, and stay; completed pods run nothing. A pod that is ending is waited for
/// until it is gone, completed or not: whoever put a finalizer on it is not done with it.
fn fate(pod: &RawPod, policy: &DrainPolicy, cordoned: Option<Time>) -> Fate {
    let comes_back = pod.mirror || pod.is_daemon() || pod.has_controller("Node");
    let passed_over = policy.skip_namespaces.contains(&pod.namespace)
        || !policy.pod_selector.matches(&pod.labels);
    if comes_back || passed_over || (pod.completed && !pod.terminating) {
        Fate::Stays
    } else if pod.terminating {
        Fate::Leaves
    } else if comes_again(pod, cordoned) {
        Fate::ComesAgain
    } else if policy.unmanaged == Treatment::Block && pod.controller.is_none() {
        Fate::Kept("it has no controller that would recreate it")
    } else if policy.empty_dir == Treatment::Block && pod.empty_dir {
        Fate::Kept("its emptyDir volume would be lost")
    } else {
        Fate::Leaves
    }
}

fn by_name<'a>(pods: &'a [RawPod]) -> Vec<&'a RawPod> {
    let mut sorted: Vec<&'a RawPod> = pods.iter().collect();
    sorted.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    sorted
}

/// Which of `pods` have to be gone according to `policy`, on a node that was cordoned at `cordoned` by the API server's clock; `None` if it
/// is not cordoned, or the time is not known.
pub fn left<'a>(pods: &'a [RawPod], policy: &DrainPolicy, cordoned: Option<Time>) -> Left<'a> {
    let mut left = Left::default();
    for pod in by_name(pods) {
        match fate(pod, policy, cordoned) {
            Fate::Leaves => left.leaving.push(pod),
            Fate::Kept(why) => left.kept.push((pod, why)),
            Fate::ComesAgain => left.newcomers.push(pod),
            Fate::Stays => {}
        }
    }
    left
}

/// The claims of the pods that stay: their volumes may be in use until the reboot.
pub fn claims_that_stay(
    pods: &[RawPod],
    policy: &DrainPolicy,
    cordoned: Option<Time>,
) -> BTreeSet<Claim> {
    let stays = |pod: &&RawPod| {
        let fate = fate(pod, policy, cordoned);
        matches!(fate, Fate::Stays | Fate::ComesAgain) && !pod.completed
    };
    let claims = |pod: &RawPod| -> Vec<Claim> {
        let claim = |name: &String| Claim {
            namespace: pod.namespace.clone(),
            name: name.clone(),
        };
        pod.claims.iter().map(claim).collect()
    };
    pods.iter().filter(stays).flat_map(claims).collect()
}

/// The first running pod that matches one of the `blocking` rules.
pub fn blocking<'a>(pods: &'a [RawPod], blocking: &[PodMatch]) -> Option<&'a RawPod> {
    let matches = |wanted: &PodMatch, pod: &RawPod| {
        let namespace = wanted.namespace.as_ref();
        namespace.is_none_or(|namespace| *namespace == pod.namespace)
            && wanted.selector.matches(&pod.labels)
    };
    by_name(pods)
        .into_iter()
        .find(|pod| !pod.completed && blocking.iter().any(|wanted| matches(wanted, pod)))
}

/// `namespace/name`.
pub fn name(pod: &RawPod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

#[cfg(test)]
mod tests;
