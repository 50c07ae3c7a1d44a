//! Writes to Nodes: side by side, one at a time for each Node, and whatever is in the way of one is that Node's alone.
//!
//! An admission webhook may refuse the writes of some Nodes, fail, or answer none of them for half a minute. The others go on meanwhile: a
//! Node whose write failed rests, each time longer, and one whose write takes its time is left out of account until it is answered.

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

/// How long a write may take. A webhook has 30 s at most.
pub const LIMIT: Duration = Duration::from_secs(35);
/// The longest pause after a failure.
const LAST: Duration = Duration::from_secs(300);
/// After a write to a Node that failed, which is that Node's alone.
const PAUSES: Pauses = Pauses {
    // It ends by itself once the watch is up to date.
    conflict: Doubling::new(CONFLICT, Duration::from_secs(5)),
    failure: Doubling::new(FIRST, LAST),
    refusal: Doubling::new(REFUSED, LAST),
    // Not as often as it is asked for, if it goes on.
    asked: Doubling::new(FIRST, LAST),
};
/// A write that takes longer than this holds nobody else up: usually it takes milliseconds. Where it does so again, it is given twice as long.
const SLOW: Duration = Duration::from_secs(1);
/// Where as many are not answered, the next is given a quarter of that: each has a slot meanwhile, which others could have.
const HANGING: usize = 3;
/// As many writes may be under way that are not slow. The API server takes 200 changes at once unless told otherwise.
const AT_ONCE: usize = 100;
/// As many slow ones may be waited for; each has a connection of its own.
const WAITED_FOR: usize = 64;

/// A write that is to be made.
#[derive(Debug)]
pub struct Order {
    /// What it does, and what is said of it.
    pub said: Said,
    /// The Node as it was when that was decided.
    pub known: NodeView,
    /// What it is to carry.
    pub allotted: Allotted,
    /// The change.
    pub patch: NodePatch,
}

/// A write that has ended.
#[derive(Debug)]
pub struct Written {
    /// What it was to do.
    pub order: Order,
    /// The Node as it is now.
    pub result: Result<RawNode, ApiError>,
}

/// One that is under way.
#[derive(Debug)]
struct Sent {
    task: AbortHandle,
    /// `metadata.uid` of the Node.
    uid: String,
    since: Instant,
    /// It was found to take its time.
    slow: bool,
}

/// What was in the way of the last writes to a Node.
#[derive(Debug)]
struct Trouble {
    /// `metadata.uid` of the Node: another one of the same name has no trouble yet.
    uid: String,
    failures: u32,
    /// How often in a row a write took its time.
    slow: u32,
    /// Nothing is written before this.
    until: Instant,
    /// The failure that was reported last; none while all that was in the way were others' writes.
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
    /// Sends a write, beside the loop.
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

    /// The next write that ends; never, while none is under way.
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

    /// A write was cut off. Whether it was made, the watch tells.
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

    /// Nothing is to be written any more. What was in the way stays known, for the time that this process may write again.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.under_way.clear();
    }

    fn ended(&mut self, sent: &Sent, written: &Written) {
        let name = written.order.known.name.clone();
        let Err(error) = &written.result else {
            match self.trouble.get_mut(&name).filter(|_| sent.slow) {
                // It may be so again.
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
            debug!("{text}; it is read again");
        } else if trouble.reported.as_ref() != Some(&text) {
            warn!(node = %name, "{text}; others go first, and it is tried again");
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

    /// How it is with them at `now`. Nodes that are not `known` any more, by name and uid, have no trouble either.
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

    /// Finds those that take their time, and cuts the oldest of them off where they are too many.
    fn slow_down(&mut self, now: Instant) {
        let late = self.under_way.iter().filter(|(name, sent)| {
            let patience = self.patience(name);
            !sent.slow && now >= sent.since + patience
        });
        let late: Vec<_> = late.map(|(name, _)| name.clone()).collect();
        for name in late {
            debug!(node = %name, "the write to node {name} takes its time");
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

    /// When something of this changes by itself.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let rests = self.trouble.values().map(|trouble| trouble.until);
        let quick = self.under_way.iter().filter(|(_, sent)| !sent.slow);
        let slow = quick.map(|(name, sent)| sent.since + self.patience(name));
        rests.chain(slow).filter(|at| *at > now).min()
    }
}

/// The Node as it is after the write, if it carries what was written: a webhook may take that off again while the API server says that all
/// is well, and the same write would be next at once.
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
