//! Canaries: nodes that run a candidate for a while before the others of their pool may boot it.

use super::announced::{goal, goes_to, is_on, is_told};
use super::course::Course;
use super::planner::Planner;
use super::pools::{some, what};
use super::trial::{Wait, soaked};
use crate::ids::ReleaseId;
use crate::node::NodeView;
use crate::pool::CanaryWho;
use crate::reason::{Code, Reason};
use crate::release::{Chosen, Declaration};
use crate::time::Time;

impl Course<'_> {
    /// Whether the candidate was tried for as long as it was meant to be, or approved where nobody tries it.
    pub fn soaking(&self, now: Time) -> Result<(), Wait> {
        let Some(candidate) = &self.rollout.candidate else {
            return Err(Wait::default());
        };
        let Some(canary) = &self.asks.canary else {
            let approved = self.approves(candidate);
            return approved.then_some(()).ok_or_else(Wait::default);
        };
        let concerned = self.members.iter().copied().filter_map(|node| {
            let (_, release) = self.candidate(node)?;
            let identity = &release.identity;
            let ran = is_on(node, identity);
            let concerned = ran || self.trying.contains(&node.name) || goes_to(node, identity);
            concerned.then(|| (node, soaked(node, identity, canary.soak)))
        });
        match &canary.who {
            CanaryWho::Count(count) => self.counted(*count, concerned.collect(), now),
            CanaryWho::Nodes(_) => {
                let chosen = concerned.filter(|(node, _)| self.is_canary(node));
                chosen_ones(chosen.collect(), now)
            }
        }
    }

    fn counted(
        &self,
        count: usize,
        concerned: Vec<(&NodeView, Option<Time>)>,
        now: Time,
    ) -> Result<(), Wait> {
        let demanded = count.min(concerned.len()).max(1);
        let mut ends: Vec<_> = concerned.iter().filter_map(|(_, end)| *end).collect();
        ends.sort_unstable();
        let until = ends.get(demanded - 1).copied();
        if until.is_some_and(|until| until <= now) {
            return Ok(());
        }
        let names = some(self.trying.iter().copied());
        Err(Wait { names, until })
    }

    /// The pool lets its nodes boot it, as far as approval goes.
    pub fn approves(&self, chosen: &Chosen) -> bool {
        let mut releases = chosen.identities.values();
        releases.any(|one| self.asks.approves(&one.identity, one.version.as_deref()))
    }
}

/// All of them have to run it.
fn chosen_ones(chosen: Vec<(&NodeView, Option<Time>)>, now: Time) -> Result<(), Wait> {
    let left = || {
        let waits = |end: &Option<Time>| end.is_none_or(|end| end > now);
        chosen.iter().filter(move |(_, end)| waits(end))
    };
    if left().next().is_none() && !chosen.is_empty() {
        return Ok(());
    }
    let ends: Option<Vec<_>> = left().map(|(_, end)| *end).collect();
    Err(Wait {
        names: some(left().map(|(node, _)| &node.name)),
        until: ends.and_then(|ends| ends.into_iter().max()),
    })
}

/// The node is not told to go elsewhere: what it is told stays as it is while it has a slot, and would be older than what it runs then.
fn told_so(node: &NodeView) -> Result<(), Reason> {
    let assigned = node.operator.assigned.value();
    let told = assigned.and_then(|assigned| assigned.identity);
    match told.filter(|told| is_told(node) && !goes_to(node, told)) {
        None => Ok(()),
        Some(told) => {
            let text = format!("it is told to go to {told}, or is about to be told something else");
            Err(Reason::new(Code::ReleasePending, text))
        }
    }
}

