//! Names for the acts of an update: the steps at which tests stop the agent, kill it, or change something around it.

use cuo_core::agent::{Act, Says};

macro_rules! steps {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// The agent's acts, grouped by what they change.
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
    /// The step of `act`; `None` if it neither changes nor requests anything.
    pub fn of(act: &Act) -> Option<Self> {
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
            Act::Publish(says, _) => match says {
                Says::Answer => Self::Release,
                Says::Accept => Self::Accept,
                Says::Cordon => Self::Cordon,
                Says::Rebooting => Self::Rebooting,
                Says::Verifying => Self::Verifying,
                Says::News => Self::Publish,
            },
        })
    }

    /// The moments at which the agent can be stopped: once the act is decided and before that is on disk; before the act; after it. The
    /// confirmation is part of a decision, and is followed by the moments of the next act.
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
