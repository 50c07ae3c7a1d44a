//! The Nodes as of the watch, and whether they are recent enough to decide on.

use std::collections::BTreeMap;
use std::time::Duration;

use cuo_cluster::watch::NodesEvent;
use cuo_core::ids::NodeName;
use cuo_core::node::NodeView;
use cuo_core::raw::RawNode;
use cuo_core::timing::{Lap, laps};
use tokio::time::Instant;
use tracing::error;

use super::missing::Missing;

/// How long to wait for the watch after a write or a conflict. After that a decision may be based on an old Node, and the API server
/// refuses its write.
const PATIENCE: Duration = Duration::from_secs(30);

type Nodes = BTreeMap<NodeName, NodeView>;

/// A version that a Node is known to have reached, and that the watch has not brought yet.
///
/// Nothing is written to the Node before it arrives. The watch brings the changes of all Nodes in order, so once it has arrived, so has
/// everything before it: no grant is decided on the state of nodes from before its reservation.
#[derive(Debug)]
struct Awaited {
    version: u64,
    until: Instant,
}

/// What an event of the watch brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Heard {
    /// A decision could depend on it. Most writes of kubelets change nothing of that.
    pub changed: bool,
    /// Parts of grants that are over with it.
    pub laps: Vec<Lap>,
}

impl Heard {
    fn without_laps(changed: bool) -> Self {
        Self {
            changed,
            laps: vec![],
        }
    }
}

/// The state of the watch.
#[derive(Debug)]
pub struct Watched {
    missing: Missing,
    awaited: BTreeMap<NodeName, Awaited>,
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            missing: Missing::unlisted("nodes"),
            awaited: BTreeMap::new(),
        }
    }
}

impl Watched {
    /// Why the Nodes are not known; `None` while the watch is connected.
    pub fn missing(&self) -> Option<&String> {
        self.missing.why()
    }

    /// Notes that the Nodes are about to be listed again, with more fields.
    pub fn list_anew(&mut self) {
        self.missing.again("with labels that a pool needs");
    }

    /// The Nodes with a known change that the watch has not brought yet.
    pub fn behind(&mut self, nodes: &Nodes, now: Instant) -> impl Iterator<Item = &NodeName> {
        self.awaited.retain(|name, awaited| {
            let known = nodes.get(name).and_then(version);
            known.is_some_and(|known| known < awaited.version) && now < awaited.until
        });
        self.awaited.keys()
    }

    /// When the first of these is no longer waited for.
    pub fn patience(&self) -> Option<Instant> {
        self.awaited.values().map(|awaited| awaited.until).min()
    }

    /// Notes the Node's state after a write.
    pub fn written(&mut self, raw: &RawNode) {
        if let (Ok(name), Ok(version)) = (raw.name.parse(), raw.resource_version.parse()) {
            self.wait_for(name, version);
        }
    }

    /// Notes that the API server has a later version of the Node than `known`.
    pub fn outdated(&mut self, known: &NodeView) {
        if let Some(version) = version(known) {
            self.wait_for(known.name.clone(), version.saturating_add(1));
        }
    }

    fn wait_for(&mut self, name: NodeName, version: u64) {
        let until = Instant::now() + PATIENCE;
        self.awaited.insert(name, Awaited { version, until });
    }

    /// Takes in what the watch tells.
    pub fn hear(&mut self, nodes: &mut Nodes, event: NodesEvent) -> Heard {
        match event {
            NodesEvent::Reset(all) => {
                let all = all.iter().filter_map(parse);
                *nodes = all.map(|view| (view.name.clone(), view)).collect();
                self.awaited.clear();
                self.missing.listed(nodes.len());
            }
            NodesEvent::Changed(raw) => {
                let heard = parse(&raw).map(|view| self.changed(nodes, view));
                return heard.unwrap_or(Heard::without_laps(false));
            }
            NodesEvent::Gone(name) => {
                if let Ok(name) = name.parse::<NodeName>() {
                    nodes.remove(&name);
                }
            }
            NodesEvent::Disconnected(error) => self.missing.lost(&error),
        }
        Heard::without_laps(true)
    }

    /// Takes in a Node, which is a change if it is more than its version, or if it is waited for.
    fn changed(&self, nodes: &mut Nodes, view: NodeView) -> Heard {
        let Some(known) = nodes.get_mut(&view.name) else {
            nodes.insert(view.name.clone(), view);
            return Heard::without_laps(true);
        };
        known.resource_version.clone_from(&view.resource_version);
        if *known == view {
            return Heard::without_laps(self.awaited.contains_key(&view.name));
        }
        let laps = match known.uid == view.uid {
            true => laps(known, &view),
            false => vec![],
        };
        *known = view;
        Heard {
            changed: true,
            laps,
        }
    }
}

fn parse(raw: &RawNode) -> Option<NodeView> {
    match NodeView::parse(raw) {
        Ok(view) => Some(view),
        Err(error) => {
            error!("a Node is ignored: {error}");
            None
        }
    }
}

/// The Node's version as a number, which rises (official since Kubernetes 1.35); `None` if it is no number, and then nothing is waited for.
fn version(node: &NodeView) -> Option<u64> {
    node.resource_version.parse().ok()
}

#[cfg(test)]
mod tests;
