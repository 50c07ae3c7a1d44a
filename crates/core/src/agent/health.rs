//! What makes a node healthy after a boot, which it has to be before its slot is given back.

use jiff::SignedDuration;

use super::facts::{Facts, unknown};
use crate::control_plane;
use crate::drain::{self, RawPod};
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Names, PodChecks};

impl Facts<'_> {
    /// What is unhealthy about this boot, as far as known.
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

    /// When a node that has been verified since `since` counts as failed. Setting the clock forward fails no node: the host also has to
    /// have been up for that long.
    pub(super) fn deadline(&self, since: Time) -> Time {
        let span = self.settings.health.deadline;
        let up = self.limit(since, Some(SignedDuration::ZERO), span);
        up.max(since.later(span))
    }

    /// When settling begins and ends for a node that has been healthy since `good`; `None` once it has settled.
    pub(super) fn watched(&self, good: Option<Time>) -> Option<(Time, Time)> {
        // If the clock was set back, settling starts again.
        let good = good.filter(|good| *good <= self.now).unwrap_or(self.now);
        let until = good.later(self.settings.health.settle);
        (self.now < until).then_some((good, until))
    }

    /// Which static pods of the control plane have not come back. Until they have, no other node of the control plane may reboot. If those
    /// from before the boot are not known, all that were ever seen on this node are expected.
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

    /// Which pods of DaemonSets are not Ready, if the grant demands that they are.
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
