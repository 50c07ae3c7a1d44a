//! The pods bound to a hollow kubelet's Node, and the life of each.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result};
use futures::TryStreamExt;
use futures::future::pending;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Shared;
use super::container::Run;
use super::status::{self, Containers};
use crate::cluster::controlplane::{answered, refusal};

/// Pause before something that failed at the API server is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Pause before a container that ended is started again. A real kubelet waits longer from time to time.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Follows the pods that are bound to the Node, each by its own task.
pub(super) async fn run(shared: Arc<Shared>) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", shared.name));
    let mut events = pin!(watcher(Api::<Pod>::all(shared.client.clone()), config));
    let mut pods: HashMap<String, Followed> = HashMap::new();
    let mut listed = HashSet::new();
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(pod))) => {
                listed.insert(pod.uid().unwrap_or_default());
                follow(&shared, &mut pods, pod);
            }
            Ok(Some(Event::InitDone)) => pods.retain(|uid, _| listed.contains(uid)),
            Ok(Some(Event::Apply(pod))) => follow(&shared, &mut pods, pod),
            Ok(Some(Event::Delete(pod))) => {
                pods.remove(&pod.uid().unwrap_or_default());
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(node = shared.name, %error, "the watch of pods ended");
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// One pod, and the task that plays it until this is dropped.
struct Followed {
    latest: watch::Sender<Pod>,
    _task: JoinSet<()>,
}

fn follow(shared: &Arc<Shared>, pods: &mut HashMap<String, Followed>, pod: Pod) {
    let uid = pod.uid().unwrap_or_default();
    if let Some(followed) = pods.get(&uid) {
        followed.latest.send_replace(pod);
        return;
    }
    let (latest, seen) = watch::channel(pod);
    let mut task = JoinSet::new();
    let life = Life::new(shared.clone(), seen);
    task.spawn(life.live());
    pods.insert(
        uid,
        Followed {
            latest,
            _task: task,
        },
    );
}

/// The life of one pod, from the moment that its kubelet sees it.
struct Life {
    shared: Arc<Shared>,
    latest: watch::Receiver<Pod>,
    /// `None` for a pod without a hook.
    run: Option<Run>,
    restarts: i32,
    since: Timestamp,
}

impl Life {
    fn new(shared: Arc<Shared>, latest: watch::Receiver<Pod>) -> Self {
        // A pod with a status ran before its host went down.
        let restarts = status::restarts(&latest.borrow()).map_or(0, |before| before + 1);
        Self {
            shared,
            latest,
            run: None,
            restarts,
            since: Timestamp::now(),
        }
    }

    async fn live(mut self) {
        let mut pod = self.latest.borrow_and_update().clone();
        while pod.metadata.deletion_timestamp.is_none() {
            let hook = self.shared.hook(&pod);
            self.since = Timestamp::now();
            self.run = hook.map(|hook| hook.start(&pod));
            if self.while_running().await.is_none() {
                return;
            }
            pod = self.latest.borrow().clone();
        }
        self.terminate().await;
    }

    /// Reports the containers until they have ended and paused, or until the pod is deleted; `None` when the pod is gone.
    async fn while_running(&mut self) -> Option<()> {
        let mut restart_at = None;
        loop {
            let pod = self.latest.borrow_and_update().clone();
            if pod.metadata.deletion_timestamp.is_some() {
                return Some(());
            }
            let containers = match (&self.run, restart_at) {
                (_, Some(_)) => Containers::Waiting {
                    restarts: self.restarts,
                },
                (run, None) => Containers::Running {
                    ready: run.as_ref().is_none_or(Run::is_ready),
                    restarts: self.restarts,
                    since: self.since,
                },
            };
            let retry_at = self
                .report(&pod, containers)
                .await
                .err()
                .map(|error| later(&pod, &error));
            tokio::select! {
                changed = self.latest.changed() => changed.ok()?,
                ended = changed(&mut self.run) => if let Some(ended) = ended {
                    tracing::info!(pod = pod.name_any(), ?ended, "a container ended");
                    self.run = None;
                    restart_at = Some(Instant::now() + RESTART_AFTER);
                },
                () = at(restart_at) => {
                    self.restarts += 1;
                    return Some(());
                }
                () = at(retry_at) => (),
            }
        }
    }

    /// Ends the containers of a deleted pod, says so, and lets the object go. With a finalizer it stays after that, and its
    /// containers have ended nevertheless.
    async fn terminate(&mut self) {
        if let Some(run) = &self.run {
            run.stop();
        }
        if self.until_ended().await.is_none() {
            return;
        }
        self.run = None;
        let containers = Containers::Terminated {
            restarts: self.restarts,
            since: self.since,
        };
        loop {
            let pod = self.latest.borrow_and_update().clone();
            let done = match self.report(&pod, containers).await {
                Ok(()) => self.remove(&pod).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => return,
                Err(error) => sleep_until(later(&pod, &error)).await,
            }
        }
    }

    /// Returns when the containers have ended or the grace period is over; `None` when the pod is gone.
    async fn until_ended(&mut self) -> Option<()> {
        let begin = Instant::now();
        loop {
            let pod = self.latest.borrow_and_update().clone();
            // A second deletion may have made it shorter.
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
            let usual = match &self.run {
                Some(_) => Duration::MAX,
                None => status::termination(&pod).unwrap_or_else(|error| {
                    tracing::error!(
                        pod = pod.name_any(),
                        error = format!("{error:#}"),
                        "its containers end after its grace period"
                    );
                    Duration::MAX
                }),
            };
            tokio::select! {
                changed = self.latest.changed() => changed.ok()?,
                ended = changed(&mut self.run) => if ended.is_some() { return Some(()) },
                () = sleep_until(begin + grace.min(usual)) => return Some(()),
            }
        }
    }

    /// Writes the status if it says anything else.
    async fn report(&self, pod: &Pod, containers: Containers) -> Result<()> {
        if status::shows(pod, containers) {
            return Ok(());
        }
        let patch = Patch::Strategic(status::patch(pod, containers, &self.shared.address));
        let (pods, name, parameters) = (self.pods(pod), pod.name_any(), PatchParams::default());
        gone_is_fine(
            answered(
                format!("write the status of the pod {name}"),
                pods.patch_status(&name, &parameters, &patch),
            )
            .await,
        )
    }

    /// Tells the API server that the containers of a deleted pod are gone.
    async fn remove(&self, pod: &Pod) -> Result<()> {
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let (pods, name) = (self.pods(pod), pod.name_any());
        gone_is_fine(
            answered(
                format!("remove the pod {name}"),
                pods.delete(&name, &parameters),
            )
            .await,
        )
    }

    fn pods(&self, pod: &Pod) -> Api<Pod> {
        Api::namespaced(
            self.shared.client.clone(),
            &pod.namespace().unwrap_or_default(),
        )
    }
}

/// Not found, or another pod has the name: nothing is left to do.
fn gone_is_fine<T>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if matches!(refusal(&error), Some(404 | 409)) => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// Tells of an error, and when to try again.
fn later(pod: &Pod, error: &Error) -> Instant {
    tracing::warn!(
        pod = pod.name_any(),
        error = format!("{error:#}"),
        "trying again"
    );
    Instant::now() + RETRY_AFTER
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// As [`Run::changed`]; nothing ever changes without one.
async fn changed(run: &mut Option<Run>) -> Option<Result<()>> {
    match run {
        Some(run) => run.changed().await,
        None => pending().await,
    }
}
