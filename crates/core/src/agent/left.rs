//! Releases that a person went back from. The next look finds such a release again, and booting it would undo what that person did.
//!
//! The agent still stages it, because there is no other way to find something newer, but does not ask for it. This affects this host only.

use super::facts::Facts;
use super::state::Left;
use crate::host::{Deployment, Host};
use crate::reason::{Code, Reason};
use crate::values::Booted;

impl Facts<'_> {
    /// The releases that people went back from, as of this boot; `None` if this boot was already considered. The Node's `booted` says what
    /// ran before this boot. The agent itself goes back only from releases that failed, which are held for that reason.
    pub(super) fn steps_back(&self) -> Option<Vec<Left>> {
        let (node, host) = (self.node()?, self.host()?);
        let reported = node.agent.booted.value();
        let before = reported.filter(|before| before.boot != self.seen.boot)?;
        let newer = |left: &Left| left.published > host.booted.published;
        let known = self.state.left.iter().filter(|left| newer(left)).cloned();
        let mut left: Vec<_> = known.collect();
        let step = self.left(before, host).filter(|step| !left.contains(step));
        left.extend(step);
        Some(left)
    }

    /// The release that ran `before` this boot, if this boot is a step back from it.
    fn left(&self, before: &Booted, host: &Host) -> Option<Left> {
        let identity = before.identity;
        // A staged deployment was added in this boot, by a look that was due before the Node could be read. It is not what this boot chose.
        let first = host.pending.as_ref().filter(|first| !first.staged);
        let default = first.unwrap_or(&host.booted);
        // Choosing another entry in the boot menu, or a boot loader that falls back, leaves the default unchanged.
        if default.identity == identity || self.state.failed.find(&identity).is_some() {
            return None;
        }
        let mut others = host.others.iter();
        let found = others.find(|other| other.identity == identity)?;
        let published = found.published;
        (published > host.booted.published).then_some(Left {
            identity,
            published,
        })
    }

    /// `pending` is a release that the agent staged again after somebody went back from it.
    pub(super) fn left_before(&self, pending: &Deployment) -> Option<Reason> {
        let mut left = self.state.left.iter();
        let left = left.any(|left| left.identity == pending.identity);
        if !left || !self.is_ours(pending) {
            return None;
        }
        let text = format!(
            "somebody went back from {} to {} on this host; `cuo-agent forget {}` undoes that; newer versions are asked for as usual",
            pending.version,
            self.host()?.booted.version,
            pending.identity
        );
        Some(Reason::new(Code::IdentityFailed, text))
    }
}
