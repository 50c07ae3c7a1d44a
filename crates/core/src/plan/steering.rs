//! Which of a node's pools says what release it goes to.

use super::announced::is_told;
use super::pools::Pools;
use crate::ids::{NodeName, PoolName};
use crate::node::NodeView;
use crate::pool::Pool;
use crate::reason::{Code, Reason};
use crate::release::Declaration;

impl<'a> Pools<'a> {
    /// The place of the pool that says which release the node goes to: the one with canaries, or else the first that declares a release, or
    /// else the first in which each is approved.
    pub fn leads(&self, node: &NodeName) -> Option<usize> {
        let rank = |pool: &Pool| match (&pool.canary, &pool.release) {
            _ if !pool.steers() => None,
            (Some(_), _) => Some(0),
            (None, Some(_)) => Some(1),
            (None, None) => Some(2),
        };
        let places = self.places(node).iter();
        let ranked = places.filter_map(|place| Some((rank(self.all[*place].asks.ok()?)?, *place)));
        ranked.min().map(|(_, place)| place)
    }

    /// What the pool at `place` asks for, if that makes sense.
    pub fn asks_at(&self, place: usize) -> Option<&'a Pool> {
        self.all.get(place)?.asks.ok()
    }

    /// One release goes to a node, and it is a canary of one pool at most.
    pub fn steered_alike(&self, node: &NodeName) -> Result<(), Reason> {
        let mut pools = self
            .asks(node)
            .filter(|pool| pool.canary.is_some() || pool.release.is_some());
        let Some(first) = pools.next() else {
            return Ok(());
        };
        let differs = |other: &&Pool| {
            let both = first.canary.is_some() && other.canary.is_some();
            both || what(first) != what(other)
        };
        let Some(other) = pools.find(differs) else {
            return Ok(());
        };
        let text = format!(
            "the pools {} and {} want it to run different releases, or both have canaries",
            name(first),
            name(other)
        );
        Err(Reason::new(Code::PoolsDiffer, text))
    }

    /// The node's agent can be told which release to stage, where a pool declares one.
    pub fn tells(&self, node: &NodeView) -> Result<(), Reason> {
        let mut pools = self.of(&node.name).filter(|pool| {
            let declares = pool.asks.ok().map(|asks| asks.release.is_some());
            declares == Some(true)
        });
        match pools.next().filter(|_| !is_told(node)) {
            None => Ok(()),
            Some(pool) => {
                let text = format!("{}its agent does not know `release`", pool.called());
                Err(Reason::new(Code::AgentTooOld, text))
            }
        }
    }
}

fn what(pool: &Pool) -> Option<&Declaration> {
    pool.release.as_ref().map(|declared| &declared.what)
}

fn name(pool: &Pool) -> &str {
    pool.name.as_ref().map_or("", PoolName::as_str)
}
