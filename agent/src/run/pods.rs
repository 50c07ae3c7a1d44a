//! The pods on this node: watched only while a decision depends on them.

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

/// What is known about the pods.
#[derive(Default)]
pub struct PodSide {
    events: Option<BoxStream<'static, PodsEvent>>,
    /// By UID; `None` before the first answer and after the API server became unreachable.
    known: Option<BTreeMap<String, RawPod>>,
    trouble: String,
}

impl PodSide {
    /// Starts watching the pods of `node` if they are `wanted`, and stops and forgets them if not.
    pub fn want(&mut self, wanted: bool, source: &ClientSource, node: Option<&NodeName>) {
        match node.filter(|_| wanted) {
            None => *self = Self::default(),
            Some(node) if self.events.is_none() => {
                self.events = Some(watch_pods(source.clone(), node.as_str()));
            }
            Some(_) => {}
        }
    }

    /// The next event; pending while the pods are not watched.
    pub async fn next(&mut self) -> PodsEvent {
        if let Some(events) = &mut self.events
            && let Some(event) = events.next().await
        {
            return event;
        }
        std::future::pending().await
    }

    /// Processes the events that have arrived: a pod that is gone must not be evicted any more.
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

    /// All pods, or why they are not known; an empty error before the first answer.
    pub fn known(&self) -> Result<Vec<RawPod>, String> {
        let known = self.known.as_ref().ok_or_else(|| self.trouble.clone())?;
        Ok(known.values().cloned().collect())
    }

    /// Whether exactly this pod exists.
    pub fn shows(&self, pod: &RawPod) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.contains_key(&pod.uid))
    }
}

#[cfg(test)]
mod tests;
