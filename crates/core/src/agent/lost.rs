//! Updates that are gone after the boot that was to bring them.

use super::facts::Facts;
use super::state::{Attempt, Lost};
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};

/// How often one may be gone after the boot without a word of why, before this node leaves it alone.
const UNEXPLAINED: u32 = 5;

impl Facts<'_> {
    /// How `identity` came to be lost at the last shutdown, in ostree's own words, if that is what `code` is about and they are known.
    pub(super) fn unwritten(&self, code: Code, identity: &ReleaseId) -> Option<String> {
        let lost = self.state.lost.as_ref();
        let lost = lost.is_some_and(|lost| lost.identity == *identity);
        let said = self.seen.survey.as_ref().ok()?.finalize_error.as_ref()?;
        let how =
            || format!("ostree could not write the update to the disk at the shutdown: {said}");
        (code == Code::FinalizationFailed && lost).then(how)
    }

    /// How often the update was gone, with this time, which is because of `code`.
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

    /// `identity` was gone after each of so many boots that another drain is not worth it.
    pub(super) fn lost_too_often(&self, identity: &ReleaseId) -> Option<Reason> {
        let lost = self.state.lost.as_ref();
        let lost =
            lost.filter(|lost| lost.identity == *identity && lost.unexplained >= UNEXPLAINED)?;
        let text = format!(
            "{identity} was gone after {} reboots, and nothing tells why; the journal of ostree-finalize-staged may, and `cuo-agent forget all` has it tried again",
            lost.unexplained
        );
        Some(Reason::new(Code::IdentityFailed, text))
    }
}
