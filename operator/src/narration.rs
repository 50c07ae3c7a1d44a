//! Reports of the operator's acts and verdicts: in the log, in metrics, as test gates, and as Events about Nodes and pools.

use cuo_cluster::events::Severity;
use cuo_core::ids::{NodeName, PoolName, ReleaseId};
use cuo_core::ledger::Entry;
use cuo_core::node::NodeView;
use cuo_core::plan::{
    LedgerAct, LedgerChange, NodeAct, NodeChange, Plan, PoolAct, PoolChange, Snapshot,
};
use cuo_core::pool::FoundPool;
use cuo_core::reason::{Code, Reason, Tells};
use cuo_core::release::{Chosen, Rollout};
use cuo_core::values::{Grant, Outcome, RebootResult};

macro_rules! writes {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Every write of the operator, apart from its lease and Events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Write {
            $(#[doc = $means] $name,)*
        }

        impl Write {
            /// Every write, in the order of a slot's life.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The write's name, in gates, metrics and the log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it does, as one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }

        /// The steps at which a test can stop the operator (see [`cuo_telemetry::gate`]): before and after each write, and around the read
        /// that is needed before an entry is dropped.
        pub const GATES: &[&str] = &[
            $(concat!("operator-before-", $text), concat!("operator-after-", $text),)*
            concat!("operator-before-", "node-confirm"),
            concat!("operator-after-", "node-confirm"),
        ];
    };
}

writes! {
    LedgerRestore = "ledger-restore", "A grant that the ledger lacks is put back into it.";
    LedgerReserve = "ledger-reserve", "A node gets a slot.";
    NodeReserve = "node-reserve", "The reservation is put on the Node, with the label of the before-reboot checks.";
    LedgerGrant = "ledger-grant", "The slot may be granted.";
    NodeGrant = "node-grant", "The grant is put on the Node.";
    NodeWithdraw = "node-withdraw", "A grant that was not accepted yet, or its reservation, is replaced by another number.";
    NodeAfter = "node-after", "The label of the after-reboot checks is put on the Node.";
    NodeRelease = "node-release", "The grant is taken off the Node after the agent answered it.";
    NodeClean = "node-clean", "What nothing in the ledger stands for is taken off the Node.";
    NodeLone = "node-lone", "The only node that takes pods is told so, or one that no longer is.";
    PoolRelease = "pool-release", "How far the pool is with releases is written into its status.";
    NodeAssign = "node-assign", "The Node is told which release it is to go to, or nothing of it any more.";
    LedgerDrop = "ledger-drop", "The slot is free.";
}

/// The read that is needed before an entry is dropped.
pub const CONFIRM: &str = "node-confirm";

/// As many nodes are named in an Event.
const NAMED: usize = 5;

/// An Event: one thing worth telling about a node or a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What the operator was doing.
    pub action: &'static str,
    /// Whether a person has to look.
    pub severity: Severity,
    /// What happened, or why nothing does.
    pub reason: Reason,
}

impl News {
    fn new(action: &'static str, severity: Severity, code: Code, text: String) -> Self {
        Self {
            action,
            severity,
            reason: Reason::new(code, text),
        }
    }
}

/// What a write counts for in metrics, besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// A grant was put on a Node.
    Grant,
    /// An agent's answer ended a grant.
    Answer(Outcome),
}

/// The reports for a write, for when it succeeds. They are determined with the write, because other decisions are made until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The write.
    pub write: Write,
    /// The node that it is about.
    pub name: NodeName,
    /// What it counts for in metrics.
    pub count: Option<Count>,
    /// The Event, if the Node is known.
    pub event: Option<NodeEvent>,
}

/// An Event about a Node as of the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// `metadata.uid` of the Node.
    pub uid: String,
    /// The release that the node wants to boot.
    pub wanted: Option<ReleaseId>,
    /// The Event's content.
    pub news: News,
}

impl NodeEvent {
    /// An Event with `news` about `node`.
    pub fn new(node: &NodeView, news: News) -> Self {
        Self {
            uid: node.uid.clone(),
            wanted: wanted(node),
            news,
        }
    }
}

