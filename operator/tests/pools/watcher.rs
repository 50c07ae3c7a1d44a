//! Looks at every write to a Node, and at what the pools asked for then.
//!
//! What others did only just before a grant, the operator could not know: such changes of nodes and pools count once they are as old as
//! [`KNOWN`]. What the operator itself wrote counts at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use cuo_cluster::ClientSource;
use cuo_cluster::node::Keep;
use cuo_cluster::watch::{NodesEvent, watch_nodes};
use cuo_coordination::pool::{PoolObject, PoolStatus, pool};
use cuo_coordination::pool::{PoolsEvent, watch_pools};
use cuo_core::ids::{BootId, GrantId, NodeName, PoolName};
use cuo_core::node::{Allotted, NodeView};
use cuo_core::pool::{FoundPool, Pool};
use cuo_core::raw::RawNode;
use cuo_core::time::Time;
use cuo_core::values::{DrainPolicy, Grant, Phase, PodChecks};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::{published, release};

/// How long the operator may take to get to know of something.
const KNOWN: Duration = Duration::from_secs(3);

/// One Node, and since when it is so.
struct Known {
    view: NodeView,
    labelled: Instant,
    out: Option<Instant>,
}

/// A pool as it was from some time on; `None` where there was none.
type Version = (Instant, Option<Pool>);

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeName, Known>,
    gone: Vec<Instant>,
    pools: BTreeMap<PoolName, Vec<Version>>,
    grants: usize,
    wrong: Vec<String>,
}

