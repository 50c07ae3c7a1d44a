//! One turn of the loop: look, decide, save the state, act once.

use std::time::Duration;

use anyhow::Result;
use cuo_core::agent::{Act, Happened, Observation, Staging, Step, Wishes, step, wants_pods};
use cuo_core::host::Deployment;
use cuo_core::ids::ReleaseId;
use cuo_core::node::NodeView;
use cuo_core::reason::{Attribute, Code};
use cuo_core::values::Phase;
use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::{error, warn};

use super::agent::{Agent, Next};
use super::narrate;
use super::textfile::Page;
use crate::answer::{Answer, Looks};
use crate::config::Metered;
use crate::journal::Event;
use crate::metrics::{self, Known};
use crate::steps::Named;
use crate::survey::Further;

/// How often to poll what sends no signals while a decision depends on it: other programs during a drain, inhibitor locks that block.
const LOOK: Duration = Duration::from_secs(2);
/// How often to poll units, and other things without signals, while they hold updates.
const LOOK_AROUND: Duration = Duration::from_secs(30);

/// Lets a test stop the agent at this moment of a step.
async fn gate(moment: &str, step: Option<Named>) {
    if let Some(step) = step {
        cuo_telemetry::gate::gate(&step.gate(moment)).await;
    }
}

impl Agent {
    /// Looks, decides, saves the state, and acts once.
    pub(super) async fn turn(&mut self) -> Result<Next> {
        if self.shutting_down {
            // Anything started now would be cut off. If the shutdown is cancelled, logind signals that.
            self.notify.status("the host is shutting down");
            return Ok(Next::Wait(None));
        }
        self.try_again()?;
        self.node.refresh(&self.source).await;
        self.host.refresh().await;
        self.compare_kubelets();
        let wanted = self.wants_pods();
        self.pods.want(wanted, &self.source, self.node.name());
        self.pods.catch_up();
        let needed = self.needs_look();
        self.look_around(needed).await;
        let seen = self.observe().await;
        self.pods_unseen &= !seen.marked();
        let decision = step(&self.state, &seen, &self.settings, self.clock.now());
        let decision = match decision.act {
            Act::Confirm => self.confirm(seen).await,
            _ => Some(decision),
        };
        let next = match decision {
            Some(decision) => self.carry_out(decision).await,
            None => Ok(Next::Again),
        };
        // An unused preparation would keep rpm-ostreed running.
        self.host.take_ready();
        next
    }

    /// Decides again, from a last look. `None` if the Node is not known.
    async fn confirm(&mut self, mut seen: Observation) -> Option<Step> {
        gate("decided", Some(Named::Confirm)).await;
        // logind compares nothing, so its target is checked as late as possible.
        self.host.make_ready().await;
        seen.host = self.host.known().clone();
        self.around.outdated();
        self.look_around(true).await;
        seen.survey = self.around.known().clone();
        // The Node last, because the host may take minutes to answer.
        seen.node = self.node.confirm(&self.source).await?;
        let now = self.clock.now();
        Some(step(&self.state, &seen, &self.settings, now))
    }

    /// Looks at what else runs on the host, if that is `needed` or has changed.
    async fn look_around(&mut self, needed: bool) {
        let heed = self.config.check.metered == Metered::Wait && self.host.check_by_itself();
        let drivers = self.config.drivers.names();
        let further = Further {
            required: &self.settings.health.units,
            drivers: &drivers,
            sentinel: self.config.reboot.sentinel.as_ref(),
        };
        self.around.refresh(needed, further, heed).await;
    }

    async fn carry_out(&mut self, decision: Step) -> Result<Next> {
        let step = Named::of(&decision.act);
        gate("decided", step).await;
        let before = self.state.clone();
        if decision.state != before
            && let Err(error) = self.save(decision.state.clone())
        {
            if !before.gives_up(&decision.state) {
                // The decision is not reported, because it is not carried out.
                return self.unsaved(error);
            }
            // Only the disk is in the way, and the node would stay cordoned meanwhile. The answer on the Node serves as the record.
            error!(
                message_id = Event::StateUnusable.id(),
                "the state can't be written, so only the Node will show that the grant is given up: {error:#}"
            );
            self.put(decision.state.clone());
        }
        self.show(&decision);
        let again = |happened: &Happened| matches!(happened, Happened::TriesAgain(_));
        if decision.happened.iter().any(again) {
            self.host.check_asked();
        }
        gate("before", step).await;
        let wake = decision.wake;
        let acted = self.act(decision.act, &decision.drain).await;
        gate("after", step).await;
        Ok(if acted {
            Next::Again
        } else {
            Next::Wait(self.wake(wake))
        })
    }

    /// When to look again at the latest.
    fn wake(&self, decided: Option<SignedDuration>) -> Option<Instant> {
        let decided = decided.map(|left| Instant::now() + left.unsigned_abs());
        let code = self.shown_code();
        let verifies = matches!(&self.shown, Some((Phase::Verifying, Some(_))));
        let look = if self.draining() || code == Some(Code::Inhibited) || verifies {
            Some(LOOK)
        } else {
            polled(code).then_some(LOOK_AROUND)
        };
        let look = look.map(|pause| Instant::now() + pause);
        let retries = [self.node.retry_at(), self.memory.retry_at()];
        let kubelet = self
            .compared()
            .and_then(|(_, pending)| self.kubelet.wake(&pending.id));
        [decided, look, self.host.wake(), kubelet]
            .into_iter()
            .chain(retries)
            .flatten()
            .min()
    }

