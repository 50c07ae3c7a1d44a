//! The agent's decision: observations go in, one act with its reason comes out.
//!
//! [`step`] is level-triggered: it depends on the current state only, not on how that came about. So every act can be repeated, and the
//! agent may be killed between any two. The loop around it writes [`State`] to disk if it changed, carries out the one [`Act`], observes
//! again, and calls [`step`] again.
//!
//! A decision moves between the stages of an attempt (`stage/`) along [`TRANSITIONS`], until one of them yields an act. Each stage is a
//! function of the facts alone; this module applies its result to the state.

mod again;
mod decision;
mod drain;
mod ending;
mod facts;
mod health;
mod holds;
mod left;
mod looks;
mod lost;
mod preflight;
mod publish;
mod remember;
mod rollback;
mod seen;
mod settings;
mod stage;
mod staging;
pub mod state;
mod target;
#[cfg(test)]
mod tests;
mod transitions;

use crate::ids::BootId;
use crate::node::NodeView;
use crate::reason::{Code, Reason};
use crate::time::{Now, Time};
use crate::values::Phase;

pub use decision::{Act, Answered, DrainNews, Happened, Says, Step};
pub use seen::{Asked, NodeSeen, Observation, Questions, Reported, Staging, VolumesSeen};
pub use settings::{Health, Settings, StateTrouble};
pub use target::Wishes;
pub use transitions::{Place, Rest, TRANSITIONS, Transition};

use ending::Ending;
use facts::{Facts, SECOND};
use stage::{Show, delaying, draining, rebooting, rest, verifying};
use state::{Attempt, Request, Stage, State};

/// The most places that one decision can pass through: an attempt that ends leads to rest, and no decision leaves rest again.
const LONGEST: usize = 8;

/// Whether the next step depends on the pods of this node: a grant is to be answered, the node is being drained, the reboot has yet to be
/// requested, or pods have to be Ready for the node to be healthy.
pub fn wants_pods(
    state: &State,
    node: Option<&NodeView>,
    boot: &BootId,
    asked: Option<&Asked>,
) -> bool {
    let marked = node.is_some_and(|node| !node.agent.control_plane_pods.is_empty());
    let Some(attempt) = &state.attempt else {
        let unhealthy = state.unhealthy.as_ref();
        if unhealthy.is_some_and(|unhealthy| marked || unhealthy.pods.daemon_sets_ready) {
            return true;
        }
        let grant = node.and_then(|node| node.operator.grant.value());
        let answered = state.result.as_ref().map(|result| result.id);
        return grant.is_some_and(|grant| grant.boot == *boot && Some(grant.id) != answered);
    };
    let progress = &attempt.grant.progress;
    match attempt.stage {
        _ if progress.boot != *boot => marked || attempt.grant.pods.daemon_sets_ready,
        Stage::Verifying { .. } => marked || attempt.grant.pods.daemon_sets_ready,
        Stage::Draining | Stage::Delaying { .. } => true,
        Stage::Rebooting { .. } => {
            let goes = |asked: &Asked| asked.id == progress.id && asked.busy.is_none();
            !asked.is_some_and(goes)
        }
    }
}

/// Decides what to do next. The wall clock in `now` is trusted for deadlines only, never for what has happened.
pub fn step(state: &State, seen: &Observation, settings: &Settings, now: Now) -> Step {
    let mut turn = Turn {
        state: state.clone(),
        seen,
        settings,
        now,
        drain: DrainNews::default(),
        happened: vec![],
        course: vec![],
        booted: false,
        again: None,
    };
    match &settings.state_unusable {
        None => {}
        Some(StateTrouble::Unreadable(why)) => {
            return turn.excused(Phase::Held, Reason::new(Code::StateUnreadable, why));
        }
        Some(StateTrouble::Unwritten(why)) => {
            let phase = turn.phase();
            return turn.excused(phase, Reason::new(Code::StateUnwritable, why));
        }
    }
    turn.state = turn.facts().remembered();
    let retried = turn.facts().with(state).retry().cloned();
    turn.happened.extend(retried.map(Happened::TriesAgain));
    for _ in 0..LONGEST {
        if let Some(show) = turn.goes_on() {
            return turn.shown(show);
        }
    }
    turn.restless()
}

/// One decision in the making.
struct Turn<'a> {
    state: State,
    seen: &'a Observation,
    settings: &'a Settings,
    now: Now,
    drain: DrainNews,
    happened: Vec<Happened>,
    course: Vec<Place>,
    /// The host was found to have booted since the grant was accepted.
    booted: bool,
    /// The reboot request that had no effect, while the drain is checked once more. It stays in the state that is saved, since a
    /// restarted agent has to know that the reboot was requested.
    again: Option<Request>,
}

