//! Which nodes are in which pools, and what these have room for.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use jiff::SignedDuration;

use super::nodes::{holds, unavailable};
use super::seen::{Policy, Snapshot};
use crate::features::Feature;
use crate::ids::{NodeName, PoolName, ReleaseId};
use crate::ledger::Ledger;
use crate::node::NodeView;
use crate::pool::{FoundPool, Pool};
use crate::reason::{Code, Reason};
use crate::time::Time;
use crate::values::{Cordoned, DrainMode, DrainPolicy, Outcome};

/// How many names a reason has room for.
const NAMED: usize = 5;

/// One pool at the moment of the plan.
pub(super) struct Seen<'a> {
    pub name: Option<&'a PoolName>,
    /// Its policy, or what is wrong with it.
    pub asks: Result<&'a Pool, &'a str>,
    pub members: Vec<&'a NodeView>,
    /// How many of them may be out of service because of a new grant.
    pub budget: usize,
    /// The nodes that count against its budget.
    pub used: BTreeSet<&'a NodeName>,
    /// When the open window ends; `None` if none is open.
    pub open: Option<Time>,
    /// When the next one opens, if none is.
    pub opens: Option<Time>,
    /// The last of its nodes that ended an update, and when.
    last: Option<(Time, &'a NodeName)>,
    /// The reason that most nodes of a large pool get, built once.
    full: OnceCell<Reason>,
}

/// All pools, the built-in one last.
pub(super) struct Pools<'a> {
    pub all: Vec<Seen<'a>>,
    /// The pools of each node, by their places in `all`.
    of: HashMap<&'a NodeName, Vec<usize>>,
    /// An invalid pool whose nodes are not known, by its place in `all`.
    broken: Option<usize>,
    /// Nodes of the control plane.
    pub controllers: BTreeSet<&'a NodeName>,
    /// Nodes of the control plane that are rebooting or out of service, and slots of unknown Nodes.
    pub control: BTreeSet<&'a NodeName>,
    /// All nodes that count against a budget.
    pub used: BTreeSet<&'a NodeName>,
}

impl<'a> Seen<'a> {
    fn new(name: Option<&'a PoolName>, asks: Result<&'a Pool, &'a str>, now: Time) -> Self {
        let (calendar, stamp) = (asks.ok().map(|pool| &pool.calendar), now.timestamp());
        Self {
            name,
            asks,
            members: vec![],
            budget: 0,
            used: BTreeSet::new(),
            open: calendar.and_then(|calendar| Some(calendar.open(stamp)?.into())),
            opens: calendar.and_then(|calendar| Some(calendar.next_opening(stamp)?.into())),
            last: None,
            full: OnceCell::new(),
        }
    }

    /// The beginning of sentences about it; empty for the built-in pool.
    pub fn called(&self) -> String {
        self.name
            .map_or_else(String::new, |name| format!("pool {name}: "))
    }

    /// Counts one of its nodes.
    fn counts(&mut self, node: &'a NodeView, now: Time) {
        self.members.push(node);
        let settle = self.asks.map_or(SignedDuration::ZERO, |pool| pool.settle);
        let ended = node.agent.result.value().filter(|result| {
            // A time in the future is from a clock that is ahead: by a little, or by so much that the time means nothing.
            result.outcome != Outcome::Refused && result.at <= now.later(settle)
        });
        self.last = self.last.max(ended.map(|result| (result.at, &node.name)));
    }

    /// The end of the pause after its last update, and the node that was updated.
    pub fn settling(&self, now: Time) -> Option<(Time, &'a NodeName)> {
        let settle = self.asks.ok()?.settle;
        let (at, node) = self.last?;
        let until = at.later(settle);
        (now < until).then_some((until, node))
    }

    /// Whether `node` fits into the budget beside those that count.
    fn fits(&self, node: &NodeName) -> Result<(), Reason> {
        let own = self.used.contains(node);
        let count = self.used.len() - usize::from(own);
        if count < self.budget {
            return Ok(());
        }
        Err(match own {
            true => self.used_up(Some(node)),
            false => self.full.get_or_init(|| self.used_up(None)).clone(),
        })
    }

