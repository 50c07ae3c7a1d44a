//! Carries out one act.

use std::collections::BTreeSet;
use std::time::Duration;

use cuo_cluster::evict::{Evicted, ask, remove};
use cuo_cluster::pods::volumes_of;
use cuo_core::agent::{Act, DrainNews, Questions, Reported, VolumesSeen};
use cuo_core::drain::{self, Claim, EvictionTry, How, RawPod, Removal};
use cuo_core::ids::GrantId;
use cuo_core::reason::{Code, Reason};
use cuo_core::time::Tick;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};

use super::agent::Agent;
use super::done::{Done, Said, send};
use crate::journal::Event;
use crate::rpmostree::{Checked, Error, Pin, Staged};

/// Limit for finding the volumes that claims are bound to.
const FIND: Duration = Duration::from_secs(30);

impl Agent {
    /// Carries `act` out; `false` for [`Act::Wait`].
    pub(super) async fn act(&mut self, act: Act, drain: &DrainNews) -> bool {
        match act {
            Act::Wait => return false,
            // The loop reads the Node before this is called, and decides again.
            Act::Confirm => {}
            Act::Publish(_, want) => {
                let reported = Reported {
                    at: self.clock.tick(),
                    reason: want.reason.clone(),
                    blocked: drain.blocked.iter().map(|one| one.pod.clone()).collect(),
                };
                return self.node.publish(&self.source, &want, reported).await;
            }
            Act::Stage => self.stage(),
            Act::Check => self.check(),
            Act::Preflight { grant, pods } => self.preflight(grant, pods),
            Act::Evict(removal) => self.evict(removal),
            Act::FindVolumes(claims) => self.find_volumes(claims).await,
            Act::Finalize(deployment) => self.finalize(deployment),
            Act::RollBack(deployment) => self.roll_back(deployment),
            Act::Reboot => self.reboot().await,
        }
        true
    }

    fn stage(&mut self) {
        let (client, done) = (self.host.client().clone(), self.done.clone());
        let known = self.host.known().clone().ok();
        self.host.stage_started();
        tokio::spawn(async move {
            let result = client.stage(known.as_ref(), progress(&done)).await;
            send(&done, Done::Staged(result)).await;
        });
    }

    fn check(&mut self) {
        let (client, done) = (self.host.client().clone(), self.done.clone());
        self.host.stage_started();
        tokio::spawn(async move {
            let result = client.check(progress(&done)).await;
            send(&done, Done::Checked(result)).await;
        });
    }

    /// Asks in a task whether pods would be evicted.
    fn preflight(&mut self, grant: GrantId, pods: Vec<RawPod>) {
        let at = self.clock.tick();
        let asked = self.preflight.take().filter(|asked| asked.grant == grant);
        let asked = self.preflight.insert(asked.unwrap_or(Questions {
            grant,
            answers: Vec::new(),
        }));
        for pod in pods {
            asked.answers.retain(|known| known.uid != pod.uid);
            asked.answers.push(open(&pod, How::Evict, at));
            let (source, done) = (self.source.clone(), self.done.clone());
            self.calls.spawn(async move {
                let said = ask(&source, &pod, None).await;
                send(&done, Done::Foreseen(grant, pod, said)).await;
            });
        }
    }

    /// Evicts or deletes pods in tasks: a call takes as long as admission webhooks do.
    fn evict(&mut self, removal: Removal) {
        let Some(attempt) = &self.state.attempt else {
            return;
        };
        let (grant, at, how) = (attempt.grant.progress.id, self.clock.tick(), removal.how);
        self.pods.catch_up();
        // Finished calls are not needed any more.
        while self.calls.try_join_next().is_some() {}
        for pod in removal.pods {
            if !self.pods.shows(&pod) {
                continue;
            }
            self.evictions.push(open(&pod, how, at));
            let (source, done) = (self.source.clone(), self.done.clone());
            self.calls.spawn(async move {
                let said = remove(&source, &pod, how, removal.grace).await;
                send(&done, Done::Removed(grant, pod, how, said)).await;
            });
        }
    }

    /// Records whether a pod would be evicted.
    fn foreseen(&mut self, grant: GrantId, pod: &RawPod, said: Said) {
        let answer = self.answer_about(pod, said);
        let asked = self.preflight.as_mut().filter(|asked| asked.grant == grant);
        let open = asked.and_then(|asked| {
            let mut answers = asked.answers.iter_mut();
            answers.find(|known| known.uid == pod.uid)
        });
        if let Some(open) = open {
            (open.at, open.answer) = (self.clock.tick(), answer);
        }
    }

