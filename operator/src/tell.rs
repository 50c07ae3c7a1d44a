//! Decisions told to people: the log, and Events about Nodes and pools.
//!
//! An Event tells of a decision when its write succeeded, and of why a node waits when that changes to another code, or when the node
//! waits for another version. A text that only moves with the clock or with the queue is no news, and neither is anything that was so
//! when this process began to lead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cuo_cluster::ClientSource;
use cuo_cluster::events::{About, Kind, Severity, publish};
use cuo_cluster::pool::PoolObject;
use cuo_core::identity::{Identity, NodeName, PoolName};
use cuo_core::ledger::Stage;
use cuo_core::node::NodeView;
use cuo_core::plan::{Act, Plan, Snapshot};
use cuo_core::pool::FoundPool;
use cuo_core::reason::{Code, Reason};
use cuo_core::values::Outcome;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::metrics::{Metrics, outcome_name};
use crate::steps::Write;

/// An Event that waits to be published.
pub type Waiting = (About, News);

/// Events that may wait to be published: one for each node of a large cluster.
pub const LIMIT: usize = 2000;
/// Pause between two Events, so that news of a whole cluster does not hold up what matters at the API server.
const PACE: Duration = Duration::from_millis(20);

/// One thing worth telling about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What was being done.
    pub action: &'static str,
    /// Whether people have to look.
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

/// Remembers what was told last.
#[derive(Debug)]
pub struct Teller {
    events: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
    told: BTreeMap<NodeName, (Code, Option<Identity>)>,
    /// Pools by name and uid, and whether they were told to make sense.
    pools: BTreeMap<(PoolName, String), bool>,
    /// The nodes that were told to count as control plane; `None` before the first time.
    control_plane: Option<BTreeSet<NodeName>>,
}

impl Teller {
    /// A teller that hands its Events to `events`.
    pub fn new(events: mpsc::Sender<Waiting>, metrics: Arc<Metrics>) -> Self {
        Self {
            events,
            metrics,
            told: BTreeMap::new(),
            pools: BTreeMap::new(),
            control_plane: None,
        }
    }

    /// Forgets what was told: others lead in between, and tell.
    pub fn forget(&mut self) {
        self.told.clear();
        self.pools.clear();
        self.control_plane = None;
    }

    /// A write succeeded.
    pub fn wrote(&mut self, done: Prepared) {
        let Prepared { write, name, .. } = &done;
        info!(node = %name, write = write.as_str(), "{}: {}", name, write.means());
        let Some(about) = done.about else {
            return;
        };
        if let Some(outcome) = about.answered {
            self.metrics.answered(outcome);
        }
        if let Some(news) = about.news {
            let now = (news.reason.code, about.wanted);
            self.told.insert(done.name.clone(), now);
            self.tell(&done.name, about.uid, news);
        }
    }

    /// Nothing is left to be decided for now: tells which nodes wait for something else than before. Of those with a write under way its end
    /// is told.
    pub fn settled(&mut self, seen: &Snapshot, plan: &Plan) {
        self.told.retain(|name, _| seen.nodes.contains_key(name));
        if !seen.nodes.is_empty() {
            self.control_plane(&plan.control_plane);
        }
        for (name, reason) in &plan.verdicts {
            let open = seen.writes.under_way.contains(name);
            let Some(node) = seen.nodes.get(name).filter(|_| !open) else {
                continue;
            };
            let now = (reason.code, wanted(node));
            let before = self.told.insert(name.clone(), now);
            if before == Some(now) {
                continue;
            }
            match waits(reason).filter(|_| before.is_some()) {
                Some(news) => self.tell(name, node.uid.clone(), news),
                None => debug!(node = %name, code = %reason.code, "{name}: {reason}"),
            }
        }
    }

