//! The Node as the loop knows it, and pauses after failed calls of the API server.

use std::time::Duration;

use cuo_cluster::node::{Keep, get_node, patch_node};
use cuo_cluster::watch::NodeEvent;
use cuo_cluster::{ApiError, ClientSource, LONGEST_ASKED, Retry, scattered};
use cuo_core::agent::{NodeSeen, Reported};
use cuo_core::backoff::Doubling;
use cuo_core::ids::{BootId, MachineId, NodeName};
use cuo_core::node::{NodeView, Published};
use cuo_core::raw::RawNode;
use cuo_core::reason::{Code, Reason};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::feed::News;
use crate::journal::Event;

/// Pauses after a failed call: the first one, which doubles, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// The first pause after a conflict, which doubles up to the same limit, because somebody may keep writing.
const CONFLICT: Duration = Duration::from_millis(50);

/// How long a write may take: an admission webhook has 30 s.
const WRITE: Duration = Duration::from_secs(35);

/// What is known about the Node.
#[derive(Debug, Default)]
pub struct NodeSide {
    /// This boot and, if known, the one before it: the boots that this host's kubelet may have reported.
    boots: Vec<BootId>,
    machine: Option<MachineId>,
    name: Option<NodeName>,
    view: Option<NodeView>,
    /// The Node was seen not to exist.
    absent: bool,
    /// Why the Node is not known now.
    trouble: Option<String>,
    /// The last trouble in the journal, until it is over.
    logged: Option<String>,
    /// The last write failed, and not because of a conflict.
    unwritten: bool,
    /// The API server refused the last write, and the agent can't change that.
    refused: Option<Reason>,
    retry_at: Option<Instant>,
    failures: u32,
    /// Conflicts in a row.
    conflicts: u32,
    /// The reason that was written last.
    reported: Option<Reported>,
    /// The Node may have changed since it was read: read it before the next decision.
    outdated: bool,
}

impl NodeSide {
    /// The Node of the host with these `boots` and this `machine` id; without a machine id, any Node counts as this host's.
    pub fn new(boots: Vec<BootId>, machine: Option<MachineId>) -> Self {
        Self {
            boots,
            machine,
            ..Self::default()
        }
    }

    pub fn name(&self) -> Option<&NodeName> {
        self.name.as_ref()
    }

    /// The reason that was written last.
    pub fn reported(&self) -> Option<&Reported> {
        self.reported.as_ref()
    }

    pub fn view(&self) -> Option<&NodeView> {
        self.view.as_ref()
    }

    /// Why nothing can be written to the Node, if a person has to allow it.
    pub fn refused(&self) -> Option<&Reason> {
        self.refused.as_ref()
    }