impl Planner<'_> {
    /// Whether the pool that leads the node goes to `identity`, or to what that leads to. Packages and kernel arguments that change without
    /// it wait for nothing.
    pub(super) fn released(&self, node: &NodeView, identity: &ReleaseId) -> Result<(), Reason> {
        if goal(node).is_none() {
            return Ok(());
        }
        self.is_asked_for(node, identity)?;
        told_so(node)
    }

    fn is_asked_for(&self, node: &NodeView, identity: &ReleaseId) -> Result<(), Reason> {
        let Some(goal) = goal(node) else {
            return Ok(());
        };
        let pool = self
            .pools
            .leads(&node.name)
            .map(|place| &self.pools.all[place]);
        let Some((pool, asks)) = pool.and_then(|pool| Some((pool, pool.asks.ok()?))) else {
            return Ok(());
        };
        let called = pool.called();
        let what = what(&goal.identity, goal.version.as_deref());
        if let Some(course) = self.course_of(&node.name) {
            return self.is_due(course, node, identity, &what);
        }
        let Some(declared) = &asks.release else {
            return Ok(());
        };
        let fits = match &declared.what {
            Declaration::Version(version) => {
                let versions = [&goal.version, &node.agent.needed_version];
                versions.contains(&&Some(version.clone()))
            }
            Declaration::Image(_) | Declaration::Commit(_) => declared
                .what
                .identity()
                .is_some_and(|id| goes_to(node, &id)),
        };
        if fits {
            return Ok(());
        }
        let text = format!(
            "{called}the release is {}, and the node would boot {what}",
            declared.what
        );
        Err(Reason::new(Code::ReleasePending, text))
    }

    fn is_due(
        &self,
        course: &Course<'_>,
        node: &NodeView,
        identity: &ReleaseId,
        what: &str,
    ) -> Result<(), Reason> {
        let known = course
            .promoted(node)
            .into_iter()
            .chain(course.candidate(node));
        let mut known = known.map(|(_, release)| release);
        if known.any(|release| goes_to(node, &release.identity)) {
            return Ok(());
        }
        let called = format!("pool {}: ", course.name);
        if course.rollout.gave_up(identity) {
            let text = format!("{called}{what} was given up");
            return Err(Reason::new(Code::IdentityFailed, text));
        }
        let by_name = matches!(
            course.asks.canary.as_ref().map(|canary| &canary.who),
            Some(CanaryWho::Nodes(_))
        );
        let (code, text) = match (&course.rollout.candidate, &course.rollout.promoted) {
            (Some(candidate), _) => {
                let first = candidate.called();
                let text = format!("{called}{what} waits until {first} is promoted or given up");
                (Code::ReleasePending, text)
            }
            (None, _) if by_name => {
                let text = format!("{called}no canary needs or runs {what}");
                (Code::CanaryFirst, text)
            }
            (None, Some(promoted)) => {
                let first = promoted.called();
                let text = format!("{called}its nodes go to {first}, and {what} is not promoted");
                (Code::ReleasePending, text)
            }
            (None, None) => {
                let text = format!("{called}{what} is about to become the candidate");
                (Code::ReleasePending, text)
            }
        };
        Err(Reason::new(code, text))
    }

    /// Whether the node may boot the candidate of the pool that leads it now, if that is what it would boot.
    pub(super) fn canaries(&self, node: &NodeView) -> Result<(), Reason> {
        let Some(course) = self.course_of(&node.name) else {
            return Ok(());
        };
        let goes = |identity: &ReleaseId| goes_to(node, identity);
        let promoted = course.promoted(node);
        if goal(node).is_none() || promoted.is_some_and(|(_, release)| goes(&release.identity)) {
            return Ok(());
        }
        let Some((_, release)) = course.candidate(node) else {
            return Ok(());
        };
        if course.trying.contains(&node.name) {
            return Ok(());
        }
        let called = format!("pool {}: ", course.name);
        let what = what(&release.identity, release.version.as_deref());
        let (code, text) = match &course.soaked {
            Ok(()) => (
                Code::ReleasePending,
                format!("{what} is about to be promoted"),
            ),
            Err(Wait { names, .. }) if names.is_empty() => {
                (Code::CanaryFirst, format!("no canary needs or runs {what}"))
            }
            Err(Wait { names, until }) => {
                let text = match until {
                    Some(until) => format!("{names} run {what} first, until {until}"),
                    None => format!("{names} have to run {what} first"),
                };
                (Code::CanaryFirst, text)
            }
        };
        Err(Reason::new(code, format!("{called}{text}")))
    }
}