    /// Tells which nodes count as control plane, once and when that changes.
    fn control_plane(&mut self, nodes: &BTreeSet<NodeName>) {
        if self.control_plane.as_ref() == Some(nodes) {
            return;
        }
        self.control_plane = Some(nodes.clone());
        let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        match names.as_slice() {
            [] => warn!(
                "no node counts as control plane, so a pool may let several of its nodes go at once; if some of these are, label them, or name \
                 their labels with --control-plane-nodes"
            ),
            names => info!(
                "never two of these go at once, as they are of the control plane: {}",
                names.join(", ")
            ),
        }
    }

    /// Tells which pools of `all` that there are make sense, when that is otherwise than their status says and was not told yet.
    pub fn pools(&mut self, all: &BTreeMap<PoolName, PoolObject>) {
        self.pools
            .retain(|(name, uid), _| all.get(name).is_some_and(|pool| pool.uid == *uid));
        for pool in all.values() {
            self.pool(pool);
        }
    }

    fn pool(&mut self, pool: &PoolObject) {
        let conditions = pool.status.conditions.iter();
        let refused =
            conditions.filter(|known| known.kind == "Accepted" && known.status == "False");
        let key = (pool.name.clone(), pool.uid.clone());
        let known = self.pools.get(&key).copied();
        let before = known.unwrap_or(refused.count() == 0);
        let (valid, news) = match &pool.found {
            FoundPool::Valid(_) => {
                let (severity, text) = (Severity::Normal, Code::PoolValid.means().to_owned());
                (true, News::new("Accept", severity, Code::PoolValid, text))
            }
            FoundPool::Invalid { why, .. } => {
                let text = format!("its nodes are held: {why}");
                (
                    false,
                    News::new("Reject", Severity::Warning, Code::PoolInvalid, text),
                )
            }
        };
        self.pools.insert(key, valid);
        if valid != before {
            info!(pool = %pool.name, code = %news.reason.code, "pool {}: {}", pool.name, news.reason);
            let about = About {
                kind: Kind::Pool,
                name: pool.name.to_string(),
                uid: pool.uid.clone(),
            };
            self.send(about, news);
        }
    }

    fn tell(&self, name: &NodeName, uid: String, news: News) {
        let reason = &news.reason;
        info!(node = %name, code = %reason.code, "{name}: {reason}");
        let about = About {
            kind: Kind::Node,
            name: name.to_string(),
            uid,
        };
        self.send(about, news);
    }

    fn send(&self, about: About, news: News) {
        if self.events.try_send((about, news)).is_err() {
            self.metrics.dropped();
        }
    }
}

/// What is told of a write once it succeeds. It is found out when the write is decided: other decisions are made until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What it does.
    pub write: Write,
    /// About which node.
    pub name: NodeName,
    about: Option<Node>,
}

/// The Node that a write is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    uid: String,
    wanted: Option<Identity>,
    answered: Option<Outcome>,
    news: Option<News>,
}

impl Prepared {
    /// `write` carries out `plan`, for what was `seen`.
    pub fn new(write: Write, name: NodeName, seen: &Snapshot, plan: &Plan) -> Self {
        let about = seen.nodes.get(&name).map(|node| {
            let answer = node.agent.result.value();
            let answer = answer.filter(|_| write == Write::NodeRelease);
            Node {
                uid: node.uid.clone(),
                wanted: wanted(node),
                answered: answer.map(|answer| answer.outcome),
                news: decided(write, node, seen, plan),
            }
        });
        Self { write, name, about }
    }

    /// `write` to a node of which nothing is known.
    #[cfg(test)]
    pub fn untold(write: Write, name: NodeName) -> Self {
        let about = None;
        Self { write, name, about }
    }
}

/// What the node wants to boot.
fn wanted(node: &NodeView) -> Option<Identity> {
    node.agent.needed.value().copied()
}

