//! Taking, keeping and giving back the lease of whoever leads among the replicas of a program.
//!
//! Whoever does not lead watches the lease, so that it takes one that is given back at once. While the watch is not in touch, or not allowed,
//! the lease is read now and then instead.

mod watching;

use std::future::Future;
use std::time::Duration;

use cuo_core::lease::{self, Decision, Observed, RENEW, RENEW_DEADLINE, RETRY, Record};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::scattered;

use watching::Changes;

/// Name of the Lease in the operator's namespace.
pub const NAME: &str = "cuo-operator";

/// Which Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: &'static str,
}

/// One call about the lease must leave time for another before [`RENEW_DEADLINE`]: [`RENEW`], twice this, and [`AGAIN`].
const CALL: Duration = Duration::from_millis(2500);
/// Pause before a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Limit for giving the lease back, which takes two calls.
const RELEASE: Duration = Duration::from_secs(5);

/// Whether this process leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// This process leads.
    Leading,
    /// Another one leads, or none.
    Waiting {
        /// The leader, if known.
        holder: Option<String>,
        /// Why the lease can't be read or written, if it can't.
        error: Option<ApiError>,
    },
}

impl Leadership {
    /// Not leading, and without knowing who does: the first and last state of a campaign.
    pub const UNKNOWN: Self = Self::Waiting {
        holder: None,
        error: None,
    };
}

/// Campaigns for the lease at `place` under the name `me` until `stop` completes, then gives it back if it is held. `state` always
/// says whether this process leads, and never says so for longer than [`RENEW_DEADLINE`] after the last renewal that succeeded.
///
/// `me` must be another one in each process, so the pod's name and something random.
pub async fn campaign(
    source: ClientSource,
    place: Place,
    me: String,
    state: watch::Sender<Leadership>,
    stop: impl Future<Output = ()>,
) {
    let mut campaign = Campaign {
        source,
        place,
        me,
        state,
        epoch: Instant::now(),
        observed: None,
        held: None,
    };
    tokio::select! {
        () = campaign.run() => {}
        () = stop => {}
    }
    campaign.state.send_replace(Leadership::UNKNOWN);
    campaign.release().await;
}

/// The lease in our hands.
struct Held {
    lease: Lease,
    until: Instant,
    /// A renewal may have been done although its answer is missing.
    unsure: bool,
}

struct Campaign {
    source: ClientSource,
    place: Place,
    me: String,
    state: watch::Sender<Leadership>,
    /// The monotonic clock of [`Observed`] counts from here.
    epoch: Instant,
    observed: Option<Observed>,
    held: Option<Held>,
}