    fn used_up(&self, by_others_than: Option<&NodeName>) -> Reason {
        let others = || {
            self.used
                .iter()
                .filter(|name| Some(**name) != by_others_than)
        };
        let (called, budget) = (self.called(), self.budget);
        let text = match others().count() {
            0 => format!("{called}none of its nodes may be out of service"),
            count => format!(
                "{called}{count} of {budget} in use: {}",
                some(others().copied())
            ),
        };
        Reason::new(Code::BudgetExhausted, text)
    }
}

impl<'a> Pools<'a> {
    pub fn new(seen: &'a Snapshot, policy: &'a Policy, ledger: &'a Ledger, now: Time) -> Self {
        let mut all: Vec<_> = seen
            .pools
            .iter()
            .map(|found| match found {
                FoundPool::Valid(pool) => Seen::new(pool.name.as_ref(), Ok(pool), now),
                FoundPool::Invalid { name, why, .. } => Seen::new(Some(name), Err(why), now),
            })
            .collect();
        let built_in = all.len();
        all.push(Seen::new(None, Ok(&policy.builtin), now));
        let selectors: Vec<_> = seen.pools.iter().map(selector).collect();
        let pools_of = |node: &NodeView| {
            let selects = |place: &usize| {
                selectors[*place].is_some_and(|selector| selector.matches(&node.labels))
            };
            let mut found: Vec<_> = (0..built_in).filter(selects).collect();
            if found.is_empty() {
                found.push(built_in);
            }
            found
        };
        let nodes = seen.nodes.iter();
        let of = nodes.map(|(name, node)| (name, pools_of(node))).collect();
        let mut pools = Self {
            all,
            of,
            broken: selectors.iter().position(Option::is_none),
            controllers: control_plane(seen, policy),
            control: BTreeSet::new(),
            used: BTreeSet::new(),
        };
        pools.count(seen, ledger, now);
        pools
    }

    /// Counts members, and nodes that count against a budget: those with a slot, and those that are out of service for any other reason.
    fn count(&mut self, seen: &'a Snapshot, ledger: &'a Ledger, now: Time) {
        for (name, node) in &seen.nodes {
            for place in self.of.get(name).into_iter().flatten() {
                self.all[*place].counts(node, now);
            }
            if holds(node) || unavailable(node) || ledger.entries.contains_key(name) {
                self.take(node);
            }
        }
        // A slot's Node that is not known may be in any pool, and of the control plane.
        let unknown = ledger.entries.keys();
        for name in unknown.filter(|name| !seen.nodes.contains_key(*name)) {
            self.control.insert(name);
            self.used.insert(name);
            for pool in &mut self.all {
                pool.used.insert(name);
            }
        }
        for pool in &mut self.all {
            pool.budget = pool
                .asks
                .map_or(0, |asks| asks.max_unavailable.of(pool.members.len()));
        }
    }

    /// Counts the node against its budgets.
    pub fn take(&mut self, node: &'a NodeView) {
        self.used.insert(&node.name);
        if self.controllers.contains(&node.name) {
            self.control.insert(&node.name);
        }
        for place in self.of.get(&node.name).into_iter().flatten() {
            let pool = &mut self.all[*place];
            pool.used.insert(&node.name);
            pool.full.take();
        }
    }

    /// The node's pools by their places in `all`, sorted by name.
    pub fn places(&self, node: &NodeName) -> &[usize] {
        self.of.get(node).map_or(&[], Vec::as_slice)
    }

