//! The ledger: one object that names every slot that is out.
//!
//! It is written only on the condition that nobody else has since it was read, so two operators can never both hand out the last slot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, GrantId, NodeName, ReleaseId};
use crate::time::Time;

/// Key of the ConfigMap's data under which the ledger is, as JSON with a version.
pub const DATA_KEY: &str = "ledger.json";

/// All slots that are out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The highest number that was given to a grant; numbers only rise.
    pub seq: u64,
    /// The slots, by the node that has it.
    pub entries: BTreeMap<NodeName, Entry>,
    /// Nodes whose last grant lapsed without being accepted, and when that was found: each rests for a while, and then others go first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unanswered: BTreeMap<NodeName, Time>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The grant's id.
    pub id: GrantId,
    /// What the grant allows to boot.
    pub identity: ReleaseId,
    /// The boot that it allows to leave.
    pub boot: BootId,
    /// How far it is.
    pub stage: Stage,
    /// When the entry was written.
    pub since: Time,
}

/// How far a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The node is next, but can't have been granted: the entry may be dropped at any time.
    Reserved,
    /// The grant may be on the Node: the entry may be dropped only once it was seen, live, not to be.
    Granted,
}