impl Campaign {
    async fn run(&mut self) {
        // The lease as others change it, while this process does not hold it.
        let mut changes: Option<Changes> = None;
        loop {
            let until = self.held.as_ref().map(|held| held.until);
            let turn = match until {
                Some(until) => timeout_at(until, self.turn()).await.ok(),
                None => Some(self.turn().await),
            };
            let pause = match turn {
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    self.failed(error);
                    if self.held.is_some() { AGAIN } else { RETRY }
                }
                None => Duration::ZERO,
            };
            match &self.held {
                Some(held) => {
                    let left = held.until.saturating_duration_since(Instant::now());
                    changes = None;
                    sleep(pause.min(left)).await;
                }
                None => self.follow(pause, &mut changes).await,
            }
            if self
                .held
                .as_ref()
                .is_some_and(|held| Instant::now() >= held.until)
            {
                warn!("no longer leading: the lease could not be renewed in time");
                self.held = None;
                self.tell(None, None);
            }
        }
    }

    /// Reads, decides and writes once; returns how long to wait before the next turn.
    async fn turn(&mut self) -> Result<Duration, ApiError> {
        let lease = match &self.held {
            Some(held) if !held.unsure => held.lease.clone(),
            _ => self.read().await?,
        };
        if let Some(left) = self.still_held(&lease) {
            return Ok(left);
        }
        let begun = Instant::now();
        let lease = self
            .replace(taken(lease, &self.me, Timestamp::now()))
            .await?;
        self.held = Some(Held {
            lease,
            until: begun + RENEW_DEADLINE,
            unsure: false,
        });
        let newly = self.state.send_if_modified(|state| {
            let before = std::mem::replace(state, Leadership::Leading);
            before != Leadership::Leading
        });
        if newly {
            info!("leading as {}", self.me);
        }
        Ok(RENEW)
    }

    /// Waits until the lease may be free: for `left`, or until it is given back, taken by another or gone. Without a watch that is in touch
    /// it may be so at any time.
    async fn follow(&mut self, left: Duration, changes: &mut Option<Changes>) {
        let begun = Instant::now();
        let poll = begun + scattered(RETRY, 0.5);
        let mut end = begun + left;
        let changes = changes.get_or_insert_with(|| {
            Changes::new(self.source.clone(), &self.place.namespace, self.place.name)
        });
        while let Some(lease) = changes.next(end, poll).await {
            match lease.and_then(|lease| self.still_held(&lease)) {
                Some(left) => end = Instant::now() + left,
                None => return,
            }
        }
    }

    /// How long the lease is somebody else's at least; `None` where it may be taken or renewed.
    fn still_held(&mut self, lease: &Lease) -> Option<Duration> {
        let now = self.epoch.elapsed();
        let observed = Observed::after(self.observed.as_ref(), record(lease), now);
        let decision = lease::decide(&self.me, &observed, now);
        let holder = observed.record.holder.clone();
        self.observed = Some(observed);
        match decision {
            Decision::Wait(left) => {
                if self.held.take().is_some() {
                    info!("no longer leading: the lease was taken by somebody else");
                }
                self.tell(Some(holder), None);
                Some(left)
            }
            Decision::Acquire | Decision::Renew => None,
        }
    }

    fn failed(&mut self, error: ApiError) {
        match (&mut self.held, &error) {
            // Somebody else wrote it. The next turn reads who leads now.
            (Some(_), ApiError::Conflict { .. } | ApiError::NotFound { .. }) => {
                info!("no longer leading: the lease was changed by somebody else");
                self.held = None;
                self.tell(None, Some(error));
            }
            (Some(held), _) => {
                held.unsure = true;
                warn!("the lease is not renewed: {error}");
            }
            (None, _) => {
                let holder = self
                    .observed
                    .as_ref()
                    .map(|seen| seen.record.holder.clone());
                self.tell(holder, Some(error));
            }
        }
    }

    fn tell(&self, holder: Option<String>, error: Option<ApiError>) {
        let next = Leadership::Waiting {
            holder: holder.filter(|holder| !holder.is_empty()),
            error,
        };
        self.state.send_if_modified(|state| {
            let changed = *state != next;
            *state = next;
            changed
        });
    }

    /// Gives the lease back, so that the next leader need not wait for it to run out.
    async fn release(&mut self) {
        // Read first: a write that was under way when this process was stopped may have been done or not.
        let release = async {
            let lease = self.read().await?;
            if record(&lease).holder == self.me {
                self.replace(given_back(lease, Timestamp::now())).await?;
                info!("gave the lease back");
            }
            Ok::<_, ApiError>(())
        };
        match timeout(RELEASE, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("the lease was not given back: {error}"),
            Err(_) => warn!("the lease was not given back within {RELEASE:?}"),
        }
    }

    async fn read(&self) -> Result<Lease, ApiError> {
        let Place { namespace, name } = &self.place;
        let found = self.source.call_within(CALL, |client| async move {
            Api::namespaced(client, namespace).get(name).await
        });
        match found.await {
            Err(ApiError::NotFound { .. }) => self.create().await,
            found => found,
        }
    }

    /// Makes an empty lease, by server-side apply for the same reasons as the ledger.
    async fn create(&self) -> Result<Lease, ApiError> {
        let Place { namespace, name } = &self.place;
        let skeleton = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
        });
        let params = PatchParams::apply(self.source.program().name);
        let made = self.source.call_within(CALL, |client| async move {
            let api = Api::<Lease>::namespaced(client, namespace);
            api.patch(name, &params, &Patch::Apply(skeleton)).await
        });
        made.await
    }

    async fn replace(&self, lease: Lease) -> Result<Lease, ApiError> {
        let Place { namespace, name } = &self.place;
        if lease.metadata.resource_version.is_none() {
            // Without a version the write would be unconditional.
            let message = format!("Lease {namespace}/{name} has no version");
            return Err(ApiError::Other { message });
        }
        let written = self.source.call_within(CALL, |client| async move {
            let api = Api::<Lease>::namespaced(client, namespace);
            api.replace(name, &PostParams::default(), &lease).await
        });
        written.await
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec
        .lease_duration_seconds
        .and_then(|s| u64::try_from(s).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(lease::DURATION, Duration::from_secs),
        renewed: spec
            .renew_time
            .map(|time| time.0.to_string())
            .unwrap_or_default(),
    }
}

fn taken(mut lease: Lease, me: &str, now: Timestamp) -> Lease {
    let mut spec = lease.spec.take().unwrap_or_default();
    if spec.holder_identity.as_deref() != Some(me) {
        spec.holder_identity = Some(me.to_owned());
        spec.acquire_time = Some(MicroTime(now));
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
    }
    spec.lease_duration_seconds = i32::try_from(lease::DURATION.as_secs()).ok();
    spec.renew_time = Some(MicroTime(now));
    lease.spec = Some(spec);
    lease
}

fn given_back(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.take().unwrap_or_default();
    lease.spec = Some(LeaseSpec {
        holder_identity: None,
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        ..spec
    });
    lease
}

#[cfg(test)]
mod tests;
