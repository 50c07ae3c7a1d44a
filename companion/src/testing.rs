//! Nodes and pools for tests of notifications.

use std::collections::BTreeMap;

use cuo_coordination::pool::{PoolObject, of_value};
use cuo_core::ids::{BootId, ReleaseId};
use cuo_core::keys;
use cuo_core::node::NodeView;
use cuo_core::raw::RawNode;
use serde_json::{Value, json};

const BOOT: BootId = BootId::from_bytes([7; 16]);
/// What all nodes follow unless they are told to follow something else.
pub const BRANCH: &str = "fedora:fedora/x86_64/coreos/stable";

/// The release id of a version.
pub fn id(version: &str) -> ReleaseId {
    let digits: String = version.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0>64}").parse().unwrap()
}

/// A Node under construction.
#[derive(Debug, Clone)]
pub struct Node(RawNode);

/// A node with an agent that runs `version`.
pub fn node(name: &str, version: &str) -> Node {
    let raw = RawNode {
        name: name.to_owned(),
        uid: name.to_owned(),
        resource_version: "1".into(),
        ready: true,
        ..RawNode::default()
    };
    let node = Node(raw).with(keys::PROTOCOL, "1");
    node.runs(version).follows(BRANCH)
}

/// A node without an agent.
pub fn bare(name: &str) -> Node {
    let mut node = node(name, "1");
    node.0.annotations = BTreeMap::new();
    node
}

impl Node {
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.0.annotations.insert(key.to_owned(), value.to_string());
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.0.annotations.remove(key);
        self
    }

    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn runs(self, version: &str) -> Self {
        let since = "2026-10-27T02:14:51Z";
        let booted = json!({"v": 1, "identity": id(version), "version": version, "boot": BOOT, "since": since});
        self.with(keys::BOOTED, booted)
            .without(keys::REBOOT_NEEDED)
            .without(keys::REBOOT_NEEDED_VERSION)
    }

    pub fn follows(self, reference: &str) -> Self {
        let following = json!({"v": 1, "source": "origin", "reference": reference});
        self.with(keys::AGENT_RELEASE, following)
    }

    pub fn needs(self, version: &str) -> Self {
        self.with(keys::REBOOT_NEEDED, id(version))
            .with(keys::REBOOT_NEEDED_VERSION, version)
    }

    /// It has a grant for `version`.
    pub fn granted(self, version: &str) -> Self {
        let grant = json!({
            "v": 1, "id": "17-07070707", "identity": id(version), "boot": BOOT,
            "issued": "2026-11-23T21:00:00Z", "deadline": "2026-11-23T21:05:00Z",
            "drain": {"timeoutSeconds": 600, "onTimeout": "abort"},
        });
        let granted = json!({"v": 1, "identities": [id(version)]});
        self.with(keys::REBOOT_OK, grant)
            .with(keys::GRANTED, granted)
    }

    /// The grant is gone.
    pub fn released(self) -> Self {
        self.without(keys::REBOOT_OK)
    }

    /// The grant of this number ended so.
    pub fn ended(self, number: u64, outcome: &str, code: &str) -> Self {
        let result = json!({
            "v": 1, "id": format!("{number}-07070707"), "outcome": outcome, "code": code,
            "at": "2026-11-23T21:10:03Z",
        });
        self.with(keys::REBOOT_RESULT, result)
    }

    /// `version` failed on it.
    pub fn failed(self, version: &str) -> Self {
        let failure =
            json!({"identity": id(version), "code": "RolledBack", "at": "2026-11-23T21:12:40Z"});
        self.with(keys::FAILED, json!({"v": 1, "identities": [failure]}))
            .without(keys::REBOOT_NEEDED)
            .without(keys::REBOOT_NEEDED_VERSION)
    }

    pub fn view(&self) -> NodeView {
        NodeView::parse(&self.0).unwrap()
    }
}

/// A pool with this `spec` and `status`.
pub fn pool(name: &str, spec: Value, status: Value) -> PoolObject {
    let meta = json!({"name": name, "uid": name, "resourceVersion": "1", "generation": 1});
    of_value(json!({"metadata": meta, "spec": spec, "status": status})).unwrap()
}
