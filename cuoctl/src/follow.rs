//! `cuoctl status --watch`: shows the status again whenever it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use cuo_cluster::ClientSource;
use cuo_cluster::watch::{Change, NodesEvent, watch_nodes};
use cuo_coordination::gate::watch_gates;
use cuo_coordination::pause::watch_pauses;
use cuo_coordination::pool::watch_pools;
use cuo_core::raw::RawNode;
use cuo_core::time::Time;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::Cluster;
use crate::fetch::{fetch_but_nodes, keep};
use crate::print::{Screen, note, say};
use crate::status::{NodeLine, Status};

/// How often ages are drawn again.
const DRAW: Duration = Duration::from_secs(1);
/// How often what is not watched is read again: the ledger, whose last write comes after those to Nodes, and the operator.
const READ: Duration = Duration::from_secs(5);
/// Changes that come this soon after another one are shown with it.
const TOGETHER: Duration = Duration::from_millis(200);

/// What is shown in place of what could not be read.
const UNANSWERED: &str =
    "the API server does not answer: pools, pauses, gates and the operator are shown as they were";

/// What to show, and where.
#[derive(Debug)]
pub struct Follow<'a> {
    /// The namespace of the operator.
    pub namespace: &'a str,
    /// Only these pools and nodes.
    pub names: &'a [String],
    /// All columns.
    pub wide: bool,
    /// Whether colours may be used.
    pub no_color: bool,
}

impl Follow<'_> {
    /// Shows changes until the process is ended.
    ///
    /// # Errors
    /// Where something can't be read or shown.
    pub async fn run(&self, source: &ClientSource) -> Result<()> {
        let mut cluster = fetch_but_nodes(source, self.namespace).await;
        cluster.unknown.iter().for_each(|text| note(text));
        let mut nodes = watch_nodes(source.clone(), keep(&cluster)?);
        let mut pools = watch_pools(source.clone());
        let mut pauses = watch_pauses(source.clone());
        let mut gates = watch_gates(source.clone());
        let mut known: Option<BTreeMap<String, RawNode>> = None;
        let mut shown = BTreeMap::new();
        // One that is there at first may be gone later, which is news.
        let mut checked = false;
        let mut read = Instant::now();
        loop {
            let mut changed = tokio::select! {
                Some(event) = nodes.next() => hear(&mut known, event),
                Some(_) = pools.next() => true,
                Some(_) = pauses.next() => true,
                Some(_) = gates.next() => true,
                () = sleep(DRAW) => false,
            };
            changed |= read.elapsed() >= READ;
            if changed {
                let end = Instant::now() + TOGETHER;
                while let Ok(Some(event)) = timeout_at(end, nodes.next()).await {
                    hear(&mut known, event);
                }
                cluster = later(cluster, fetch_but_nodes(source, self.namespace).await);
                read = Instant::now();
            }
            let Some(known) = &known else { continue };
            cluster.nodes = known.values().cloned().collect();
            cluster.at = Time::from(Timestamp::now());
            if !std::mem::replace(&mut checked, true) {
                Status::check_names(&cluster, self.names)?;
            }
            self.show(&cluster, changed, &mut shown)?;
        }
    }

    fn show(
        &self,
        cluster: &Cluster,
        changed: bool,
        shown: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        let status = Status::of(cluster, self.names)?;
        // The terminal may have another size by now.
        let screen = Screen::find(self.no_color);
        match screen.size.filter(|_| screen.addressable) {
            Some((_, height)) => {
                let unknown = status.unknown.iter().map(|text| format!("{text}\n"));
                let text = unknown.collect::<String>() + &status.text(screen, self.wide);
                say(&framed(&text, height))
            }
            None if changed => say(&news(&status, shown)),
            None => Ok(()),
        }
    }
}

/// What is known after `read`. Where the API server did not answer, what was there before is not gone.
fn later(before: Cluster, read: Cluster) -> Cluster {
    match read.unanswered {
        true => Cluster {
            unknown: vec![UNANSWERED.to_owned()],
            ..before
        },
        false => read,
    }
}

/// Takes `event` in; whether anything is worth a look now. Most events are heartbeats of kubelets, which change nothing that is kept.
fn hear(known: &mut Option<BTreeMap<String, RawNode>>, event: NodesEvent) -> bool {
    match event {
        Change::Reset(nodes) => {
            let nodes = nodes.into_iter().map(|node| (node.name.clone(), node));
            *known = Some(nodes.collect());
            true
        }
        Change::Changed(node) => {
            let known = known.get_or_insert_default();
            let before = known.insert(node.name.clone(), node.clone());
            before.is_none_or(|before| {
                let resource_version = node.resource_version.clone();
                node != RawNode {
                    resource_version,
                    ..before
                }
            })
        }
        Change::Gone(name) => known
            .as_mut()
            .is_some_and(|known| known.remove(&name).is_some()),
        Change::Disconnected(error) => {
            note(&format!("the Nodes can't be watched: {error}"));
            false
        }
    }
}

/// The text in place of what is on the screen, cut at its height.
fn framed(text: &str, height: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let room = height.saturating_sub(1);
    let more = lines.len().saturating_sub(room);
    let room = if more > 0 {
        room.saturating_sub(1)
    } else {
        room
    };
    // To the top; then each line over what was there, and nothing below.
    let mut frame = "\u{1b}[H".to_owned();
    for line in lines.iter().take(room) {
        frame += &format!("{line}\u{1b}[K\n");
    }
    if more > 0 {
        frame += &format!("… and {} more lines\u{1b}[K\n", lines.len() - room);
    }
    frame + "\u{1b}[J"
}

/// A line for each node that is not as it was in `shown`.
fn news(status: &Status, shown: &mut BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for node in &status.nodes {
        let line = line(node);
        if shown.get(&node.name) != Some(&line) {
            text += &format!("{} {line}\n", status.at);
            shown.insert(node.name.clone(), line);
        }
    }
    let gone: Vec<_> = shown
        .keys()
        .filter(|name| !status.nodes.iter().any(|node| node.name == **name))
        .cloned()
        .collect();
    for name in gone {
        shown.remove(&name);
        text += &format!("{} {name} is gone\n", status.at);
    }
    text
}

fn line(node: &NodeLine) -> String {
    let runs = node.runs.as_deref().unwrap_or("?");
    let next = node.next.as_ref().map(|next| format!(", next {next}"));
    let reason = node.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "{} {} runs {runs}{}{}",
        node.name,
        node.phase.unwrap_or("has no agent,"),
        next.unwrap_or_default(),
        reason.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
