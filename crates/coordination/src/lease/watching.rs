//! The lease as others change it.

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::Lease;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use cuo_cluster::ClientSource;
use cuo_cluster::watch::{Change, Objects, feed};
use cuo_cluster::wire::Wire;

/// A watch of the lease.
pub(super) struct Changes {
    events: BoxStream<'static, Change<Lease>>,
    /// The last event was not that the watch was lost.
    in_touch: bool,
}

#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct WireLease(Lease);

impl Wire for WireLease {
    fn resource_version(&self) -> &str {
        self.0.metadata.resource_version.as_deref().unwrap_or("")
    }

    fn key(&self) -> &str {
        self.0.metadata.name.as_deref().unwrap_or("")
    }
}

impl Changes {
    /// Watches the lease `name` in `namespace`.
    pub(super) fn new(source: ClientSource, namespace: &str, name: &str) -> Self {
        let objects = Objects {
            source,
            path: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases").into(),
            selector: Some(format!("metadata.name={name}")),
            may_be_undefined: false,
            read: Box::new(|lease: WireLease| Ok(lease.0)),
        };
        Self {
            events: feed(objects).boxed(),
            in_touch: false,
        }
    }

    /// The next change until `end`, or while the watch is not in touch until `poll`: the lease, or that there is none. `None` once that time
    /// is over.
    pub(super) async fn next(&mut self, end: Instant, poll: Instant) -> Option<Option<Lease>> {
        loop {
            let until = if self.in_touch { end } else { end.min(poll) };
            match timeout_at(until, self.events.next()).await.ok()? {
                Some(Change::Disconnected(_)) => self.in_touch = false,
                Some(Change::Changed(lease)) => return Some(Some(lease)),
                Some(Change::Reset(mut all)) => {
                    self.in_touch = true;
                    return Some(all.pop());
                }
                Some(Change::Gone(_)) => return Some(None),
                // It never ends.
                None => {
                    sleep_until(until).await;
                    return None;
                }
            }
        }
    }
}
