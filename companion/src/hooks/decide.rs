//! What to do about hooks, decided from Nodes and Jobs as they are.

use std::collections::{BTreeMap, BTreeSet};

use cuo_core::ids::NodeName;
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::raw::NodePatch;
use cuo_core::time::Time;
use cuo_core::values::Outcome;
use jiff::SignedDuration;

use super::job::{Job, Purpose, State};
use crate::config::{Hook, Moment, OnFailure};

/// A failure that is older is none to run a hook for: it was there before the hook was.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Make the Job of this hook, for this node and grant.
    Make {
        /// Which hook, by its place in the configuration.
        hook: usize,
        /// The node.
        node: NodeName,
        /// The grant's id.
        grant: String,
    },
    /// Answer on the Node.
    Answer(NodeName, NodePatch),
    /// Delete the Job of this name and uid: nobody waits for it any more.
    Delete(String, String),
    /// Say that the Job of this name, which the hook with this place in the configuration needs, is not the companion's.
    Foreign(usize, String),
}

/// A Job that somebody waits for.
struct Wanted<'a> {
    at: usize,
    hook: &'a Hook,
    node: &'a NodeView,
    grant: String,
}

impl Wanted<'_> {
    fn purpose(&self) -> Purpose {
        Purpose::new(self.hook, &self.node.name, &self.grant)
    }

    /// What the annotation says once it has run: that a check passed, or for which grant it ran.
    fn answer(&self) -> String {
        match self.hook.at {
            Moment::BeforeDrain | Moment::AfterReboot => "true".to_owned(),
            Moment::OnFailure => self.grant.clone(),
        }
    }

    fn is_answered(&self) -> bool {
        let found = self.node.others.get(&self.hook.annotation());
        found == Some(&self.answer())
    }

    fn answered(&self) -> Act {
        let patch = NodePatch {
            resource_version: self.node.resource_version.clone(),
            annotations: [(self.hook.annotation(), Some(self.answer()))].into(),
            ..NodePatch::default()
        };
        Act::Answer(self.node.name.clone(), patch)
    }
}

/// What to do about `hooks`: one write a node at most, since each changes what the next is decided on.
pub fn decide(
    hooks: &[Hook],
    nodes: &BTreeMap<NodeName, NodeView>,
    jobs: &BTreeMap<String, Job>,
    now: Time,
) -> Vec<Act> {
    let wanted = nodes.values().flat_map(|node| wanted(hooks, node, now));
    let wanted: Vec<_> = wanted.collect();
    let purposes: Vec<_> = wanted.iter().map(Wanted::purpose).collect();
    let leaked = jobs.values().filter(|job| is_leaked(job, &purposes));
    let leaked = leaked.map(|job| Act::Delete(job.name.clone(), job.uid.clone()));
    let mut acts: Vec<_> = leaked.collect();
    let mut written = BTreeSet::new();
    for (one, purpose) in wanted.iter().zip(&purposes) {
        if one.is_answered() {
            continue;
        }
        let act = match jobs.get(&purpose.job()) {
            None => Act::Make {
                hook: one.at,
                node: one.node.name.clone(),
                grant: one.grant.clone(),
            },
            Some(job) if job.purpose.as_ref() != Some(purpose) => {
                Act::Foreign(one.at, job.name.clone())
            }
            Some(job) => match job.state {
                State::Complete => one.answered(),
                State::Failed if one.goes_on() => one.answered(),
                State::Running | State::Failed => continue,
            },
        };
        if matches!(act, Act::Answer(..)) && !written.insert(&one.node.name) {
            continue;
        }
        acts.push(act);
    }
    acts
}

/// Whether nobody waits for the Job any more. For one that runs after a failure, nobody ever waits.
fn is_leaked(job: &Job, wanted: &[Purpose]) -> bool {
    let awaited = job.purpose.as_ref().filter(|purpose| match purpose.at {
        Moment::BeforeDrain | Moment::AfterReboot => true,
        Moment::OnFailure => false,
    });
    let unwanted = awaited.is_some_and(|purpose| !wanted.contains(purpose));
    unwanted && job.state == State::Running && !job.deleting
}

impl Wanted<'_> {
    /// Whether a failure changes nothing for the update.
    fn goes_on(&self) -> bool {
        self.hook.on_failure == OnFailure::Continue || self.hook.at == Moment::OnFailure
    }
}

/// The Jobs that `node` waits for, or has to be told of.
fn wanted<'a>(hooks: &'a [Hook], node: &'a NodeView, now: Time) -> Vec<Wanted<'a>> {
    let operator = &node.operator;
    let reserved = operator.reserved.value().filter(|_| operator.before);
    let granted = operator.grant.value().filter(|_| operator.after);
    let ended = node.agent.result.value().filter(|result| {
        let ended = matches!(result.outcome, Outcome::Failed | Outcome::Aborted);
        ended && now < result.at.later(FRESH)
    });
    let mut labels = node.labels.clone();
    // Pools can't select by the protocol's labels, and neither can hooks.
    labels.retain(|key, _| !key.starts_with(keys::PREFIX));
    let all = hooks.iter().enumerate().filter(|(_, hook)| {
        let selector = hook.node_selector.as_ref();
        selector.is_none_or(|selector| selector.matches(&labels))
    });
    let found = all.filter_map(|(at, hook)| {
        let grant = match hook.at {
            Moment::BeforeDrain => reserved.map(|reserved| reserved.id),
            Moment::AfterReboot => granted.map(|grant| grant.id),
            Moment::OnFailure => ended.map(|result| result.id),
        };
        let grant = grant?.to_string();
        Some(Wanted {
            at,
            hook,
            node,
            grant,
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests;
