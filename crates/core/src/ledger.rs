//! The ledger: one object that lists every slot in use.
//!
//! It is written only if nobody else has written it since it was read, so two operators can never both give away the last slot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{BootId, GrantId, NodeName, ReleaseId};
use crate::time::Time;

/// Key in the ConfigMap's data that holds the ledger, as JSON with a version.
pub const DATA_KEY: &str = "ledger.json";

/// All slots in use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The highest grant number that was ever given; numbers only rise.
    pub seq: u64,
    /// The slots by node.
    pub entries: BTreeMap<NodeName, Entry>,
    /// Nodes whose last grant lapsed without being accepted, and when that was noticed. Each waits for a while, and then others go first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unanswered: BTreeMap<NodeName, Time>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The grant's id.
    pub id: GrantId,
    /// The release that the grant is for.
    pub identity: ReleaseId,
    /// The boot that the grant is for.
    pub boot: BootId,
    /// How far the slot is.
    pub stage: Stage,
    /// When the entry was written.
    pub since: Time,
}

/// The stage of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The node is next, but can't have been granted yet: the entry may be dropped at any time.
    Reserved,
    /// The grant may be on the Node: the entry may be dropped only once a live read has shown that it is not.
    Granted,
}