/// The watch in the background.
pub struct Watcher {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    pub fn start(source: &ClientSource) -> Self {
        let mut keep = Keep::default();
        keep.grow([], ["x", "y"]);
        let mut nodes = watch_nodes(source.clone(), keep);
        let mut pools = watch_pools(source.clone());
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(event) = nodes.next() => locked(&shared).node_event(event, Instant::now()),
                    Some(event) = pools.next() => locked(&shared).pool_event(event, Instant::now()),
                }
            }
        });
        Self { state, task }
    }

    /// How many grants were seen.
    ///
    /// # Errors
    /// What was wrong about any of them.
    pub fn grants(&self) -> Result<usize> {
        let state = locked(&self.state);
        if state.wrong.is_empty() {
            return Ok(state.grants);
        }
        bail!("{}", state.wrong.join("\n"))
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn node_event(&mut self, event: NodesEvent, now: Instant) {
        match event {
            NodesEvent::Reset(all) => all.iter().for_each(|raw| self.seen(raw, now)),
            NodesEvent::Changed(raw) => self.seen(&raw, now),
            NodesEvent::Gone(name) => {
                self.nodes.retain(|known, _| known.as_str() != name);
                self.gone.push(now);
            }
            NodesEvent::Disconnected(_) => {}
        }
    }

    fn pool_event(&mut self, event: PoolsEvent, now: Instant) {
        let mut version = |name: PoolName, pool| {
            self.pools.entry(name).or_default().push((now, pool));
        };
        let valid = |found| match found {
            FoundPool::Valid(pool) => Some(*pool),
            FoundPool::Invalid { .. } => None,
        };
        match event {
            PoolsEvent::Reset(all) => {
                for pool in all {
                    version(pool.name, valid(pool.found));
                }
            }
            PoolsEvent::Changed(pool) => version(pool.name, valid(pool.found)),
            PoolsEvent::Gone(name) => {
                if let Ok(name) = name.parse() {
                    version(name, None);
                }
            }
            PoolsEvent::Disconnected(_) => {}
        }
    }

    fn seen(&mut self, raw: &RawNode, now: Instant) {
        let Ok(view) = NodeView::parse(raw) else {
            self.wrong
                .push(format!("{:?} is no name of a Node", raw.name));
            return;
        };
        let before = self
            .nodes
            .get(&view.name)
            .filter(|before| before.view.uid == view.uid);
        let same = before.filter(|before| before.view.labels == view.labels);
        let labelled = same.map_or(now, |before| before.labelled);
        let out =
            out_of_service(&view).then(|| before.and_then(|before| before.out).unwrap_or(now));
        let old = before.map(|before| before.view.clone());
        let known = Known {
            view: view.clone(),
            labelled,
            out,
        };
        self.nodes.insert(view.name.clone(), known);
        if let Err(wrong) = self.judge(old.as_ref(), &view, now) {
            self.wrong
                .push(format!("{wrong}\n{view:#?}\nbefore: {old:#?}"));
        }
    }

    /// What the latest write to a Node says about the operator.
    fn judge(
        &mut self,
        old: Option<&NodeView>,
        new: &NodeView,
        now: Instant,
    ) -> Result<(), String> {
        let before = old.and_then(|old| old.operator.grant.value());
        let grant = new.operator.grant.value();
        let (before_id, id) = (before.map(|grant| grant.id), grant.map(|grant| grant.id));
        if before_id == id {
            return Ok(());
        }
        // I3: what was accepted is let go of after its answer only.
        let accepted = old
            .and_then(|old| old.agent.progress.value())
            .map(|progress| progress.id);
        let answered = new.agent.result.value().map(|result| result.id);
        if before_id.is_some() && before_id == accepted && before_id != answered {
            return Err("an accepted grant was taken away".to_owned());
        }
        let Some(grant) = grant else {
            return Ok(());
        };
        self.grants += 1;
        // I1: it names what the node would boot, from the boot that it is in.
        let booted = new.agent.booted.value().map(|booted| booted.boot);
        if new.agent.needed.value() != Some(&grant.identity) || booted != Some(grant.boot) {
            return Err("a grant of something else than the node asked for".to_owned());
        }
        self.budgets(new, now)
    }

    /// I2 for a node that was just granted.
    fn budgets(&self, node: &NodeView, now: Instant) -> Result<(), String> {
        let old = |since: Instant| now.duration_since(since) >= KNOWN;
        let others = || {
            self.nodes
                .values()
                .filter(|known| known.view.name != node.name)
        };
        let counts = |known: &&Known| holds(&known.view) || known.out.is_some_and(old);
        let control = others()
            .filter(counts)
            .any(|known| known.view.control_plane);
        if control && node.control_plane {
            return Err("two nodes of the control plane at once".to_owned());
        }
        let mine = self
            .nodes
            .get(&node.name)
            .is_some_and(|known| old(known.labelled));
        let versions: BTreeMap<_, _> = self
            .pools
            .iter()
            .map(|(name, all)| (name, recent(all, now)))
            .collect();
        let selected = |view: &NodeView, version: &Option<&Pool>| {
            version.is_some_and(|pool| pool.selector.matches(&view.labels))
        };
        for (name, versions) in &versions {
            let always = |view: &NodeView| versions.iter().all(|version| selected(view, version));
            if !mine || !always(node) {
                continue;
            }
            let used = others().filter(counts);
            let used = used
                .filter(|known| old(known.labelled) && always(&known.view))
                .count();
            let left = self.gone.iter().filter(|since| !old(**since)).count();
            let any = |known: &&Known| {
                !old(known.labelled)
                    || versions
                        .iter()
                        .any(|version| selected(&known.view, version))
            };
            let members = self.nodes.values().filter(any).count() + left;
            let pools = || versions.iter().copied().flatten();
            let budget = pools()
                .map(|pool| pool.max_unavailable.of(members))
                .max()
                .unwrap_or(0);
            if used + 1 > budget {
                return Err(format!(
                    "pool {name}: {used} of {budget} in use, and one more is granted"
                ));
            }
            if pools().all(|pool| pool.paused) {
                return Err(format!("pool {name} is paused"));
            }
        }
        let never = |view: &NodeView| {
            versions
                .values()
                .flatten()
                .all(|version| !selected(view, version))
        };
        let alone = others()
            .filter(counts)
            .any(|known| old(known.labelled) && never(&known.view));
        if mine && never(node) && alone {
            return Err("two nodes at once that are in no pool".to_owned());
        }
        Ok(())
    }
}

/// How a pool was in the time that the operator may still take it to be.
fn recent(versions: &[Version], now: Instant) -> Vec<Option<&Pool>> {
    let current = versions
        .iter()
        .rposition(|(since, _)| now.duration_since(*since) >= KNOWN);
    let kept = versions[current.unwrap_or(0)..].iter();
    let mut kept: Vec<_> = kept.map(|(_, pool)| pool.as_ref()).collect();
    if current.is_none() {
        // It is younger than that.
        kept.push(None);
    }
    kept
}

fn holds(node: &NodeView) -> bool {
    !node.operator.grant.is_absent() || !node.agent.progress.is_absent()
}

fn out_of_service(node: &NodeView) -> bool {
    let failed = node
        .agent
        .status
        .value()
        .is_some_and(|status| status.phase == Phase::Failed);
    !node.ready || node.unschedulable || node.deleting || failed
}

