//! Looking for updates, beside the loop.

use cuo_cluster::rights::server_version;
use cuo_core::host::{Deployment, Host};
use cuo_core::reason::{Attribute, Code, Reason};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::agent::Agent;
use super::done::{Done, send};
use super::kubelet::Question;
use crate::config::KubeletSkew;
use crate::journal::Event;
use crate::look::{self, Ended, Look, Looked};
use crate::rpmostree::{Checked, Error, Pin, Staged};

impl Agent {
    /// Begins a look, which stages what it finds if `stage` says so.
    pub(super) fn look(&mut self, stage: bool) {
        // A look is decided on what the host has, so both are known.
        let (Ok(host), Some(follows)) = (self.host.known().clone(), self.host.follows()) else {
            return;
        };
        let look = Look {
            root: self.host.root().to_owned(),
            client: self.host.client().clone(),
            host,
            follows: follows.clone(),
            assigned: self.state.assigned.clone(),
            preference: self.config.release.preference(),
            graph: self.config.graph.clone(),
            failed: self.state.failed.ids().collect(),
            stage,
        };
        let done = self.done.clone();
        self.host.stage_started();
        tokio::spawn(async move {
            let looked = look.run(progress(&done)).await;
            send(&done, Done::Looked(looked.into())).await;
        });
    }

    /// Takes in what a look came to.
    pub(super) fn looked(&mut self, looked: Looked) {
        // What was cut off, or came together with somebody else's work, may have staged something nevertheless: what is there then tells.
        let open = match &looked.ended {
            Ok(Ended::Staged(staged)) => matches!(**staged, Staged::Foreign { .. }),
            Err(look::Error::RpmOstree(Error::Lost { .. } | Error::Timeout { .. })) => true,
            Ok(Ended::Checked(_) | Ended::Nothing(_)) | Err(_) => false,
        };
        let (result, ours) = match looked.ended {
            Ok(Ended::Staged(staged)) => {
                let (reason, ours) = reported(*staged);
                if ours.is_some() {
                    self.counts.download();
                }
                (Ok(reason), ours)
            }
            Ok(Ended::Checked(checked)) => (Ok(found(checked)), None),
            Ok(Ended::Nothing(reason)) => (Ok(reason), None),
            Err(error) => (Err(error), None),
        };
        // A look can succeed, and find that this host gets no updates as it is.
        let failed = match &result {
            Ok(reason) => reason.as_ref().map(|reason| reason.code).filter(fails),
            Err(error) => Some(error.code()),
        };
        self.counts.look(failed);
        let retry = self.settings.retry;
        let mut state = self.state.clone();
        if result.is_ok() {
            self.host.follow(looked.following);
        }
        if failed.is_none() {
            state.looked = Some(self.clock.now().time);
        }
        self.host.look_ended(result, &self.config.check, &retry);
        if !open {
            state.staging = None;
            state.ours = ours.or(state.ours);
        }
        if state == self.state {
            return;
        }
        let looked = state.looked;
        if let Err(error) = self.save(state) {
            // The next decision finds out by what is there, and saves when the look was.
            warn!("the result of the look can't be saved: {error:#}");
            self.state.looked = looked;
        }
    }

    /// The host and its pending update, if the kubelet that it brings matters.
    pub(super) fn compared(&self) -> Option<(&Host, &Deployment)> {
        if self.config.release.kubelet_skew == KubeletSkew::Ignore {
            return None;
        }
        let host = self.host.known().as_ref().ok()?;
        Some((host, host.pending.as_ref()?))
    }

    /// Asks for what is not known yet of the kubelet that the pending update brings.
    pub(super) fn compare_kubelets(&mut self) {
        let Some((host, pending)) = self.compared() else {
            return;
        };
        let Some(question) = self.kubelet.question(&pending.id) else {
            return;
        };
        let done = self.done.clone();
        match question {
            Question::Packages => {
                let (from, to) = (host.booted.id.clone(), pending.id.clone());
                let client = self.host.client().clone();
                tokio::spawn(async move {
                    let packages = client.brings(&from, &to).await.unwrap_or_else(|error| {
                        debug!(%error, "what the update brings is not known");
                        Vec::new()
                    });
                    send(&done, Done::Brings(to, packages)).await;
                });
            }
            Question::Server => {
                let source = self.source.clone();
                tokio::spawn(async move {
                    let version = server_version(&source).await;
                    let version = version.inspect_err(|error| debug!(%error, "no version"));
                    send(&done, Done::Serves(version.ok())).await;
                });
            }
        }
        self.kubelet.asks();
    }
}

/// The code stands for a look that failed.
fn fails(code: &Code) -> bool {
    code.is(Attribute::FailsLook)
}

/// Logs what a run came to; gives what is to be reported of it, and the id of a newly staged deployment.
fn reported(staged: Staged) -> (Option<Reason>, Option<String>) {
    match staged {
        Staged::New {
            deployment,
            replaced,
        } => {
            let instead = replaced.map(|old| format!(" in place of {}", old.version));
            info!(
                message_id = Event::Staged.id(),
                cuo_version = deployment.version,
                cuo_identity = %deployment.identity,
                "staged {} ({}){}",
                deployment.version,
                deployment.identity.short(),
                instead.unwrap_or_default()
            );
            return (None, Some(deployment.id));
        }
        Staged::NoUpdate {
            unstaged: Some(version),
        } => {
            let text = format!(
                "rpm-ostree knows of version {version}, reports success and staged nothing"
            );
            warn!(
                message_id = Event::NotStaged.id(),
                cuo_version = version,
                "{text}"
            );
            return (Some(Reason::new(Code::NothingStaged, text)), None);
        }
        Staged::NoUpdate { unstaged: None } => info!("no update"),
        Staged::Pinned(pin) => return (Some(pinned(&pin)), None),
        Staged::Foreign { .. } => {
            info!("somebody else deployed something in the meantime, which is left as it is")
        }
    }
    (None, None)
}

/// Logs what a check came to; gives what is to be reported of it.
fn found(checked: Checked) -> Option<Reason> {
    match checked {
        Checked::Nothing => None,
        Checked::Update(version) => {
            info!(version, "there is an update");
            let text =
                format!("version {version} is available, and mode = \"check\" stages nothing");
            Some(Reason::new(Code::UpdateAvailable, text))
        }
        Checked::Pinned(pin) => Some(pinned(&pin)),
    }
}

fn pinned(pin: &Pin) -> Reason {
    let text = format!("there will be no update: {pin}");
    warn!(message_id = Event::NotStaged.id(), "{text}");
    Reason::new(Code::OriginUnusable, text)
}

/// Hands lines of progress to the loop. They are for people: where it does not keep up, some are left out.
fn progress(done: &mpsc::Sender<Done>) -> impl FnMut(&str) + Send {
    |line| {
        let _ = done.try_send(Done::Progress(line.to_owned()));
    }
}

#[cfg(test)]
mod tests;