    /// Records the answer to an eviction or deletion.
    fn removed(&mut self, grant: GrantId, pod: &RawPod, how: How, said: Said) {
        let attempt = self.state.attempt.as_ref();
        if attempt.is_none_or(|attempt| attempt.grant.progress.id != grant) {
            return;
        }
        let answer = self.answer_about(pod, said);
        let same = |tried: &EvictionTry| tried.uid == pod.uid && tried.how == how;
        let known = |tried: &&EvictionTry| same(tried) && tried.answer != drain::Answer::Open;
        let before = self.evictions.iter().rfind(known);
        if before.is_none_or(|before| before.answer != answer) {
            tell(pod, how, &answer);
        }
        self.evictions.retain(|tried| !same(tried));
        self.evictions.push(EvictionTry {
            uid: pod.uid.clone(),
            at: self.clock.tick(),
            how,
            answer,
        });
    }

    /// The API server's answer about one pod. If it could not be reached, no other call will succeed either.
    fn answer_about(&mut self, pod: &RawPod, said: Said) -> drain::Answer {
        match said {
            Ok(Evicted::Accepted | Evicted::Gone) => drain::Answer::Accepted,
            Ok(Evicted::Refused { message, .. }) => drain::Answer::Refused(message),
            Err(error) => {
                let name = drain::name(pod);
                warn!(pod = name, "no answer about {name}: {error}");
                self.node.call_failed(&error);
                drain::Answer::Lost
            }
        }
    }

    async fn find_volumes(&mut self, claims: BTreeSet<Claim>) {
        let found = timeout(FIND, volumes_of(&self.source, &claims)).await;
        let volumes = match found {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err("the API server takes too long".to_owned()),
        };
        self.volumes = Some(VolumesSeen {
            claims,
            volumes,
            at: self.clock.tick(),
        });
    }

    /// Processes the result of a task.
    pub(super) fn finished(&mut self, done: Done) {
        // Anything read meanwhile may be older than the result of this.
        if !matches!(done, Done::Progress(_)) {
            self.around.outdated();
        }
        match done {
            Done::Progress(line) => self.host.stage_progress(line),
            Done::Foreseen(grant, pod, said) => self.foreseen(grant, &pod, said),
            Done::Removed(grant, pod, how, said) => self.removed(grant, &pod, how, said),
            Done::Staged(result) => {
                let retry = self.settings.retry;
                // Even an interrupted run, or one that coincided with somebody else's transaction, may have staged something: the
                // deployments will show it.
                let open = matches!(
                    &result,
                    Ok(Staged::Foreign { .. }) | Err(Error::Lost { .. } | Error::Timeout { .. })
                );
                let (result, ours) = reported(result);
                self.host.look_ended(result, &self.config.check, &retry);
                if open {
                    return;
                }
                let mut state = self.state.clone();
                state.staging = None;
                state.ours = ours.or(state.ours);
                if let Err(error) = self.save(state) {
                    // The next decision finds out from what is there.
                    warn!("the result of the run can't be saved: {error:#}");
                }
            }
            Done::Checked(result) => {
                let retry = self.settings.retry;
                let result = result.map(found);
                self.host.look_ended(result, &self.config.check, &retry);
            }
            Done::Asked(id, answer) => self.answered(id, answer),
        }
    }
}

/// The note of a call about `pod` that was just sent.
fn open(pod: &RawPod, how: How, at: Tick) -> EvictionTry {
    EvictionTry {
        uid: pod.uid.clone(),
        at,
        how,
        answer: drain::Answer::Open,
    }
}

/// Logs an answer that differs from the previous one.
fn tell(pod: &RawPod, how: How, answer: &drain::Answer) {
    let name = drain::name(pod);
    match answer {
        drain::Answer::Accepted if how == How::Evict => info!(pod = name, "evicted {name}"),
        drain::Answer::Accepted => {
            warn!(pod = name, "deleted {name}, as the drain's time is over");
        }
        drain::Answer::Refused(why) => info!(pod = name, "{name} does not leave yet: {why}"),
        drain::Answer::Open | drain::Answer::Lost => {}
    }
}

/// Logs the result of a staging run; returns the reason to report, and the id of a newly staged deployment.
fn reported(result: Result<Staged, Error>) -> (Result<Option<Reason>, Error>, Option<String>) {
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
                cuo_version = deployment.version,
                cuo_identity = %deployment.identity,
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
            warn!(
                message_id = Event::NotStaged.id(),
                cuo_version = version,
                "{text}"
            );
            return (Ok(Some(Reason::new(Code::NothingStaged, text))), None);
        }
        Staged::NoUpdate { unstaged: None } => info!("no update"),
        Staged::Pinned(pin) => return (Ok(Some(pinned(&pin))), None),
        Staged::Foreign { .. } => {
            info!("somebody else deployed something in the meantime, which is left as it is")
        }
    }
    (Ok(None), None)
}

/// Logs the result of a check; returns the reason to report.
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

/// Forwards lines of progress to the loop. They are for people: some are dropped if the loop does not keep up.
fn progress(done: &mpsc::Sender<Done>) -> impl FnMut(&str) + Send {
    |line| {
        let _ = done.try_send(Done::Progress(line.to_owned()));
    }
}

#[cfg(test)]
mod tests;
