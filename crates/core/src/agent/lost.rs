//! Updates that are missing after the boot that should have applied them.

use super::facts::Facts;
use super::state::{Attempt, Lost};
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};

/// How often an update may be missing without an explanation before this node stops trying it.
const UNEXPLAINED: u32 = 5;

impl Facts<'_> {
    /// ostree's error for the loss of `identity` at the last shutdown, if `code` means such a loss and the error is known.
    pub(super) fn unwritten(&self, code: Code, identity: &ReleaseId) -> Option<String> {
        let lost = self.state.lost.as_ref();
        let lost = lost.is_some_and(|lost| lost.identity == *identity);
        let said = self.seen.survey.as_ref().ok()?.finalize_error.as_ref()?;
        let how =
            || format!("ostree could not write the update to the disk at the shutdown: {said}");
        (code == Code::FinalizationFailed && lost).then(how)
    }

    /// The losses of this update, including the current one, whose cause is `code`.
    pub(super) fn losses(&self, attempt: &Attempt, code: Code) -> Lost {
        let identity = attempt.identity();
        let before = self.state.lost.clone();
        let before = before.filter(|lost| lost.identity == identity);
        let mut lost = before.unwrap_or(Lost {
            identity,
            times: 0,
            unexplained: 0,
        });
        let times = match code {
            Code::FinalizationFailed => &mut lost.times,
            _ => &mut lost.unexplained,
        };
        *times = times.saturating_add(1);
        lost
    }

    /// Why `identity` is not tried again: it was missing after too many boots to be worth another drain.
    pub(super) fn lost_too_often(&self, identity: &ReleaseId) -> Option<Reason> {
        let lost = self.state.lost.as_ref();
        let lost =
            lost.filter(|lost| lost.identity == *identity && lost.unexplained >= UNEXPLAINED)?;
        let text = format!(
            "{identity} was gone after {} reboots, for no known reason; see the journal of ostree-finalize-staged, and `cuo-agent forget all` to try it again",
            lost.unexplained
        );
        Some(Reason::new(Code::IdentityFailed, text))
    }
}