    /// When to retry after a failure.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    pub fn seen(&self) -> NodeSeen {
        match (&self.trouble, &self.view) {
            (Some(why), _) => NodeSeen::Unknown(why.clone()),
            (None, Some(view)) => NodeSeen::Present {
                view: Box::new(view.clone()),
                live: false,
            },
            (None, None) if self.absent => NodeSeen::Absent,
            (None, None) => NodeSeen::Unknown("not read yet".into()),
        }
    }

    pub fn hear(&mut self, news: News) {
        match news {
            News::Named(name) => {
                cuo_telemetry::name_node(name.as_str());
                info!("this host is the node {name}");
                self.name = Some(name);
            }
            News::Nameless(why) => self.troubled(why, Event::Forbidden, None),
            News::Node(event) => match *event {
                NodeEvent::Present(raw) => self.learn(&raw),
                NodeEvent::Absent => self.gone(),
                // The watch reconnects by itself, and the next event ends the trouble.
                NodeEvent::Disconnected(error) => {
                    self.troubled(error.to_string(), self::event(&error), None);
                }
            },
        }
    }

    fn learn(&mut self, raw: &RawNode) {
        match NodeView::parse(raw) {
            Ok(view) => {
                let older = self
                    .view
                    .as_ref()
                    .is_some_and(|known| known.uid == view.uid && is_older(&view, known));
                self.absent = false;
                if older {
                    return self.well();
                }
                let elsewhere = |machine| view.elsewhere(&self.boots, machine);
                match self.machine.and_then(elsewhere) {
                    None => {
                        self.view = Some(view);
                        self.well();
                    }
                    // The other host's agent writes to this Node: the two would undo each other's writes without end.
                    Some(why) => {
                        self.view = None;
                        self.troubled(why, Event::OtherHost, None);
                    }
                }
            }
            Err(error) => self.troubled(error.to_string(), Event::Unreachable, None),
        }
    }

    fn gone(&mut self) {
        self.view = None;
        self.absent = true;
        self.written();
        self.well();
    }

    /// Handles an answer of the API server: the trouble is over, unless there is a pause.
    fn well(&mut self) {
        if self.retry_at.is_some() {
            return;
        }
        self.trouble = None;
        // A successful read says nothing about writes.
        if !self.unwritten && self.logged.take().is_some() {
            info!(
                message_id = Event::Back.id(),
                "the API server answers again"
            );
        }
    }

    fn troubled(&mut self, why: String, event: Event, retry_at: Option<Instant>) {
        if self.logged.as_ref() != Some(&why) {
            self.logged = Some(why.clone());
            match event {
                Event::OtherHost => error!(
                    message_id = event.id(),
                    "nothing is done for the Node, nor written to it: {why}"
                ),
                _ => warn!(
                    message_id = event.id(),
                    "the Node can't be read or written for now: {why}"
                ),
            }
        }
        self.trouble = Some(why);
        self.retry_at = retry_at;
    }

    /// Notes that the Node shows everything that was to be written.
    fn written(&mut self) {
        (self.failures, self.conflicts, self.unwritten) = (0, 0, false);
        self.refused = None;
    }

    /// Handles a failed call: read again, or pause.
    fn failed(&mut self, error: &ApiError) {
        self.outdated = true;
        // Not all nodes at once, and not earlier than the API server asked for.
        let spread = |least, pause| Some(Instant::now() + scattered(pause, least));
        let after = |pause| spread(0.75, pause);
        let longer = |first: Duration, before: u32| {
            Doubling::new(first, PAUSES[1]).pause(before.saturating_add(1))
        };
        let at = match error.retry_class() {
            Retry::Reread => {
                debug!(%error, "reading again");
                self.retry_at = after(longer(CONFLICT, self.conflicts));
                self.conflicts = self.conflicts.saturating_add(1);
                return;
            }
            Retry::Later(Some(pause)) => spread(1.0, pause.min(LONGEST_ASKED)),
            Retry::Denied => after(PAUSES[1]),
            Retry::Later(None) | Retry::Credentials => {
                self.failures = self.failures.saturating_add(1);
                after(longer(PAUSES[0], self.failures))
            }
        };
        let why = match error.admission() {
            Some(by) => format!("{error}. {}", by.remedy()),
            None => error.to_string(),
        };
        self.troubled(why, event(error), at);
    }

    /// Whether the pause after a failed call is not over.
    fn pauses(&self) -> bool {
        self.retry_at.is_some_and(|at| Instant::now() < at)
    }

    /// Reads the Node if a call failed and the pause is over.
    pub async fn refresh(&mut self, source: &ClientSource) {
        let Some(name) = self
            .name
            .clone()
            .filter(|_| self.outdated && !self.pauses())
        else {
            return;
        };
        self.retry_at = None;
        self.outdated = false;
        self.read(source, &name).await;
    }

    async fn read(&mut self, source: &ClientSource, name: &NodeName) -> bool {
        match get_node(source, name.as_str(), &Keep::default()).await {
            Ok(Some(raw)) => {
                self.found(&raw);
            }
            Ok(None) => self.gone(),
            Err(error) => {
                self.failed(&error);
                return false;
            }
        }
        true
    }

    /// Processes a Node that was read.
    fn found(&mut self, raw: &RawNode) {
        self.view = None; // a live read is never older
        if !self.unwritten {
            self.failures = 0;
        }
        self.learn(raw);
    }

    /// Reads the Node from the API server itself; `None` if that fails.
    pub async fn confirm(&mut self, source: &ClientSource) -> Option<NodeSeen> {
        let name = self.name.clone()?;
        if !self.read(source, &name).await {
            return None;
        }
        Some(match self.seen() {
            NodeSeen::Present { view, .. } => NodeSeen::Present { view, live: true },
            other => other,
        })
    }

    /// Writes `want`, provided that the Node has not changed since it was read; `false` if that has to wait for a pause. `reported` is
    /// the note of the reason in it, kept once that is written.
    pub async fn publish(
        &mut self,
        source: &ClientSource,
        want: &Published,
        reported: Reported,
    ) -> bool {
        if self.pauses() {
            return false;
        }
        let (Some(name), Some(view)) = (&self.name, &self.view) else {
            return true;
        };
        let Some(patch) = want.patch(view) else {
            self.written();
            self.well();
            return true;
        };
        let known = view.agent.reason.value();
        let another = match &want.reason {
            Some(reason) => known.is_none_or(|known| known != reason),
            None => known.is_some(),
        };
        match patch_node(source, name.as_str(), &patch, &Keep::default(), WRITE).await {
            Ok(raw) => {
                self.written();
                if another {
                    self.reported = Some(reported);
                }
                self.learn(&raw);
                // Writing the same again and again would not help.
                if self
                    .view
                    .as_ref()
                    .is_some_and(|view| want.patch(view).is_some())
                {
                    let why = "the API server took what was written to the Node, but does not keep it; see its admission webhooks";
                    self.outdated = true;
                    let again = Some(Instant::now() + PAUSES[1]);
                    self.troubled(why.into(), Event::Forbidden, again);
                }
            }
            Err(error) => {
                // Only a successful write ends the pauses: the read between two tries does not.
                self.unwritten = error.retry_class() != Retry::Reread;
                self.refused = refusal(&error);
                self.failed(&error);
            }
        }
        true
    }

    /// Handles another call that the API server did not answer. Calls that are in flight together fail for one cause, which counts once.
    pub fn call_failed(&mut self, error: &ApiError) {
        if !self.pauses() {
            self.failed(error);
        }
    }
}

/// The reason to report if the API server refuses a write, with who refused it.
fn refusal(error: &ApiError) -> Option<Reason> {
    let text = match (error.admission(), error.retry_class()) {
        (Some(by), _) => format!("{by} ({error})"),
        (None, Retry::Denied) => error.to_string(),
        (None, _) => return None,
    };
    Some(Reason::new(Code::WriteRefused, text))
}

/// The journal event for a failed call.
pub fn event(error: &ApiError) -> Event {
    match error {
        ApiError::Credentials(_) | ApiError::Unauthorized { .. } => Event::Rejected,
        ApiError::Forbidden { .. } => Event::Forbidden,
        _ => Event::Unreachable,
    }
}

/// Whether `found` is an older version of the object than `known`. Versions are increasing numbers (official since Kubernetes 1.35). If
/// they are not, nothing counts as older, and the API server refuses a write based on an old version anyway.
fn is_older(found: &NodeView, known: &NodeView) -> bool {
    let number = |view: &NodeView| view.resource_version.parse::<u64>().ok();
    matches!((number(found), number(known)), (Some(found), Some(known)) if found < known)
}

#[cfg(test)]
mod tests;
