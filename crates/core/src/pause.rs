//! Pauses as objects: an `UpdatePause` holds all nodes, those of a pool, or some by name, until it is deleted or its time is over.

use std::collections::BTreeSet;
use std::fmt;

use crate::ids::{NodeName, PoolName};
use crate::time::Time;

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The object's name.
    pub name: String,
    /// What it holds.
    pub scope: Scope,
    /// When it ends by itself, by the operator's clock; `None` if it does not.
    pub until: Option<Time>,
    /// Why, in the words of whoever made it.
    pub reason: Option<String>,
    /// Who made it; the admission policy lets nobody write another name than the own one.
    pub by: Option<String>,
}

/// What a pause holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All nodes.
    All,
    /// The nodes of this pool.
    Pool(PoolName),
    /// These nodes.
    Nodes(BTreeSet<NodeName>),
}

/// A pause as found in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundPause {
    /// It is valid.
    Valid(Pause),
    /// It can't be understood, so it counts as one of all nodes without an end.
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

impl Pause {
    /// Whether it still holds anything at `now`.
    pub fn holds(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl fmt::Display for Pause {
    /// Who paused, until when and why, without what is paused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paused")?;
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        write!(f, " (UpdatePause {})", self.name)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