/// The decision that `write` carries out, where it is one.
fn decided(write: Write, node: &NodeView, seen: &Snapshot, plan: &Plan) -> Option<News> {
    let verdict = plan.verdicts.get(&node.name);
    let gave_up = |what: &str| {
        let verdict = verdict?;
        let text = format!("{what}: {}", verdict.message);
        Some(News::new("Withdraw", Severity::Normal, verdict.code, text))
    };
    match (write, &plan.act) {
        (Write::LedgerReserve, Act::WriteLedger(ledger)) => {
            let entry = ledger.entries.get(&node.name)?;
            let text = format!(
                "next to reboot into {} (grant {})",
                entry.identity, entry.id
            );
            Some(News::new("Reserve", Severity::Normal, Code::Reserved, text))
        }
        (Write::NodeGrant, Act::WriteNode(_, allotted)) => {
            let grant = allotted.grant.as_ref()?;
            let text = format!(
                "may reboot into {}, to be accepted until {} (grant {})",
                grant.identity, grant.deadline, grant.id
            );
            Some(News::new("Grant", Severity::Normal, Code::Granted, text))
        }
        (Write::NodeWithdraw, _) => gave_up("the grant was withdrawn"),
        (Write::LedgerDrop, _) => {
            let entry = seen.ledger.value()?.entries.get(&node.name)?;
            // What was granted has been told about when it was taken off the Node.
            (entry.stage == Stage::Reserved).then(|| gave_up("the reservation was given up"))?
        }
        (Write::NodeRelease, _) => answered(node),
        _ => None,
    }
}

/// What the agent answered.
fn answered(node: &NodeView) -> Option<News> {
    let (answer, grant) = (node.agent.result.value()?, node.operator.grant.value()?);
    let (identity, id) = (grant.identity, grant.id);
    if answer.outcome == Outcome::Done {
        let text = format!("rebooted into {identity}; the slot is free (grant {id})");
        let severity = Severity::Normal;
        return Some(News::new("Release", severity, Code::UpToDate, text));
    }
    let code = answer.code.clone().unwrap_or(Code::AgentHolds.into());
    // The agent's own words say more than the code, which may stand for one that an older operator does not know.
    let why = node.agent.reason.value();
    let why = why.map_or_else(|| code.means().to_owned(), |why| why.to_string());
    let text = format!(
        "the agent answered {} to the grant {id} of {identity}; the slot is free: {why}",
        outcome_name(answer.outcome),
    );
    let code = code.known().unwrap_or(Code::AgentHolds);
    Some(News::new("Release", Severity::Warning, code, text))
}

/// Why the node waits, where that is told by no write.
fn waits(reason: &Reason) -> Option<News> {
    let (action, severity) = match reason.code {
        Code::Reserved | Code::Granted | Code::UpToDate | Code::NoAgent => return None,
        Code::Rebooting => ("Accept", Severity::Normal),
        Code::GrantUnanswered
        | Code::IdentityFailed
        | Code::MalformedAnnotation
        | Code::NodeNotReady
        | Code::PoolInvalid
        | Code::PoolsDiffer
        | Code::ProtocolUnknown
        | Code::WriteRefused => ("Hold", Severity::Warning),
        _ => ("Hold", Severity::Normal),
    };
    Some(News {
        action,
        severity,
        reason: reason.clone(),
    })
}

/// Publishes what the teller says, until it is gone. Nothing depends on an Event, so one that fails is not tried again.
pub async fn publish_all(
    source: ClientSource,
    instance: String,
    metrics: Arc<Metrics>,
    mut events: mpsc::Receiver<Waiting>,
) {
    while let Some((about, news)) = events.recv().await {
        let (severity, action, reason) = (news.severity, news.action, &news.reason);
        let now = Timestamp::now();
        let result = publish(&source, &about, severity, action, reason, &instance, now).await;
        if let Err(error) = result {
            metrics.failed(&error);
            debug!(about = about.name, %error, "an Event was not published");
        }
        tokio::time::sleep(PACE).await;
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
