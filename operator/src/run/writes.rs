//! Writes to Nodes: in parallel, one at a time for each Node, and an obstacle to one affects that Node only.
//!
//! An admission webhook may refuse the writes of some Nodes, fail, or answer none of them for half a minute. The others continue meanwhile:
//! a Node whose write failed pauses, longer each time, and one whose write is slow is ignored until the answer arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cuo_cluster::node::{Keep, patch_node};
use cuo_cluster::{ApiError, ClientSource, Retry, scattered};
use cuo_core::backoff::Doubling;
use cuo_core::ids::NodeName;
use cuo_core::node::{Allotted, NodeView};
use cuo_core::plan::Writes;
use cuo_core::raw::{NodePatch, RawNode};
use cuo_telemetry::gate::gate;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::pause::{CONFLICT, FIRST, Pauses, REFUSED};
use crate::narration::Said;

/// How long a write may take. A webhook has at most 30 s.
pub const LIMIT: Duration = Duration::from_secs(35);
/// The longest pause after a failure.
const LAST: Duration = Duration::from_secs(300);
/// Pauses after a failed write to a Node, for that Node alone.
const PAUSES: Pauses = Pauses {
    // A conflict ends once the watch is up to date.
    conflict: Doubling::new(CONFLICT, Duration::from_secs(5)),
    failure: Doubling::new(FIRST, LAST),
    refusal: Doubling::new(REFUSED, LAST),
    // If the API server keeps asking for pauses, less often than it asks for.
    asked: Doubling::new(FIRST, LAST),
};
/// A write that takes longer than this is slow, and delays nobody else: usually it takes milliseconds. After a slow one, the Node's next
/// write may take twice as long.
const SLOW: Duration = Duration::from_secs(1);
/// With this many unanswered writes, the next has a quarter of that time: meanwhile each holds a slot that others could use.
const HANGING: usize = 3;
/// The most writes in flight that are not slow. By default, the API server handles 200 changes at once.
const AT_ONCE: usize = 100;
/// The most slow writes in flight; each has a connection of its own.
const WAITED_FOR: usize = 64;

/// A write to be sent.
#[derive(Debug)]
pub struct Order {
    /// The write, and its reports.
    pub said: Said,
    /// The Node as of the decision.
    pub known: NodeView,
    /// What the Node should show afterwards.
    pub allotted: Allotted,
    /// The patch.
    pub patch: NodePatch,
}

/// A write that has ended.
#[derive(Debug)]
pub struct Written {
    /// The write.
    pub order: Order,
    /// The Node afterwards.
    pub result: Result<RawNode, ApiError>,
}

/// A write in flight.
#[derive(Debug)]
struct Sent {
    task: AbortHandle,
    /// `metadata.uid` of the Node.
    uid: String,
    since: Instant,
    /// Whether it turned out to be slow.
    slow: bool,
}

/// Problems with the last writes to a Node.
#[derive(Debug)]
struct Trouble {
    /// `metadata.uid` of the Node: a recreated one has no problems yet.
    uid: String,
    failures: u32,
    /// How many writes in a row were slow.
    slow: u32,
    /// The end of the pause, before which nothing is written.
    until: Instant,
    /// The last failure that was logged; `None` while there were only conflicts.
    reported: Option<String>,
}

/// All writes to Nodes.
#[derive(Debug, Default)]
pub struct NodeWrites {
    tasks: JoinSet<Written>,
    under_way: BTreeMap<NodeName, Sent>,
    trouble: BTreeMap<NodeName, Trouble>,
}

impl NodeWrites {
    /// Starts a write in a task.
    pub fn send(&mut self, source: &ClientSource, keep: &Keep, order: Order) {
        let (name, uid) = (order.known.name.clone(), order.known.uid.clone());
        let (source, keep) = (source.clone(), keep.clone());
        self.start(name, uid, async move {
            let step = order.said.write.as_str();
            gate(&format!("operator-before-{step}")).await;
            let node = order.known.name.as_str();
            let result = patch_node(&source, node, &order.patch, &keep, LIMIT).await;
            let result = result.and_then(|raw| kept(&order.allotted, raw));
            gate(&format!("operator-after-{step}")).await;
            Written { order, result }
        });
    }

    fn start(
        &mut self,
        name: NodeName,
        uid: String,
        write: impl Future<Output = Written> + Send + 'static,
    ) {
        let task = self.tasks.spawn(write);
        let sent = Sent {
            task,
            uid,
            since: Instant::now(),
            slow: false,
        };
        self.under_way.insert(name, sent);
    }

    /// The next write that ends; pending while there is none.
    pub async fn next(&mut self) -> Written {
        loop {
            match self.tasks.join_next_with_id().await {
                Some(Ok((_, written))) => {
                    let name = &written.order.known.name;
                    if let Some(sent) = self.under_way.remove(name) {
                        self.ended(&sent, &written);
                    }
                    return written;
                }
                Some(Err(error)) => self.cut_off(error.id()),
                None => std::future::pending().await,
            }
        }
    }

