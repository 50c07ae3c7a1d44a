//! The agent's decision: what is known goes in, one act with its reason comes out.
//!
//! [`step`] is level-triggered: it looks at how things are, never at how they came to be, so every act can be repeated and the agent may
//! die between any two. The loop around it writes [`State`] to disk if it changed, then carries out the one [`Act`], looks again, and
//! steps again.
//!
//! A decision goes from stage to stage of an attempt (`stage/`), along [`TRANSITIONS`] and no other way, until one says what to do.
//! Each stage is a function of the facts alone; what becomes of its word is written here.

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
pub use target::target;
pub use transitions::{Place, Rest, TRANSITIONS, Transition};

use ending::Ending;
use facts::{Facts, SECOND};
use stage::{Show, delaying, draining, rebooting, rest, verifying};
use state::{Attempt, Request, Stage, State};

/// A decision goes on to no more places than this: an attempt that ends leads to rest, and from there nowhere in the same decision.
const LONGEST: usize = 8;

/// The pods of this node are needed for the next step: there is a grant to be answered, the node is being drained, the reboot is still to
/// be asked for, or pods have to be Ready for the node to be healthy.
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

/// Decides. `now` is what the host's clocks show; that of the wall is trusted only for deadlines, never for what has happened.
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
    /// The request for the reboot that came to nothing, while the drain is looked at once more. It stays in memory: an agent that is restarted
    /// then has to know that it had asked.
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

    /// To the next place, or `Some` to what is shown and done here.
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
                    // As the boot left it.
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

    /// A cordon that somebody else made is noted: whoever takes it back is a person.
    fn notes_cordon(&mut self) {
        let node = self.facts().node();
        let foreign = node.is_some_and(|node| node.unschedulable && node.agent.owned.is_absent());
        if let Some(attempt) = &mut self.state.attempt {
            attempt.foreign |= foreign;
        }
    }

    /// The reboot is asked for, which is on disk first.
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

    /// An attempt whose drain is looked at once more after the reboot was asked for is remembered as one for which it was.
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

    /// Where the agent is, if nothing of what is decided can be written down. It accepts no grant then, so it does not wait for one.
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

    /// Brings what is to be shown to the Node first, if it does not stand there, and then does what is to be done.
    fn shown(self, show: Show) -> Step {
        let write = self.facts().unshown(show.phase, show.reason.as_ref());
        // Without the Node only what concerns the host alone is done.
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

    /// No decision was found, which the stages do not let happen: nothing is done, and it is tried again.
    fn restless(self) -> Step {
        let phase = self.phase();
        self.done(Show::new(phase, None).for_at_most(SECOND))
    }
}