/// The release that the node wants to boot.
pub fn wanted(node: &NodeView) -> Option<ReleaseId> {
    node.agent.needed.value().copied()
}

impl Said {
    /// The reports for a write to the ledger by `plan`, which was made for `seen`.
    pub fn of_ledger(act: &LedgerAct, seen: &Snapshot, plan: &Plan) -> Self {
        let (write, news) = match &act.change {
            LedgerChange::Restore(_) => (Write::LedgerRestore, None),
            LedgerChange::Reserve(entry) => (Write::LedgerReserve, Some(reserved(entry))),
            LedgerChange::MarkGranted(_) => (Write::LedgerGrant, None),
            LedgerChange::GiveUp { .. } => {
                let what = "the reservation was given up";
                (Write::LedgerDrop, withdrawn(what, &act.node, plan))
            }
            // Reported already, when the grant was taken off the Node.
            LedgerChange::Drop { .. } => (Write::LedgerDrop, None),
        };
        let node = seen.nodes.get(&act.node);
        Self {
            write,
            name: act.node.clone(),
            count: None,
            event: node
                .zip(news)
                .map(|(node, news)| NodeEvent::new(node, news)),
        }
    }

    /// The reports for a write to a Node by `plan`, which was made for `seen`.
    pub fn of_node(act: &NodeAct, seen: &Snapshot, plan: &Plan) -> Self {
        let node = seen.nodes.get(&act.node);
        let (write, news, count) = match &act.change {
            NodeChange::MarkReserved { .. } => (Write::NodeReserve, None, None),
            NodeChange::Grant(grant) => {
                (Write::NodeGrant, Some(granted(grant)), Some(Count::Grant))
            }
            NodeChange::Withdraw(_) => {
                let news = withdrawn("the grant was withdrawn", &act.node, plan);
                (Write::NodeWithdraw, news, None)
            }
            NodeChange::AskAfterChecks(_) => (Write::NodeAfter, None, None),
            NodeChange::Release { grant, answer } => {
                let news = answered(grant, answer, node);
                let count = Count::Answer(answer.outcome);
                (Write::NodeRelease, Some(news), Some(count))
            }
            NodeChange::Clean => (Write::NodeClean, None, None),
            NodeChange::TellOnlyNode(_) => (Write::NodeLone, None, None),
            NodeChange::Assign(_) => (Write::NodeAssign, None, None),
        };
        Self {
            write,
            name: act.node.clone(),
            count,
            event: node
                .zip(news)
                .map(|(node, news)| NodeEvent::new(node, news)),
        }
    }
}

/// What is said of a write of how far a pool is with releases, once it succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSaid {
    /// What it does.
    pub write: Write,
    /// About which pool.
    pub pool: PoolName,
    /// `metadata.uid` of the pool.
    pub uid: String,
    /// The Event.
    pub news: Option<News>,
}

impl PoolSaid {
    /// Of a write to a pool that is as far as `known`.
    pub fn new(act: &PoolAct, known: &Rollout, uid: &str) -> Self {
        Self {
            write: Write::PoolRelease,
            pool: act.pool.clone(),
            uid: uid.to_owned(),
            news: of_releases(&act.change, known),
        }
    }
}

