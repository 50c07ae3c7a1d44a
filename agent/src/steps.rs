//! The acts of an update by name: the steps at which tests hold the agent, cut it off, or change the world around it.

use cuo_core::agent::Act;
use cuo_core::node::{NodeView, Published};
use cuo_core::values::Phase;

macro_rules! steps {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Everything that the agent ever does, by what it changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Named {
            $(#[doc = $means] $name,)*
        }

        impl Named {
            /// Every step, in the order of an update.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The step's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

steps! {
    Check = "check", "rpm-ostree is made to look for an update, and no more.";
    Stage = "stage", "rpm-ostree is made to look for an update and to stage it.";
    Publish = "publish", "The Node says something new, which is none of the writes below.";
    Preflight = "preflight", "The API server is asked whether it would evict the pods.";
    Accept = "accept", "The grant is accepted.";
    Cordon = "cordon", "The node is cordoned.";
    Evict = "evict", "Pods are evicted, or deleted.";
    Rebooting = "rebooting", "The Node says that the reboot is coming.";
    Confirm = "confirm", "The grant is read once more, from the API server itself.";
    Finalize = "finalize", "rpm-ostree is made to finalize what is staged and to reboot.";
    RollBack = "roll-back", "rpm-ostree is made to put what ran before first again, where the host goes back.";
    Reboot = "reboot", "logind is made to reboot, where nothing is staged.";
    Verifying = "verifying", "The Node says that the host has booted.";
    Release = "release", "The grant is answered, and the node uncordoned.";
}

impl Named {
    /// What `act` is, on a Node that is now as `node`; `None` if it changes nothing and asks nobody to.
    pub fn of(act: &Act, node: Option<&NodeView>) -> Option<Self> {
        Some(match act {
            Act::Wait | Act::FindVolumes(_) => return None,
            Act::Stage => Self::Stage,
            Act::Check => Self::Check,
            Act::Preflight { .. } => Self::Preflight,
            Act::Evict(_) => Self::Evict,
            Act::Confirm => Self::Confirm,
            Act::Finalize(_) => Self::Finalize,
            Act::RollBack(_) => Self::RollBack,
            Act::Reboot => Self::Reboot,
            Act::Publish(want) => node.map_or(Self::Publish, |node| published(want, node)),
        })
    }

    /// When the agent can be held at it: once it is decided, before the decision is on disk; before the act; after it. The confirmation is
    /// a part of the decision, and what follows it is the next act's.
    pub const fn moments(self) -> &'static [&'static str] {
        match self {
            Self::Confirm => &["decided"],
            _ => &["decided", "before", "after"],
        }
    }

    /// The name of the gate at this moment (see [`cuo_telemetry::gate`]).
    pub fn gate(self, moment: &str) -> String {
        format!("agent-{moment}-{}", self.as_str())
    }
}

fn published(want: &Published, node: &NodeView) -> Named {
    let agent = &node.agent;
    if want.result.is_some() && want.result.as_ref() != agent.result.value() {
        Named::Release
    } else if want.progress.is_some() && want.progress.as_ref() != agent.progress.value() {
        Named::Accept
    } else if want.owned.is_some() && want.owned.as_ref() != agent.owned.value() {
        Named::Cordon
    } else {
        match want.status.phase {
            Phase::Rebooting => Named::Rebooting,
            Phase::Verifying => Named::Verifying,
            _ => Named::Publish,
        }
    }
}