    /// Handles a write that was cancelled. The watch shows whether it was done.
    fn cut_off(&mut self, task: Id) {
        let mut all = self.under_way.iter();
        let name = all.find(|(_, sent)| sent.task.id() == task);
        let Some(name) = name.map(|(name, _)| name.clone()) else {
            return;
        };
        let Some(sent) = self.under_way.remove(&name) else {
            return;
        };
        let trouble = self.trouble(name, &sent.uid);
        trouble.failures = trouble.failures.saturating_add(1);
        let pause = PAUSES.failure.pause(trouble.failures);
        trouble.until = Instant::now() + scattered(pause, 0.5);
    }

    /// Cancels all writes. Known problems are kept, in case this process writes again.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.under_way.clear();
    }

    fn ended(&mut self, sent: &Sent, written: &Written) {
        let name = written.order.known.name.clone();
        let Err(error) = &written.result else {
            match self.trouble.get_mut(&name).filter(|_| sent.slow) {
                // The next one may be slow again.
                Some(trouble) => {
                    (trouble.failures, trouble.until) = (0, Instant::now());
                    trouble.reported = None;
                }
                None => drop(self.trouble.remove(&name)),
            }
            return;
        };
        let write = written.order.said.write.as_str();
        let trouble = self.trouble(name.clone(), &sent.uid);
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.until = Instant::now() + PAUSES.after(error, trouble.failures);
        let text = format!("{write} of node {name}: {error}");
        if error.retry_class() == Retry::Reread {
            debug!("{text}; reading again");
        } else if trouble.reported.as_ref() != Some(&text) {
            warn!(node = %name, "{text}; others go first, then it is retried");
            trouble.reported = Some(text);
        }
    }

    fn trouble(&mut self, name: NodeName, uid: &str) -> &mut Trouble {
        self.trouble.entry(name).or_insert_with(|| Trouble {
            uid: uid.to_owned(),
            failures: 0,
            slow: 0,
            until: Instant::now(),
            reported: None,
        })
    }

    /// The state of writes at `now`. Problems of Nodes that are not `known` any more, by name and uid, are dropped.
    pub fn at(&mut self, now: Instant, known: impl Fn(&NodeName, &str) -> bool) -> Writes {
        self.slow_down(now);
        self.trouble
            .retain(|name, trouble| known(name, &trouble.uid));
        let rests = |name: &NodeName, trouble: &Trouble| {
            let sent = self.under_way.get(name);
            now < trouble.until || sent.is_some_and(|sent| sent.slow)
        };
        let trouble = || self.trouble.iter();
        let resting = trouble().filter(|(name, trouble)| rests(name, trouble));
        let suspect =
            trouble().filter(|(_, trouble)| trouble.reported.is_some() || trouble.slow > 0);
        let names = |(name, _): (&NodeName, &Trouble)| name.clone();
        let quick = self.under_way.values().filter(|sent| !sent.slow);
        Writes {
            resting: resting.map(names).collect(),
            suspect: suspect.map(names).collect(),
            under_way: self.under_way.keys().cloned().collect::<BTreeSet<_>>(),
            full: quick.count() >= AT_ONCE,
        }
    }

    /// Marks slow writes, and cancels the oldest of them if there are too many.
    fn slow_down(&mut self, now: Instant) {
        let late = self.under_way.iter().filter(|(name, sent)| {
            let patience = self.patience(name);
            !sent.slow && now >= sent.since + patience
        });
        let late: Vec<_> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            debug!(node = %name, "the write to node {name} is slow");
            let Some(sent) = self.under_way.get_mut(&name) else {
                continue;
            };
            sent.slow = true;
            let uid = sent.uid.clone();
            let trouble = self.trouble(name, &uid);
            trouble.slow = trouble.slow.saturating_add(1);
        }
        let mut slow: Vec<_> = self.under_way.values().filter(|sent| sent.slow).collect();
        slow.sort_by_key(|sent| sent.since);
        let too_many = slow.len().saturating_sub(WAITED_FOR);
        for oldest in slow.into_iter().take(too_many) {
            oldest.task.abort();
        }
    }

    /// How long the next write to the node may take before it counts as slow.
    fn patience(&self, name: &NodeName) -> Duration {
        let times = self.trouble.get(name).map_or(0, |trouble| trouble.slow);
        let hanging = self.under_way.values().filter(|sent| sent.slow).count();
        let first = if hanging < HANGING { SLOW } else { SLOW / 4 };
        Doubling::new(first, LIMIT).pause(times.saturating_add(1))
    }

    /// When this state next changes without an event.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let rests = self.trouble.values().map(|trouble| trouble.until);
        let quick = self.under_way.iter().filter(|(_, sent)| !sent.slow);
        let slow = quick.map(|(name, sent)| sent.since + self.patience(name));
        rests.chain(slow).filter(|at| *at > now).min()
    }
}

/// The Node after the write, if it shows what was written: a webhook may remove that again while the API server reports success, and the
/// same write would follow at once.
fn kept(allotted: &Allotted, raw: RawNode) -> Result<RawNode, ApiError> {
    let carries = |view: NodeView| allotted.patch(&view).is_none();
    match NodeView::parse(&raw).is_ok_and(carries) {
        true => Ok(raw),
        false => Err(ApiError::Other {
            message: "it took what was written to the Node, but does not keep it; see the mutating admission webhooks and policies for Nodes".into(),
        }),
    }
}

#[cfg(test)]
mod tests;