fn of_releases(change: &PoolChange, known: &Rollout) -> Option<News> {
    let called = |chosen: &Option<Chosen>| chosen.as_ref().map_or(String::new(), Chosen::called);
    let candidate = called(&known.candidate);
    let normal = |action, code, text| Some(News::new(action, Severity::Normal, code, text));
    match change {
        PoolChange::Choose(chosen) => {
            let text = format!("{} is the candidate ({})", chosen.called(), chosen.source);
            normal("Choose", Code::ReleaseChosen, text)
        }
        PoolChange::Restore(restored) => {
            let text = match &restored.candidate {
                Some(chosen) => format!(
                    "{} is the candidate, by what the Nodes were told and granted",
                    chosen.called()
                ),
                None => "what was given up is known again from the Nodes".to_owned(),
            };
            normal("Restore", Code::ReleaseChosen, text)
        }
        PoolChange::Promote => {
            let text = format!("all nodes may boot {candidate}");
            normal("Promote", Code::ReleasePromoted, text)
        }
        PoolChange::GiveUp(failed) => {
            let one = failed.first()?;
            let names: Vec<_> = one.nodes.iter().map(NodeName::as_str).take(NAMED).collect();
            let version = one
                .version
                .clone()
                .unwrap_or_else(|| one.identity.to_string());
            let text = format!("{version} is given up; it failed on {}", names.join(", "));
            let code = Code::ReleaseGivenUp;
            Some(News::new("GiveUp", Severity::Warning, code, text))
        }
        PoolChange::Supersede(Some(other)) => {
            let text = format!("{} takes the place of {candidate}", other.called());
            normal("Supersede", Code::ReleaseSuperseded, text)
        }
        PoolChange::Supersede(None) => {
            let text = format!("{candidate} is no candidate any more");
            normal("Supersede", Code::ReleaseSuperseded, text)
        }
        PoolChange::Resolve(..) | PoolChange::Forgive(_) | PoolChange::End => None,
    }
}

fn reserved(entry: &Entry) -> News {
    let (identity, id) = (entry.identity, entry.id);
    let text = format!("next to reboot into {identity} (grant {id})");
    News::new("Reserve", Severity::Normal, Code::Reserved, text)
}

fn granted(grant: &Grant) -> News {
    let text = format!(
        "may reboot into {}, to be accepted until {} (grant {})",
        grant.identity, grant.deadline, grant.id
    );
    News::new("Grant", Severity::Normal, Code::Granted, text)
}

/// The Event for a slot that is taken back, for the reason that the node has now.
fn withdrawn(what: &str, name: &NodeName, plan: &Plan) -> Option<News> {
    let verdict = plan.verdicts.get(name)?;
    let text = format!("{what}: {}", verdict.message);
    Some(News::new("Withdraw", Severity::Normal, verdict.code, text))
}

/// The Event for the agent's answer.
fn answered(grant: &Grant, answer: &RebootResult, node: Option<&NodeView>) -> News {
    let (identity, id) = (grant.identity, grant.id);
    if answer.outcome == Outcome::Done {
        let text = format!("rebooted into {identity}; the slot is free (grant {id})");
        return News::new("Release", Severity::Normal, Code::UpToDate, text);
    }
    let code = answer.code.clone().unwrap_or(Code::AgentHolds.into());
    // The agent's own reason says more than the code, which may stand for one that an older operator does not know.
    let why = node.and_then(|node| node.agent.reason.value());
    let why = why.map_or_else(|| code.means().to_owned(), |why| why.to_string());
    let text = format!(
        "the agent answered {} to the grant {id} of {identity}; the slot is free: {why}",
        answer.outcome.as_str(),
    );
    let code = code.known().unwrap_or(Code::AgentHolds);
    News::new("Release", Severity::Warning, code, text)
}

/// The Event for a node whose verdict changes to this; `None` if a write reports it, or nobody needs to know.
pub fn of_verdict(reason: &Reason) -> Option<News> {
    let (action, severity) = match reason.code.verdict().tells {
        Tells::Nothing => return None,
        Tells::Accept => ("Accept", Severity::Normal),
        Tells::Hold => ("Hold", Severity::Normal),
        Tells::Warn => ("Hold", Severity::Warning),
    };
    let reason = reason.clone();
    Some(News {
        action,
        severity,
        reason,
    })
}

/// The Event for a pool that has become valid or invalid.
pub fn of_pool(found: &FoundPool) -> News {
    match found {
        FoundPool::Valid(_) => {
            let text = Code::PoolValid.means().to_owned();
            News::new("Accept", Severity::Normal, Code::PoolValid, text)
        }
        FoundPool::Invalid { why, .. } => {
            let text = format!("its nodes are held: {why}");
            News::new("Reject", Severity::Warning, Code::PoolInvalid, text)
        }
    }
}

#[cfg(test)]
mod tests;
