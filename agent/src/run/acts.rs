//! Carrying one act out.

use cuo_cluster::evict::{Evicted, evict};
use cuo_core::agent::{Act, Asked};
use cuo_core::drain::{self, EvictionTry, RawPod};
use cuo_core::host::Deployment;
use cuo_core::identity::GrantId;
use cuo_core::node::{NodeView, Published};
use cuo_core::reason::{Code, Reason};
use cuo_core::values::Phase;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Agent;
use crate::journal::Event;
use crate::rpmostree::{Error, Staged};

/// What a task that ran beside the loop came to.
pub enum Done {
    /// A line of progress of staging.
    Progress(String),
    /// Staging ended.
    Staged(Result<Staged, Error>),
    /// A check ended, with the version of an update.
    Checked(Result<Option<String>, Error>),
    /// A finalization was refused.
    Refused {
        /// For which grant it was asked.
        id: GrantId,
        /// rpm-ostree's words.
        why: String,
    },
}

/// A named step, for tests that cut the agent off there.
pub async fn gate(moment: &str, name: &str) {
    cuo_telemetry::gate::gate(&format!("agent-{moment}-{name}")).await;
}

/// What an act is called, by what it changes.
pub fn name(act: &Act, node: Option<&NodeView>) -> &'static str {
    match act {
        Act::Wait => "wait",
        Act::Stage => "stage",
        Act::Check => "check",
        Act::Evict(_) => "evict",
        Act::Confirm => "confirm",
        Act::Finalize(_) => "finalize",
        Act::Reboot => "reboot",
        Act::Publish(want) => node.map_or("publish", |node| published(want, node)),
    }
}

fn published(want: &Published, node: &NodeView) -> &'static str {
    let agent = &node.agent;
    if want.result.is_some() && want.result.as_ref() != agent.result.value() {
        "release"
    } else if want.progress.is_some() && want.progress.as_ref() != agent.progress.value() {
        "accept"
    } else if want.owned.is_some() && want.owned.as_ref() != agent.owned.value() {
        "cordon"
    } else {
        match want.status.phase {
            Phase::Rebooting => "rebooting",
            Phase::Verifying => "verifying",
            _ => "publish",
        }
    }
}

impl Agent {
    /// Carries `act` out; `false` if it was to wait.
    pub(super) async fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Wait => return false,
            // The loop reads the Node before it comes here, and decides anew.
            Act::Confirm => {}
            Act::Publish(want) => self.node.publish(&self.source, &want).await,
            Act::Stage => self.stage(),
            Act::Check => self.check(),
            Act::Evict(pods) => self.evict(&pods).await,
            Act::Finalize(deployment) => self.finalize(deployment),
            Act::Reboot => self.reboot().await,
        }
        true
    }

    fn stage(&mut self) {
        let (client, done) = (self.host.client().clone(), self.done.clone());
        let known = self.host.known().clone().ok();
        self.host.stage_started();
        tokio::spawn(async move {
            // Progress is for people: where the loop does not keep up, lines are left out.
            let line = |line: &str| {
                let _ = done.try_send(Done::Progress(line.to_owned()));
            };
            let result = client.stage(known.as_ref(), line).await;
            send(&done, Done::Staged(result)).await;
        });
    }

    fn check(&mut self) {
        let (client, done) = (self.host.client().clone(), self.done.clone());
        self.host.stage_started();
        tokio::spawn(async move {
            let line = |line: &str| {
                let _ = done.try_send(Done::Progress(line.to_owned()));
            };
            let result = client.check(line).await;
            send(&done, Done::Checked(result)).await;
        });
    }

    async fn evict(&mut self, pods: &[RawPod]) {
        for pod in pods {
            let refused = match evict(&self.source, pod).await {
                Ok(Evicted::Accepted | Evicted::Gone) => None,
                Ok(Evicted::Refused { message, .. }) => Some(message),
                Err(error) => {
                    warn!(
                        pod = drain::name(pod),
                        "the eviction of {} failed: {error}",
                        drain::name(pod)
                    );
                    self.node.eviction_failed(&error);
                    return;
                }
            };
            let pod_name = drain::name(pod);
            match &refused {
                None => info!(pod = pod_name, "evicted {pod_name}"),
                Some(why) => info!(pod = pod_name, "{pod_name} may not be evicted yet: {why}"),
            }
            self.evictions.retain(|tried| tried.uid != pod.uid);
            self.evictions.push(EvictionTry {
                uid: pod.uid.clone(),
                at: Timestamp::now(),
                refused,
            });
        }
    }

    /// The id of the grant that is being acted on, and the note that a reboot is asked for because of it.
    fn ask(&mut self) -> Option<GrantId> {
        let id = self.state.attempt.as_ref()?.progress.id;
        let before = self.asked.take().filter(|asked| asked.id == id);
        self.asked = Some(match before {
            Some(asked) => Asked {
                again: Some(Timestamp::now()),
                ..asked
            },
            None => Asked {
                id,
                at: Timestamp::now(),
                again: None,
                refused: None,
            },
        });
        Some(id)
    }

    fn finalize(&mut self, deployment: Deployment) {
        let Some(id) = self.ask() else { return };
        info!(
            message_id = Event::RebootAsked.id(),
            phase = %Phase::Rebooting,
            grant = %id,
            identity = %deployment.identity,
            "asks rpm-ostree to finalize {} ({}) and to reboot",
            deployment.version,
            deployment.identity.short()
        );
        let (client, done) = (self.host.client().clone(), self.done.clone());
        tokio::spawn(async move {
            match client.finalize(&deployment).await {
                // Whether the host reboots is for the boot id to tell.
                Ok(()) => info!("rpm-ostree has finalized and reboots"),
                Err(error @ (Error::Lost { .. } | Error::Timeout { .. } | Error::Rebooting)) => {
                    warn!("whether rpm-ostree reboots is not known, and waited for: {error}");
                }
                Err(error) => {
                    send(
                        &done,
                        Done::Refused {
                            id,
                            why: error.to_string(),
                        },
                    )
                    .await
                }
            }
        });
    }

    async fn reboot(&mut self) {
        let Some(id) = self.ask() else { return };
        let identity = self.state.attempt.as_ref();
        let identity = identity.map(|attempt| attempt.progress.identity.to_string());
        info!(
            message_id = Event::RebootAsked.id(),
            phase = %Phase::Rebooting,
            grant = %id,
            identity,
            "asks logind to reboot"
        );
        if let Err(error) = self.logind.reboot().await {
            warn!("logind does not reboot: {error}");
            if let Some(asked) = self.asked.as_mut().filter(|asked| asked.again.is_none()) {
                asked.refused = Some(error.to_string());
            }
        }
    }

    /// Takes the result of a task in.
    pub(super) fn finished(&mut self, done: Done) {
        match done {
            Done::Progress(line) => self.host.stage_progress(line),
            Done::Staged(result) => {
                let retry = self.settings.retry;
                let (result, ours) = told(result);
                self.host.look_ended(result, &self.config.check, &retry);
                let Some(id) = ours else { return };
                let mut state = self.state.clone();
                state.ours = Some(id);
                if let Err(error) = self.save(state) {
                    // Then it counts as somebody else's: rebooted into as it stands, and not replaced before.
                    warn!("that the update is the agent's own can't be written down: {error:#}");
                }
            }
            Done::Checked(result) => {
                let retry = self.settings.retry;
                let available = |version: String| {
                    info!(version, "there is an update");
                    let text = format!(
                        "version {version} is available, and mode = \"check\" stages nothing"
                    );
                    Reason::new(Code::UpdateAvailable, text)
                };
                let result = result.map(|version| version.map(available));
                self.host.look_ended(result, &self.config.check, &retry);
            }
            Done::Refused { id, why } => {
                self.host.outdated();
                if let Some(asked) = self.asked.as_mut().filter(|asked| asked.id == id) {
                    asked.refused = Some(why);
                }
            }
        }
    }
}

