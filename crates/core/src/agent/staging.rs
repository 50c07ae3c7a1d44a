//! What is to be made of what can be seen while rpm-ostree is at work: it shows what it stages long before it is done with it.

use super::Staging;
use super::facts::Facts;
use super::state::{Intent, State};
use crate::host::Deployment;
use crate::reason::{Code, Reason};

impl Facts<'_> {
    /// Takes into `state` what became of a run whose end nobody has heard of. It may have staged what is there now, which is the agent's own
    /// if it is locked: nobody else locks. Whatever is there once rpm-ostree rests, that run is over, and its note with it: what others do
    /// later is none of the agent's work.
    pub(super) fn claim(&self, state: &mut State) {
        let here = |run: &Intent| run.boot == self.seen.boot;
        let Some(run) = self.state.staging.as_ref().filter(|run| here(run)) else {
            state.staging = None;
            return;
        };
        let (Some(host), Ok(survey), false) = (self.host(), &self.seen.survey, self.works()) else {
            return;
        };
        let staged = host.pending.as_ref();
        let staged = staged.filter(|pending| pending.staged && pending.id != run.before);
        match staged.map(|pending| (pending, survey.locked(pending))) {
            // What can't be read now may tell later.
            Some((_, None)) if survey.unread.is_some() => return,
            Some((pending, Some(true))) => state.ours = Some(pending.id.clone()),
            Some((_, Some(false) | None)) | None => {}
        }
        state.staging = None;
    }

    /// The note that a run begins now that may stage an update.
    pub(super) fn run(&self) -> Option<Intent> {
        let host = self.host()?;
        Some(Intent {
            boot: self.seen.boot,
            before: host.pending.as_ref().unwrap_or(&host.booted).id.clone(),
        })
    }

    /// rpm-ostree is at work, for whomever.
    fn works(&self) -> bool {
        self.seen.staging != Staging::Idle || self.seen.busy
    }

    /// It is at work for this agent. What a process began that is gone since is known by its note.
    fn works_for_us(&self) -> bool {
        let noted = self.state.staging.as_ref();
        let noted = noted.is_some_and(|run| run.boot == self.seen.boot);
        self.seen.staging != Staging::Idle || self.seen.busy && noted
    }

    /// The agent's own run has just staged it, and is not over: nobody is to be asked for anything yet.
    fn is_in_the_making(&self, pending: &Deployment) -> bool {
        let run = self.state.staging.as_ref();
        self.works_for_us() && run.is_some_and(|run| run.before != pending.id)
    }

    /// The node does not ask for the reboot into `pending` yet: it is being staged, or the look lasts that may bring something newer. Who
    /// was chosen already is not held off because of a look, since most of them find nothing.
    pub(super) fn not_yet(&self, pending: &Deployment) -> bool {
        let chosen = self.is_reserved() || self.open_grant().is_some();
        let lasting = self.seen.staging == Staging::Lasting;
        self.is_in_the_making(pending) || lasting && !chosen
    }

    /// Why a grant that came is not answered yet. The agent's own work is no reason to be reported.
    pub(super) fn occupied(&self) -> Option<Reason> {
        let others = self.seen.busy && !self.works_for_us();
        let waits = others && self.open_grant().is_some();
        waits.then(|| Code::RpmOstreeBusy.into())
    }

    /// Why a reboot now would not bring what is staged. The unit that writes it is started a moment after the staging shows, so as long
    /// as rpm-ostree is at work it is rpm-ostree that has to be waited for.
    pub(super) fn would_lose(&self, pending: &Deployment) -> Option<Reason> {
        let survey = self.seen.survey.as_ref().ok()?;
        let inactive = survey.would_lose(pending)?;
        Some(match self.works() {
            true => Code::RpmOstreeBusy.into(),
            false => inactive,
        })
    }
}