    /// The node's pools.
    pub fn of(&self, node: &NodeName) -> impl Iterator<Item = &Seen<'a>> {
        self.places(node).iter().map(|place| &self.all[*place])
    }

    /// The policies of those of the node's pools that are valid.
    pub fn asks(&self, node: &NodeName) -> impl Iterator<Item = &'a Pool> {
        self.of(node).filter_map(|pool| pool.asks.ok())
    }

    /// Names of annotations that the node's pools want, each once.
    pub fn checks(&self, node: &NodeName, which: impl Fn(&Pool) -> &Vec<String>) -> Vec<String> {
        let mut names = Vec::new();
        for name in self.asks(node).flat_map(|pool| which(pool).clone()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// When the first of the windows closes that are open now in the node's pools; `None` if not all have an open one.
    pub fn closes(&self, node: &NodeName) -> Option<Time> {
        let ends: Option<Vec<_>> = self.of(node).map(|pool| pool.open).collect();
        ends?.into_iter().min()
    }

    /// What to do while somebody else has cordoned the node: all of its pools have to say `Update`.
    pub fn cordoned(&self, node: &NodeName) -> Cordoned {
        match self
            .asks(node)
            .all(|pool| pool.cordoned == Cordoned::Update)
        {
            true => Cordoned::Update,
            false => Cordoned::Hold,
        }
    }

    /// The longest that a drain may take in any pool. Which pool a grant came from is not known once its Node is gone.
    pub fn longest_drain(&self) -> SignedDuration {
        let pools = self.all.iter().filter_map(|pool| pool.asks.ok());
        let longest = pools.map(|pool| pool.drain.longest()).max();
        longest.unwrap_or(SignedDuration::ZERO)
    }

    /// Whether `node` may have a slot beside those that count.
    pub fn fits(&self, node: &NodeView) -> Result<(), Reason> {
        let mut busy = self.control.iter().filter(|name| **name != &node.name);
        let controls = self.controllers.contains(&node.name);
        if let Some(busy) = busy.next().filter(|_| controls) {
            let text = format!("waits for control-plane node {busy}");
            return Err(Reason::new(Code::ControlPlaneBusy, text));
        }
        self.of(&node.name)
            .try_for_each(|pool| pool.fits(&node.name))
    }

    /// Checks that no invalid pool may be one of the node's.
    pub fn invalid(&self, node: &NodeName) -> Result<(), Reason> {
        let broken = self.broken.map(|place| &self.all[place]);
        let found = broken.into_iter().chain(self.of(node));
        let reported = |pool: &Seen<'_>| {
            let why = pool.asks.err()?;
            let text = format!("{}{why}", pool.called());
            Some(Reason::new(Code::PoolInvalid, text))
        };
        found.filter_map(reported).next().map_or(Ok(()), Err)
    }

    /// Checks that the node's agent can do what its pools demand.
    pub fn understood(&self, node: &NodeView) -> Result<(), Reason> {
        let features = &node.agent.features;
        let pools = self.of(&node.name);
        let mut asks = pools.filter_map(|pool| Some((pool.called(), pool.asks.ok()?)));
        let modern = |drain: &DrainPolicy| drain.mode != DrainMode::Evict;
        match asks.find(|(_, pool)| modern(&pool.drain) && !Feature::DrainMode.is_in(features)) {
            None => Ok(()),
            Some((called, _)) => {
                let text = format!("{called}its agent does not know `drain.mode`");
                Err(Reason::new(Code::AgentTooOld, text))
            }
        }
    }

    /// Checks that the node's pools agree, since a grant has one drain policy and one set of checks.
    pub fn alike(&self, node: &NodeName) -> Result<(), Reason> {
        let mut pools = self.asks(node);
        let Some(first) = pools.next() else {
            return Ok(());
        };
        let other = pools.find(|pool| (&pool.drain, &pool.pods) != (&first.drain, &first.pods));
        let names = |pool: &Pool| {
            pool.name
                .as_ref()
                .map_or_else(String::new, PoolName::to_string)
        };
        other.map_or(Ok(()), |other| {
            let text = format!(
                "the pools {} and {} want it drained in different ways",
                names(first),
                names(other)
            );
            Err(Reason::new(Code::PoolsDiffer, text))
        })
    }
}

/// The nodes of the control plane.
fn control_plane<'a>(seen: &'a Snapshot, policy: &Policy) -> BTreeSet<&'a NodeName> {
    let nodes = seen.nodes.values();
    let nodes = nodes.filter(|node| policy.control_plane.counts(node));
    nodes.map(|node| &node.name).collect()
}

fn selector(found: &FoundPool) -> Option<&crate::selector::Selector> {
    match found {
        FoundPool::Valid(pool) => Some(&pool.selector),
        FoundPool::Invalid { selector, .. } => selector.as_ref(),
    }
}

/// A release for people.
pub(super) fn what(identity: &ReleaseId, version: Option<&str>) -> String {
    version.map_or_else(
        || identity.to_string(),
        |version| format!("{version} ({identity})"),
    )
}

/// Lists the first few names.
pub(super) fn some<'n>(names: impl Iterator<Item = &'n NodeName>) -> String {
    let names: Vec<_> = names.take(NAMED).map(NodeName::as_str).collect();
    names.join(", ")
}
