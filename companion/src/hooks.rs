//! Hooks: Jobs that run at the operator's check points, and answer by an annotation of the companion's own on the Node.

mod decide;
mod job;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cuo_cluster::node::{Keep, patch_node};
use cuo_cluster::watch::{Change, NodesEvent, Objects, feed, watch_nodes};
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::ids::NodeName;
use cuo_core::node::NodeView;
use cuo_core::time::Time;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::Request;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::config::{Config, Hook};
use crate::metrics::Metrics;

use decide::{Act, decide};
use job::{Job, PATH, State, WireJob, manifest};

/// What changes within this time is looked at once; and what was written has come back by then.
const SETTLE: Duration = Duration::from_secs(1);
/// The deadline of a write.
const DEADLINE: Duration = Duration::from_secs(10);
/// The pause after a write failed.
const AGAIN: Duration = Duration::from_secs(10);

/// What hooks need.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// The API server.
    pub source: ClientSource,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the watches say; `None` before they have said anything.
#[derive(Debug, Default)]
struct Known {
    nodes: Option<BTreeMap<NodeName, NodeView>>,
    jobs: Option<BTreeMap<String, Job>>,
}

/// What was said of it in the log, and is not said again.
#[derive(Debug, Default)]
struct Told {
    /// What failed last.
    failure: Option<String>,
    /// Jobs in the way that are somebody else's.
    foreign: BTreeSet<String>,
}

impl Hooks {
    /// Runs all hooks of `config`, without end; nothing at all where there is none.
    pub async fn run(&self, config: &Config) {
        let hooks = &config.hooks;
        if hooks.is_empty() {
            return std::future::pending().await;
        }
        let annotations = hooks.iter().map(Hook::annotation);
        let keep = Keep::new(annotations).all_labels();
        let mut nodes = watch_nodes(self.source.clone(), keep.clone());
        let mut jobs = feed(self.jobs()).boxed();
        let mut known = Known::default();
        let mut told = Told::default();
        let mut look = None;
        loop {
            let due = async {
                match look {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(event) = nodes.next() => known.hear_node(event),
                Some(event) = jobs.next() => known.hear_job(event),
                () = due => {
                    look = self.act(hooks, &known, &keep, &mut told).await;
                    continue;
                }
            }
            look = look.or(Some(Instant::now() + SETTLE));
        }
    }

    fn jobs(&self) -> Objects<WireJob, Job> {
        Objects {
            source: self.source.clone(),
            path: PATH.into(),
            selector: None,
            may_be_undefined: false,
            read: Box::new(|job: WireJob| Ok(Job::from(job))),
        }
    }

    /// Does what is to be done; when to look again if nothing happens. One that fails stops no other.
    async fn act(
        &self,
        hooks: &[Hook],
        known: &Known,
        keep: &Keep,
        told: &mut Told,
    ) -> Option<Instant> {
        let (nodes, jobs) = (known.nodes.as_ref()?, known.jobs.as_ref()?);
        for state in State::ALL {
            let ours = jobs.values().filter(|job| job.purpose.is_some());
            let count = ours.filter(|job| job.state == *state).count();
            self.metrics.hook_jobs(state.as_str(), count);
        }
        let mut failed = None;
        let now = Time::from(Timestamp::now());
        let acts = decide(hooks, nodes, jobs, now);
        told.foreign(hooks, &acts);
        for act in acts {
            if let Err(error) = self.carry_out(hooks, &act, keep).await {
                self.metrics.api_error();
                failed = Some(format!("{}: {error}", shown(hooks, &act)));
            }
        }
        if let Some(text) = failed.as_ref().filter(|_| failed != told.failure) {
            warn!("hooks: {text}; trying again");
        }
        told.failure = failed;
        told.failure.is_some().then(|| Instant::now() + AGAIN)
    }

    async fn carry_out(&self, hooks: &[Hook], act: &Act, keep: &Keep) -> Result<(), ApiError> {
        match act {
            Act::Make { hook, node, grant } => match hooks.get(*hook) {
                Some(hook) => self.make(hook, node, grant).await,
                None => Ok(()),
            },
            Act::Answer(node, patch) => {
                let done = patch_node(&self.source, node.as_str(), patch, keep, DEADLINE).await;
                match done {
                    // Somebody else wrote it; the watch brings that, and it is decided again.
                    Err(ApiError::Conflict { .. } | ApiError::NotFound { .. }) => Ok(()),
                    done => done.map(drop),
                }
            }
            Act::Delete(name, uid) => {
                info!("hooks: Job {name} is deleted: nobody waits for it any more");
                match self.call(delete(name, uid)?).await {
                    // It is gone, or another has its name; the watch brings that.
                    Err(ApiError::Conflict { .. } | ApiError::NotFound { .. }) => Ok(()),
                    done => done,
                }
            }
            // It was said, and the watch says when the Job is gone.
            Act::Foreign(..) => Ok(()),
        }
    }

    async fn make(&self, hook: &Hook, node: &NodeName, grant: &str) -> Result<(), ApiError> {
        let params = PostParams {
            field_manager: Some(self.source.program().name.to_owned()),
            ..PostParams::default()
        };
        let body = manifest(hook, node, grant).to_string().into_bytes();
        match self.call(Request::new(PATH).create(&params, body)?).await {
            // It is there already: the watch was behind.
            Err(ApiError::Conflict { .. }) => Ok(()),
            made => made
                .inspect(|()| info!(%node, "hooks: {} runs for {node} (grant {grant})", hook.name)),
        }
    }

    async fn call(&self, request: http::Request<Vec<u8>>) -> Result<(), ApiError> {
        let done = self
            .source
            .call(|client| async move { client.request::<Value>(request).await });
        done.await.map(drop)
    }
}

/// Deletes the Job of this name only if it has this uid.
fn delete(name: &str, uid: &str) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let only = Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    };
    Request::new(PATH).delete(name, &DeleteParams::background().preconditions(only))
}

