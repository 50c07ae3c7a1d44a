//! Clusters for tests.

use cuo_core::features::Feature;
use cuo_core::ids::{BootId, ReleaseId};
use cuo_core::keys;
use cuo_core::raw::RawNode;
use cuo_core::time::Time;
use cuo_core::values::{Booted, to_json};

use crate::cluster::{Cluster, Settings};

/// A Thursday, in the evening.
pub const NOW: &str = "2026-10-01T21:00:00Z";

/// The release that nodes run.
pub fn old() -> ReleaseId {
    ReleaseId::Commit([1; 32])
}

/// The release that they need.
pub fn new() -> ReleaseId {
    ReleaseId::Commit([2; 32])
}

fn boot(name: &str) -> BootId {
    let mut bytes = [7; 16];
    for (place, byte) in name.bytes().take(4).enumerate() {
        bytes[place] = byte;
    }
    BootId::from_bytes(bytes)
}

/// A node that needs no reboot, with these labels beside CUO's.
pub fn idle(name: &str, labels: &[(&str, &str)]) -> RawNode {
    let since: Time = "2026-09-01T00:00:00Z".parse().unwrap();
    let booted = Booted {
        identity: old(),
        version: "1".to_owned(),
        boot: boot(name),
        since,
    };
    let annotations = [
        (keys::PROTOCOL, "1".to_owned()),
        (keys::STATUS, format!("idle since {since}")),
        (keys::BOOTED, to_json(&booted)),
        (
            keys::FEATURES,
            Feature::announced(Some(&boot(name))).to_string(),
        ),
    ];
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    RawNode {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        resource_version: "1".to_owned(),
        ready: true,
        boot_id: boot(name).to_string(),
        annotations: annotations
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        labels: labels.iter().map(own).collect(),
        ..RawNode::default()
    }
}

/// A node that needs a reboot into [`new`], and waits for a grant.
pub fn waiting(name: &str, labels: &[(&str, &str)]) -> RawNode {
    let mut node = idle(name, labels);
    let set = [
        (keys::STATUS, format!("waiting since {NOW}")),
        (keys::REBOOT_NEEDED, new().to_string()),
        (keys::REBOOT_NEEDED_VERSION, "2".to_owned()),
    ];
    node.annotations
        .extend(set.map(|(key, value)| (key.to_owned(), value)));
    node.labels
        .insert(keys::REBOOT_NEEDED.to_owned(), "true".to_owned());
    node
}

/// A cluster of these nodes with the pools that the YAML documents in `pools` describe, and an operator with the flags.
pub fn cluster(nodes: Vec<RawNode>, pools: &str, flags: &[&str]) -> Cluster {
    let mut cluster = Cluster::unknown(NOW.parse().unwrap());
    cluster.nodes = nodes;
    cluster.operator = Some(Settings {
        arguments: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ready: 1,
        ..Settings::default()
    });
    if !pools.is_empty() {
        cluster.apply(pools).unwrap();
    }
    cluster
}

/// A pool with this `spec`, in YAML.
pub fn pool(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}
