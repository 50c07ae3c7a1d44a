//! Observations while rpm-ostree is at work: it shows a staged deployment long before the transaction ends.

use super::Staging;
use super::facts::Facts;
use super::state::{Intent, State};
use crate::host::Deployment;
use crate::reason::{Code, Reason};

impl Facts<'_> {
    /// Updates `state` after a staging run whose end was not observed. A deployment that is staged now is the agent's own if it is locked,
    /// because nobody else locks. Once rpm-ostree is idle, that run is over and its note is removed: later changes are not the agent's.
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
            // The note may become readable later.
            Some((_, None)) if survey.unread.is_some() => return,
            Some((pending, Some(true))) => state.ours = Some(pending.id.clone()),
            Some((_, Some(false) | None)) | None => {}
        }
        state.staging = None;
    }

    /// The note that a run begins now, which may stage an update.
    pub(super) fn run(&self) -> Option<Intent> {
        let host = self.host()?;
        Some(Intent {
            boot: self.seen.boot,
            before: host.pending.as_ref().unwrap_or(&host.booted).id.clone(),
        })
    }

    /// Whether rpm-ostree is at work, for anybody.
    fn works(&self) -> bool {
        self.seen.staging != Staging::Idle || self.seen.busy
    }

    /// Whether rpm-ostree is at work for this agent. A run of an earlier process is recognized by its note.
    fn works_for_us(&self) -> bool {
        let noted = self.state.staging.as_ref();
        let noted = noted.is_some_and(|run| run.boot == self.seen.boot);
        self.seen.staging != Staging::Idle || self.seen.busy && noted
    }

    /// Whether the agent's own run has just staged `pending` and is not over. Nothing is requested until it is.
    fn is_in_the_making(&self, pending: &Deployment) -> bool {
        let run = self.state.staging.as_ref();
        self.works_for_us() && run.is_some_and(|run| run.before != pending.id)
    }

    /// Whether the node has to wait before it asks for a reboot into `pending`: it is still being staged, or a look is running that may
    /// find something newer. A look does not delay a node that has its reservation or grant, since most find nothing.
    pub(super) fn not_yet(&self, pending: &Deployment) -> bool {
        let chosen = self.is_reserved() || self.open_grant().is_some();
        let lasting = self.seen.staging == Staging::Lasting;
        self.is_in_the_making(pending) || lasting && !chosen
    }

    /// Why a grant is not answered yet. The agent's own work is not reported.
    pub(super) fn occupied(&self) -> Option<Reason> {
        let others = self.seen.busy && !self.works_for_us();
        let waits = others && self.open_grant().is_some();
        waits.then(|| Code::RpmOstreeBusy.into())
    }

    /// Why a reboot now would lose the staged deployment. The unit that writes it starts a moment after the deployment shows, so while
    /// rpm-ostree is at work, rpm-ostree is what to wait for.
    pub(super) fn would_lose(&self, pending: &Deployment) -> Option<Reason> {
        let survey = self.seen.survey.as_ref().ok()?;
        let inactive = survey.would_lose(pending)?;
        Some(match self.works() {
            true => Code::RpmOstreeBusy.into(),
            false => inactive,
        })
    }
}