impl Told {
    /// Says which Jobs are in the way that are somebody else's, once while they are.
    fn foreign(&mut self, hooks: &[Hook], acts: &[Act]) {
        let found = acts.iter().filter_map(|act| match act {
            Act::Foreign(hook, job) => Some((hook, job)),
            Act::Make { .. } | Act::Answer(..) | Act::Delete(..) => None,
        });
        let found: BTreeMap<_, _> = found.map(|(hook, job)| (job.clone(), *hook)).collect();
        for (job, hook) in found.iter().filter(|(job, _)| !self.foreign.contains(*job)) {
            let hook = hooks.get(*hook).map_or("?", |hook| hook.name.as_str());
            warn!(
                %job,
                "hooks: {hook} can't run: Job {job} in namespace {} has its name and was not made for it; delete that Job",
                job::NAMESPACE
            );
        }
        self.foreign = found.into_keys().collect();
    }
}

/// An act, for people.
fn shown(hooks: &[Hook], act: &Act) -> String {
    match act {
        Act::Make { hook, node, .. } => {
            let hook = hooks.get(*hook).map_or("?", |hook| hook.name.as_str());
            format!("the Job of {hook} for {node} can't be made")
        }
        Act::Answer(node, _) => format!("node {node} can't be annotated"),
        Act::Delete(name, _) => format!("Job {name} can't be deleted"),
        Act::Foreign(_, name) => format!("Job {name} is somebody else's"),
    }
}

impl Known {
    fn hear_node(&mut self, event: NodesEvent) {
        let view = |node: cuo_core::raw::RawNode| {
            // The API server allows no name that is not one.
            let view = NodeView::parse(&node).ok()?;
            Some((view.name.clone(), view))
        };
        match event {
            Change::Reset(all) => self.nodes = Some(all.into_iter().filter_map(view).collect()),
            Change::Changed(node) => {
                if let Some(nodes) = &mut self.nodes {
                    nodes.extend(view(node));
                }
            }
            Change::Gone(name) => {
                if let (Some(nodes), Ok(name)) = (&mut self.nodes, name.parse()) {
                    nodes.remove(&name);
                }
            }
            Change::Disconnected(_) => {}
        }
    }

    fn hear_job(&mut self, event: Change<Job>) {
        match event {
            Change::Reset(all) => {
                let all = all.into_iter().map(|job| (job.name.clone(), job));
                self.jobs = Some(all.collect());
            }
            Change::Changed(job) => {
                let jobs = self.jobs.get_or_insert_default();
                let before = jobs.insert(job.name.clone(), job.clone());
                if job.purpose.is_some()
                    && job.state == State::Failed
                    && before.is_none_or(|before| before.state != job.state)
                {
                    warn!(job = %job.name, "hooks: Job {} failed; see `kubectl -n {} describe job {}`", job.name, job::NAMESPACE, job.name);
                }
            }
            Change::Gone(name) => {
                if let Some(jobs) = &mut self.jobs {
                    jobs.remove(&name);
                }
            }
            Change::Disconnected(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