    fn shown_code(&self) -> Option<Code> {
        let (_, reason) = self.shown.as_ref()?;
        reason.as_ref().map(|reason| reason.code)
    }

    /// Whether a decision depends on what else runs on the host.
    fn needs_look(&self) -> bool {
        let granted = |view: &NodeView| !view.operator.grant.is_absent();
        let open = self.state.staging.is_some() && self.host.staging() == Staging::Idle;
        open || self.host.check_due()
            || self.state.attempt.is_some()
            || self.node.view().is_some_and(granted)
            || polled(self.shown_code())
    }

    fn wants_pods(&self) -> bool {
        self.pods_unseen || self.drains()
    }

    fn drains(&self) -> bool {
        wants_pods(
            &self.state,
            self.node.view(),
            &self.boot,
            self.asked.as_ref(),
        )
    }

    fn draining(&self) -> bool {
        let attempt = self.state.attempt.as_ref();
        attempt.is_some_and(|attempt| attempt.grant.progress.boot == self.boot) && self.drains()
    }

    /// The deployment that a granted reboot would boot.
    fn wanted(&self) -> Option<&Deployment> {
        let host = self.host.known().as_ref().ok()?;
        let wishes = Wishes {
            state: &self.state,
            health: &self.settings.health,
            node: self.node.view(),
            boot: &self.boot,
            survey: self.around.known().as_ref().ok(),
        };
        wishes.target(host)
    }

    /// That deployment for people, and its release id.
    fn target(&self) -> Option<(String, ReleaseId)> {
        let wanted = self.wanted()?;
        let text = format!("{} ({})", wanted.version, wanted.identity.short());
        Some((text, wanted.identity))
    }

    async fn observe(&mut self) -> Observation {
        let inhibitors = if self.wanted().is_some() {
            self.logind.inhibitors().await
        } else {
            Ok(Vec::new())
        };
        Observation {
            boot: self.boot,
            uptime: self.host.uptime(),
            host: self.host.known().clone(),
            busy: self.host.busy(),
            node: self.node.seen(),
            pods: self.pods.known(),
            preflight: self.preflight.clone(),
            evictions: self.evictions.clone(),
            volumes: self.volumes.clone(),
            reported: self.node.reported().cloned(),
            inhibitors: inhibitors.map_err(|error| error.to_string()),
            survey: self.around.known().clone(),
            system: self.host.labels(self.node.view()),
            staging: self.host.staging(),
            check_due: self.host.check_due(),
            looked: self.host.looked().cloned(),
            skew: self.kubelet.skew(),
            following: self.host.following().cloned(),
            asked: self.asked.clone(),
        }
    }

    /// Reports `decision` to the journal and to systemd.
    fn show(&mut self, decision: &Step) {
        let (node, target) = (self.node.view(), self.target());
        let named = target.as_ref().map(|(named, _)| &**named);
        let mut now = decision.clone();
        if let Some(refused) = self.node.refused() {
            now.reason = Some(refused.clone());
            self.announcer.refused(refused, &self.source, node);
        }
        let line = narrate::status(&now, named, self.host.progress());
        self.notify.status(&line);
        for entry in narrate::news(decision, &self.shown, target) {
            entry.tell();
            self.announcer.tell(&entry, decision, &self.source, node);
        }
        for happened in &decision.happened {
            if let Happened::Answered(answer) = happened {
                self.counts.answer(answer.result.outcome);
            }
        }
        self.shown = narrate::shown(decision);
        self.answer(&now);
    }

    /// Updates the answer for `cuo-agent status`, if it has changed.
    fn answer(&mut self, decision: &Step) {
        let (node, before) = (self.node.view(), self.answer.as_ref());
        let looks = Looks {
            check: self.host.check().clone(),
            looks: self.host.looks().clone(),
            asks_again: self.host.asks_again(),
            release: self.host.following().cloned(),
        };
        let answer = Answer {
            textfile: self.textfile.trouble().map(str::to_owned),
            ..Answer::of(decision, &self.settings, node, looks, before)
        };
        self.measure(&answer);
        if before == Some(&answer) {
            return;
        }
        if let Err(error) = self.store.write_answer(&answer) {
            warn!("`cuo-agent status` will not show the current state: {error:#}");
        }
        self.answer = Some(answer);
    }

    /// Has the metrics written where that is configured and they have changed.
    fn measure(&self, answer: &Answer) {
        let path = self.config.metrics.textfile.below(self.host.root());
        let known = Known {
            version: &answer.version,
            phase: answer.phase,
            since: answer.since,
            reason: answer.reason.as_ref().map(|reason| reason.code),
            looked: self.state.looked,
            daemon_up: self.host.known().is_ok(),
            counts: &self.counts,
        };
        let page = path.map(|path| Page {
            path,
            text: metrics::text(&known),
        });
        self.textfile.want(page);
    }
}

/// Whether the reason ends without a signal: with a change of units, of the network, or of what a reboot would do.
fn polled(code: Option<Code>) -> bool {
    code.is_some_and(|code| code.is(Attribute::Polled))
}
