//! Draining: which pods must leave, how each is made to ([`rounds`]), and what is reported of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Time;
use crate::values::{DrainPolicy, PodMatch, Treatment};

pub mod rounds;

pub use rounds::{
    AT_ONCE, Answer, Blocked, EvictionTry, How, Outlook, Removal, Round, all_tried, few, kept,
    outlook, refused, reported, round, stay,
};

/// What is taken from a Pod object on this node.
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
    /// Has the annotation `kubernetes.io/config.mirror`: a static pod's picture, which can't be evicted.
    pub mirror: bool,
    /// `status.phase` is `Succeeded` or `Failed`: nothing of it runs.
    pub completed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// `metadata.finalizers`: it is not gone before all of them are.
    pub finalizers: Vec<String>,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    /// Has an `emptyDir` volume.
    pub empty_dir: bool,
    /// Names of the claims whose volumes it has, in its own namespace.
    pub claims: BTreeSet<String>,
    /// `metadata.creationTimestamp`, by the API server's clock.
    pub created: Option<Time>,
    /// Tolerates the taint of a cordoned node, so that the scheduler may bring it to one.
    pub tolerates_cordon: bool,
    /// It was bound to the node by whoever made it, or by a scheduler that is not the default one.
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
    /// They are made to leave, or are ending already.
    pub leaving: Vec<&'a RawPod>,
    /// They are left alone, and so the node is not drained while they are there; with the reason.
    pub kept: Vec<(&'a RawPod, &'static str)>,
    /// They came after the cordon and would come again, so they stay until the reboot, like those of DaemonSets.
    pub newcomers: Vec<&'a RawPod>,
}

impl Left<'_> {
    /// Nothing has to be gone any more.
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

/// The pod came to the node after it was cordoned, and the cordon does not keep the next one away: an eviction would only be repeated.
///
/// Both times are the API server's, to the second. What was made in the very second of the cordon counts, too: whatever is evicted by then is
/// recreated within it, several times over, and what was there a moment before would only come back.
fn comes_again(pod: &RawPod, cordoned: Option<Time>) -> bool {
    let after =
        matches!((pod.created, cordoned), (Some(created), Some(cordoned)) if created >= cordoned);
    after && (pod.tolerates_cordon || pod.placed)
}

/// What a drain does about `pod` on a node that was cordoned at `cordoned`.
///
/// Static pods and pods of DaemonSets come back by themselves and stay; finished pods run nothing. What is ending already is waited for
/// until it is gone, finished or not: whoever put a finalizer on it is not done with it.
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

/// What of `pods` has to be gone, as `policy` says, on a node that was cordoned at `cordoned` by the API server's clock; `None` where it is
/// not cordoned, or not known when.
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

/// The first pod that runs and is one of those that hold reboots up.
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
