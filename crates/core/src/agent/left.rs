//! What a person went back from: the next look finds it again, and would undo what that person has booted on purpose.
//!
//! It is staged as ever, since only so something newer is found, but it is not asked for. That concerns this host alone.

use super::facts::Facts;
use super::state::Left;
use crate::host::{Deployment, Host};
use crate::reason::{Code, Reason};
use crate::values::Booted;

impl Facts<'_> {
    /// What stands of what was left once this boot is taken in, which is done once a boot; `None` where it is taken in already. What the
    /// Node tells of the boot before is what ran then. The agent never goes back by itself but from what failed, which it holds for that.
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

    /// What ran `before` this boot, where this boot is a step back from it.
    fn left(&self, before: &Booted, host: &Host) -> Option<Left> {
        let identity = before.identity;
        // What is staged came in this boot, by a look that was due before the Node could be read, and says nothing of what was the default.
        let first = host.pending.as_ref().filter(|first| !first.staged);
        let default = first.unwrap_or(&host.booted);
        // Whoever boots another one from the menu, as a boot loader does that falls back, leaves the default as it is.
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

    /// `pending` is what the agent itself has staged again after somebody went back from it.
    pub(super) fn left_before(&self, pending: &Deployment) -> Option<Reason> {
        let mut left = self.state.left.iter();
        let left = left.any(|left| left.identity == pending.identity);
        if !left || !self.is_ours(pending) {
            return None;
        }
        let text = format!(
            "somebody went back from {} to {} on this host; `cuo-agent forget {}` has it asked for again, and what is newer is asked for as usual",
            pending.version,
            self.host()?.booted.version,
            pending.identity
        );
        Some(Reason::new(Code::IdentityFailed, text))
    }
}