/// What breaks a rule is seen, and what keeps it is not.
#[test]
fn the_watcher_sees_what_is_wrong() {
    let begin = Instant::now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let node = |name: &str, labels: &[&str]| RawNode {
        name: name.into(),
        uid: name.into(),
        ready: true,
        labels: labels
            .iter()
            .map(|label| ((*label).to_owned(), "1".to_owned()))
            .collect(),
        ..RawNode::default()
    };
    let shown = |mut raw: RawNode, wants: u8, granted: Option<u8>| {
        let published = published(1, Some(wants), Phase::Waiting);
        let view = NodeView::parse(&raw).unwrap();
        let mut patches = vec![published.patch(&view).unwrap()];
        let grant = granted.map(|number| Grant {
            id: GrantId { seq: 1, salt: 1 },
            identity: release(number),
            boot: BootId::from_bytes([1; 16]),
            issued: Time::EPOCH,
            deadline: Time::EPOCH,
            drain: DrainPolicy::default(),
            pods: PodChecks::default(),
            cordoned: Default::default(),
        });
        let allotted = Allotted {
            grant,
            ..Allotted::default()
        };
        patches.extend(allotted.patch(&view));
        for (key, value) in patches.into_iter().flat_map(|patch| patch.annotations) {
            raw.annotations.extend(value.map(|value| (key, value)));
        }
        raw
    };
    let out = |raw: RawNode| RawNode {
        ready: false,
        ..raw
    };
    let control = "node-role.kubernetes.io/control-plane";
    let one = json!({"nodeSelector": {"matchLabels": {"x": "1"}}});
    let with = |field: &str, value: Value| {
        let mut spec = one.clone();
        spec[field] = value;
        spec
    };
    let (a, b) = (node("a", &["x"]), node("b", &["x"]));
    let granted = |raw: &RawNode| shown(raw.clone(), 2, Some(2));
    // Nodes at first, what the pool x asks for, and what happens to Nodes then, at which second.
    type Case = (
        &'static str,
        Value,
        Vec<(u64, RawNode)>,
        Option<&'static str>,
    );
    let cases: Vec<Case> = vec![
        ("one", one.clone(), vec![(9, granted(&a))], None),
        (
            "two",
            one.clone(),
            vec![(9, granted(&a)), (9, granted(&b))],
            Some("1 of 1 in use"),
        ),
        (
            "two of two",
            with("maxUnavailable", json!(2)),
            vec![(9, granted(&a)), (9, granted(&b))],
            None,
        ),
        (
            "none",
            with("maxUnavailable", json!(0)),
            vec![(9, granted(&a))],
            Some("0 of 0 in use"),
        ),
        (
            "paused",
            with("paused", json!(true)),
            vec![(9, granted(&a))],
            Some("is paused"),
        ),
        (
            "long out",
            one.clone(),
            vec![(9, out(b.clone())), (19, granted(&a))],
            Some("1 of 1 in use"),
        ),
        (
            "just out",
            one.clone(),
            vec![(9, out(b.clone())), (10, granted(&a))],
            None,
        ),
        (
            "something else",
            one.clone(),
            vec![(9, shown(a.clone(), 2, Some(3)))],
            Some("something else"),
        ),
        (
            "control plane",
            with("maxUnavailable", json!(2)),
            vec![
                (9, granted(&node("a", &["x", control]))),
                (9, granted(&node("b", &["x", control]))),
            ],
            Some("two nodes of the control plane"),
        ),
        (
            "in no pool",
            one.clone(),
            vec![
                (1, node("a", &[])),
                (1, node("b", &[])),
                (9, granted(&node("a", &[]))),
                (9, granted(&node("b", &[]))),
            ],
            Some("in no pool"),
        ),
    ];
    for (name, spec, events, expected) in cases {
        let mut state = State::default();
        let pool = PoolObject {
            name: "x".parse().unwrap(),
            uid: "x".into(),
            resource_version: "1".into(),
            generation: 1,
            found: pool("x".parse().unwrap(), &spec),
            status: PoolStatus::default(),
        };
        state.pool_event(PoolsEvent::Reset(vec![pool]), at(0));
        state.node_event(NodesEvent::Reset(vec![a.clone(), b.clone()]), at(0));
        for (second, raw) in events {
            state.node_event(NodesEvent::Changed(raw), at(second));
        }
        let wrong = state.wrong.join("\n");
        match expected {
            Some(expected) => assert!(wrong.contains(expected), "{name}: {wrong}"),
            None => assert_eq!(wrong, "", "{name}"),
        }
    }
}
