//! Carries out one act.

use std::collections::BTreeSet;
use std::time::Duration;

use cuo_cluster::evict::{Evicted, ask, remove};
use cuo_cluster::pods::volumes_of;
use cuo_core::agent::{Act, DrainNews, Questions, Reported, VolumesSeen};
use cuo_core::drain::{self, Claim, EvictionTry, How, RawPod, Removal};
use cuo_core::ids::GrantId;
use cuo_core::time::Tick;
use tokio::time::timeout;
use tracing::{info, warn};

use super::agent::Agent;
use super::done::{Done, Said, send};

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
            Act::Stage => self.look(true),
            Act::Check => self.look(false),
            Act::Preflight { grant, pods } => self.preflight(grant, pods),
            Act::Evict(removal) => self.evict(removal),
            Act::FindVolumes(claims) => self.find_volumes(claims).await,
            Act::Finalize(deployment) => self.finalize(deployment),
            Act::RollBack(deployment) => self.roll_back(deployment),
            Act::Reboot => self.reboot().await,
        }
        true
    }

    /// Asks whether pods would be evicted, beside the loop.
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
        // Whatever was looked at meanwhile is as old as what rpm-ostree had not done yet.
        if !matches!(
            done,
            Done::Progress(_) | Done::Serves(_) | Done::Brings(..) | Done::Textfile(_)
        ) {
            self.around.outdated();
        }
        match done {
            Done::Progress(line) => self.host.stage_progress(line),
            Done::Foreseen(grant, pod, said) => self.foreseen(grant, &pod, said),
            Done::Removed(grant, pod, how, said) => self.removed(grant, &pod, how, said),
            Done::Looked(looked) => self.looked(*looked),
            Done::Brings(update, packages) => self.kubelet.brings(update, &packages),
            Done::Serves(version) => self.kubelet.serves(version.as_deref()),
            Done::Asked(id, answer) => self.answered(id, answer),
            Done::Textfile(trouble) => self.textfile.heard(trouble),
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