impl Turn<'_> {
    fn facts(&self) -> Facts<'_> {
        Facts {
            state: &self.state,
            seen: self.seen,
            settings: self.settings,
            now: self.now.time,
            tick: self.now.tick,
        }
    }

    /// Moves to the next place, or returns `Some` with what to show and do in this one.
    fn goes_on(&mut self) -> Option<Show> {
        let Some(attempt) = self.state.attempt.clone() else {
            return self.rests();
        };
        match attempt.stage.clone() {
            Stage::Verifying { asked, good } => self.verifies(&attempt, asked, Some(good)),
            stage if self.booted => self.verifies(&attempt, stage.request().cloned(), None),
            Stage::Draining => self.drains(&attempt),
            Stage::Delaying { since } => self.delays(&attempt, since),
            Stage::Rebooting { request, drained } => self.reboots(&attempt, request, drained),
        }
    }

    fn rests(&mut self) -> Option<Show> {
        self.state = self.facts().remembered_at_rest();
        let (place, next) = rest::next(&self.facts());
        self.visits(Place::Rest(place));
        match next {
            rest::Next::Stay(show) => return Some(show),
            rest::Next::Accept(attempt) => {
                let progress = attempt.grant.progress.clone();
                self.happened.push(Happened::Accepted(progress));
                self.state.attempt = Some(*attempt);
            }
            rest::Next::Refuse { id, reason, pauses } => {
                let (retry, now) = (&self.settings.retry, self.now.time);
                if pauses {
                    self.state.back_off(reason.clone(), retry, now);
                }
                let answered = self.state.refuse(id, reason, now);
                self.happened.push(Happened::Answered(answered));
            }
        }
        None
    }

    fn drains(&mut self, attempt: &Attempt) -> Option<Show> {
        self.visits(Place::Draining);
        let (next, news) = draining::next(&self.facts(), attempt);
        self.drain = news;
        match next {
            draining::Next::Stay(show) => {
                self.notes_cordon();
                return Some(show);
            }
            draining::Next::Delay(since) => self.enters(Stage::Delaying { since }),
            draining::Next::Reboot(show) => {
                self.notes_cordon();
                return Some(self.asks(show, None));
            }
            draining::Next::Verify => self.booted = true,
            draining::Next::End(ending) => self.ends(ending),
        }
        None
    }

    fn delays(&mut self, attempt: &Attempt, since: Time) -> Option<Show> {
        self.visits(Place::Delaying);
        let (next, news) = delaying::next(&self.facts(), attempt, since);
        self.drain = news;
        match next {
            delaying::Next::Stay { since, show } => {
                self.notes_cordon();
                self.enters(Stage::Delaying { since });
                return Some(show);
            }
            delaying::Next::Drain => self.enters(Stage::Draining),
            delaying::Next::Reboot(show) => {
                self.notes_cordon();
                return Some(self.asks(show, Some(since)));
            }
            delaying::Next::Verify => self.booted = true,
            delaying::Next::End(ending) => self.ends(ending),
        }
        None
    }

    fn reboots(
        &mut self,
        attempt: &Attempt,
        request: Request,
        drained: Option<Time>,
    ) -> Option<Show> {
        self.visits(Place::Rebooting);
        match rebooting::next(&self.facts(), attempt, &request) {
            rebooting::Next::Stay(show) => return Some(show),
            rebooting::Next::Reboot(show) => return Some(self.asks(show, drained)),
            rebooting::Next::Drain => {
                self.again = Some(request);
                self.enters(match drained {
                    Some(since) => Stage::Delaying { since },
                    None => Stage::Draining,
                });
            }
            rebooting::Next::Verify => self.booted = true,
            rebooting::Next::End(ending) => self.ends(ending),
        }
        None
    }

    fn verifies(
        &mut self,
        attempt: &Attempt,
        asked: Option<Request>,
        good: Option<Time>,
    ) -> Option<Show> {
        self.visits(Place::Verifying);
        match verifying::next(&self.facts(), attempt, good) {
            verifying::Next::Stay { state, good, show } => {
                self.state = state;
                match (good, asked) {
                    (Some(good), asked) => self.enters(Stage::Verifying { asked, good }),
                    // The state stays as the boot left it.
                    (None, _) if self.booted => {}
                    (None, Some(request)) => self.enters(Stage::Rebooting {
                        request,
                        drained: None,
                    }),
                    (None, None) => self.enters(Stage::Draining),
                }
                Some(show)
            }
            verifying::Next::End { state, ending } => {
                self.state = state;
                self.ends(ending);
                None
            }
        }
    }

    fn visits(&mut self, place: Place) {
        if self.course.last() != Some(&place) {
            self.course.push(place);
        }
    }

    fn enters(&mut self, stage: Stage) {
        if let Some(attempt) = &mut self.state.attempt {
            attempt.stage = stage;
        }
    }

    /// Notes a cordon that somebody else made: if it is taken back, a person did that.
    fn notes_cordon(&mut self) {
        let node = self.facts().node();
        let others = node.is_some_and(|node| node.unschedulable && node.agent.owned.is_absent());
        if let Some(attempt) = &mut self.state.attempt {
            attempt.others_cordon |= others;
        }
    }

    /// Records the reboot request, which is written to disk before the request is sent.
    fn asks(&mut self, show: Show, drained: Option<Time>) -> Show {
        let request = Request {
            at: self.now.time,
            up: self.seen.uptime,
        };
        self.visits(Place::Rebooting);
        self.enters(Stage::Rebooting { request, drained });
        self.again = None;
        show
    }

    /// Restores the reboot request if the attempt went back to draining after the reboot had been requested.
    fn remembers_request(&mut self) {
        let stage = self.state.attempt.as_ref().map(|attempt| &attempt.stage);
        let drained = match stage {
            Some(Stage::Draining) => None,
            Some(Stage::Delaying { since }) => Some(*since),
            Some(Stage::Rebooting { .. } | Stage::Verifying { .. }) | None => return,
        };
        if let Some(request) = self.again.take() {
            self.enters(Stage::Rebooting { request, drained });
        }
    }

    fn ends(&mut self, ending: Ending) {
        let answered = self.state.conclude(ending, self.settings, self.now.time);
        self.happened.extend(answered.map(Happened::Answered));
    }

    /// The phase to show if no decision can be written to disk. No grant is accepted then, so it is never `waiting`.
    fn phase(&self) -> Phase {
        let mut known = self.state.clone();
        self.facts().adopt(&mut known);
        let facts = self.facts().with(&known);
        let status = facts.node().and_then(|node| node.agent.status.value());
        if status.is_some_and(|status| status.phase == Phase::Failed) {
            return Phase::Failed;
        }
        match &known.attempt {
            Some(attempt) if facts.has_booted_since(attempt) => Phase::Verifying,
            Some(attempt) => match attempt.stage {
                Stage::Draining | Stage::Delaying { .. } => Phase::Draining,
                Stage::Rebooting { .. } => Phase::Rebooting,
                Stage::Verifying { .. } => Phase::Verifying,
            },
            None if facts.pending().is_some() => Phase::Held,
            None => Phase::Idle,
        }
    }

    /// Writes to the Node first if it does not show the phase and reason yet, and otherwise carries out the act.
    fn shown(self, show: Show) -> Step {
        let write = self.facts().unshown(show.phase, show.reason.as_ref());
        // Without the Node, only acts that concern the host alone are allowed.
        let act = match (&self.seen.node, show.act) {
            (NodeSeen::Present { .. }, act) | (_, act @ (Act::Stage | Act::Check | Act::Wait)) => {
                act
            }
            (NodeSeen::Unknown(_) | NodeSeen::Absent, _) => Act::Wait,
        };
        let show = Show {
            act: write.unwrap_or(act),
            ..show
        };
        self.done(show)
    }

    /// Only reports why nothing happens.
    fn excused(self, phase: Phase, reason: Reason) -> Step {
        let write = self.facts().excuse(phase, &reason);
        let show = Show::new(phase, Some(reason)).and(write.unwrap_or(Act::Wait));
        self.done(show)
    }

    fn done(mut self, show: Show) -> Step {
        self.remembers_request();
        if matches!(show.act, Act::Stage | Act::Check) {
            self.state.assigned = self.facts().assigned();
        }
        if show.act == Act::Stage {
            self.state.staging = self.facts().run();
        }
        Step {
            state: self.state,
            act: show.act,
            wake: show.wake,
            phase: show.phase,
            reason: show.reason,
            drain: self.drain,
            happened: self.happened,
            course: self.course,
        }
    }

    /// A fallback that the stages never lead to: no decision was found, so nothing is done, and the next step tries again.
    fn restless(self) -> Step {
        let phase = self.phase();
        self.done(Show::new(phase, None).for_at_most(SECOND))
    }
}
