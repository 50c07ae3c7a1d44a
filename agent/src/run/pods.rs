//! The pods on this node as the loop knows them: watched while a decision depends on them, and not otherwise.

use std::collections::BTreeMap;

use cuo_cluster::pods::{PodsEvent, watch_pods};
use cuo_cluster::watch::Change;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::drain::RawPod;
use cuo_core::ids::NodeName;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tracing::warn;

use super::view::event;

/// What is known of the pods.
#[derive(Default)]
pub struct PodSide {
    events: Option<BoxStream<'static, PodsEvent>>,
    /// By UID; `None` before the first answer and after touch was lost.
    known: Option<BTreeMap<String, RawPod>>,
    trouble: String,
}

impl PodSide {
    /// Watches the pods of `node` from now on if they are `wanted`, and forgets them if not.
    pub fn want(&mut self, wanted: bool, source: &ClientSource, node: Option<&NodeName>) {
        match node.filter(|_| wanted) {
            None => *self = Self::default(),
            Some(node) if self.events.is_none() => {
                self.events = Some(watch_pods(source.clone(), node.as_str()));
            }
            Some(_) => {}
        }
    }

    /// What is new; never, while the pods are not watched.
    pub async fn next(&mut self) -> PodsEvent {
        if let Some(events) = &mut self.events
            && let Some(event) = events.next().await
        {
            return event;
        }
        std::future::pending().await
    }

    /// Takes in what has arrived already: a pod that is gone must not be evicted any more.
    pub fn catch_up(&mut self) {
        while let Some(event) = self.next().now_or_never() {
            self.hear(event);
        }
    }

    pub fn hear(&mut self, event: PodsEvent) {
        let by_uid = |pod: RawPod| (pod.uid.clone(), pod);
        match event {
            Change::Reset(pods) => {
                self.known = Some(pods.into_iter().map(by_uid).collect());
                self.trouble.clear();
            }
            Change::Changed(pod) => {
                self.known.get_or_insert_default().extend([by_uid(pod)]);
            }
            Change::Gone(uid) => {
                if let Some(known) = &mut self.known {
                    known.remove(&uid);
                }
            }
            Change::Disconnected(error) => self.lost(&error),
        }
    }

    fn lost(&mut self, error: &ApiError) {
        let why = error.to_string();
        if self.trouble != why {
            let id = event(error).id();
            warn!(message_id = id, "the pods on the node are not known: {why}");
        }
        (self.known, self.trouble) = (None, why);
    }

    /// All of them, or why they are not known; nothing before the first answer.
    pub fn known(&self) -> Result<Vec<RawPod>, String> {
        let known = self.known.as_ref().ok_or_else(|| self.trouble.clone())?;
        Ok(known.values().cloned().collect())
    }

    /// This very pod is there.
    pub fn shows(&self, pod: &RawPod) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.contains_key(&pod.uid))
    }
}

#[cfg(test)]
mod tests;