/// Logs what a run came to; gives what is to be told of it, and the id of a newly staged deployment.
fn told(result: Result<Staged, Error>) -> (Result<Option<Reason>, Error>, Option<String>) {
    let staged = match result {
        Ok(staged) => staged,
        Err(error) => return (Err(error), None),
    };
    match staged {
        Staged::New {
            deployment,
            replaced,
        } => {
            let instead = replaced.map(|old| format!(" in place of {}", old.version));
            info!(
                message_id = Event::Staged.id(),
                version = deployment.version,
                identity = %deployment.identity,
                "staged {} ({}){}",
                deployment.version,
                deployment.identity.short(),
                instead.unwrap_or_default()
            );
            return (Ok(None), Some(deployment.id));
        }
        Staged::NoUpdate {
            unstaged: Some(version),
        } => {
            let text = format!(
                "rpm-ostree knows of version {version}, reports success and staged nothing"
            );
            warn!(message_id = Event::NotStaged.id(), version, "{text}");
            return (Ok(Some(Reason::new(Code::NothingStaged, text))), None);
        }
        Staged::NoUpdate { unstaged: None } => info!("no update"),
        Staged::Pinned { why } => {
            let text = format!("there will be no update: rpm-ostree says {why:?}");
            warn!(message_id = Event::NotStaged.id(), "{text}");
            return (Ok(Some(Reason::new(Code::OriginUnusable, text))), None);
        }
        Staged::Foreign { .. } => {
            info!("somebody else deployed something in the meantime, which is left as it is")
        }
    }
    (Ok(None), None)
}

/// Sends to the loop; when it is gone, the process is ending.
async fn send(done: &mpsc::Sender<Done>, result: Done) {
    let _ = done.send(result).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026.1 did so for every image.
    #[test]
    fn success_without_a_staged_update_is_told() {
        let unstaged = |version: Option<&str>| {
            let unstaged = version.map(str::to_owned);
            told(Ok(Staged::NoUpdate { unstaged }))
        };
        let (result, ours) = unstaged(Some("43.1"));
        let reason = result.unwrap().unwrap();
        assert_eq!((reason.code, ours), (Code::NothingStaged, None));
        assert!(reason.message.contains("43.1"), "{reason}");
        assert_eq!(unstaged(None), (Ok(None), None));
        let why = "Pinned to commit; no upgrade available".to_owned();
        let (result, ours) = told(Ok(Staged::Pinned { why }));
        let reason = result.unwrap().unwrap();
        assert_eq!((reason.code, ours), (Code::OriginUnusable, None));
        assert!(reason.message.contains("Pinned to commit"), "{reason}");
        let busy = || Error::Busy { who: "x".into() };
        assert_eq!(told(Err(busy())), (Err(busy()), None));
    }
}
