//! What a node has to be after a boot before its slot is given back.

use jiff::SignedDuration;

use super::facts::{Facts, unknown};
use crate::control_plane;
use crate::drain::{self, RawPod};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Names, PodChecks};

impl Facts<'_> {
    /// What is wrong with this boot, as far as it can be seen.
    pub(super) fn unhealthy(
        &self,
        node: &NodeView,
        pods: &PodChecks,
        before: Option<&Names>,
    ) -> Option<Reason> {
        let survey = match &self.seen.survey {
            Ok(survey) => survey,
            Err(why) => return Some(Reason::new(Code::UnitsUnknown, why)),
        };
        let ready = node.ready && node.kubelet_boot == Some(self.seen.boot);
        survey
            .boot_incomplete()
            .or_else(|| (!ready).then(|| Code::NodeNotReady.into()))
            .or_else(|| survey.inactive(&self.settings.health.units))
            .or_else(|| self.control_plane(node, before))
            .or_else(|| self.daemons(pods))
    }

    /// When the node has failed, if it has been verified `since` then. A clock that was set forward makes no node fail: the host has to
    /// have been up for as long.
    pub(super) fn deadline(&self, since: Time) -> Time {
        let span = self.settings.health.deadline;
        let up = self.limit(since, Some(SignedDuration::ZERO), span);
        up.max(since.later(span))
    }

    /// From when and until when a node is watched that is healthy, and has been since `good`; `None` once that has lasted.
    pub(super) fn watched(&self, good: Option<Time>) -> Option<(Time, Time)> {
        // A clock that went back restarts it.
        let good = good.filter(|good| *good <= self.now).unwrap_or(self.now);
        let until = good.later(self.settings.health.settle);
        (self.now < until).then_some((good, until))
    }

    /// Which of the static pods of the control plane that this node had before are not back. Until they are, another node of
    /// the control plane must not go. Where it is not known what there was before, it is all that was ever seen.
    pub(super) fn control_plane(&self, node: &NodeView, before: Option<&Names>) -> Option<Reason> {
        let demanded = before.unwrap_or(&node.agent.control_plane_pods);
        let code = Code::ControlPlaneNotReady;
        let names = match &self.seen.pods {
            Ok(pods) => control_plane::not_ready(pods, &node.name, demanded),
            Err(_) if demanded.is_empty() => return None,
            Err(why) => {
                let not_yet = || Reason::new(code, "the pods are not known yet");
                return unknown(code, why).or_else(|| Some(not_yet()));
            }
        };
        (!names.is_empty()).then(|| Reason::new(code, drain::few(&names)))
    }

    /// What is wrong with the pods of DaemonSets, if the grant wants to know.
    pub(super) fn daemons(&self, checks: &PodChecks) -> Option<Reason> {
        if !checks.daemon_sets_ready {
            return None;
        }
        let code = Code::DaemonSetsNotReady;
        let pods = match &self.seen.pods {
            Ok(pods) => pods,
            Err(why) => {
                return unknown(code, why)
                    .or_else(|| Some(Reason::new(code, "the pods are not known yet")));
            }
        };
        let unready = |pod: &&RawPod| pod.is_daemon() && !pod.ready && !pod.terminating;
        let mut names: Vec<_> = pods.iter().filter(unready).map(drain::name).collect();
        names.sort();
        (!names.is_empty()).then(|| Reason::new(code, drain::few(&names)))
    }
}
