//! The life of an attempt: every place that a node can be in, and the transitions between them.

use super::state::Stage;

macro_rules! rests {
    ($($name:ident, $means:literal;)*) => {
        /// The place of a node without an accepted grant. It follows from the current facts alone, so any of them can follow any other.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rest {
            $(#[doc = $means] $name,)*
        }

        impl Rest {
            /// All places at rest.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

rests! {
    Idle, "A reboot would change nothing.";
    Staging, "rpm-ostree is looking for an update, or staging one.";
    Staged, "An update is staged, but the look that staged it is still running.";
    Waiting, "The node asks for a grant.";
    Held, "A reboot is needed, but something on the node holds it.";
    BackingOff, "A grant was refused or given up, and the pause after it is not over.";
    AwaitingRollback, "The node did not become healthy, gave its slot back, and asks for a grant to go back to what ran before.";
    Failed, "The node did not become healthy, gave its slot back, and has nothing to go back to.";
}

macro_rules! stages {
    ($($name:ident, $means:literal;)*) => {
        /// A node's place in the life of an update.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Place {
            /// The node has no accepted grant.
            Rest(Rest),
            $(#[doc = $means] $name,)*
        }

        impl Place {
            /// The places of an attempt, in order.
            pub const STAGES: &[Self] = &[$(Self::$name),*];

            /// The name in the table of transitions.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Rest(rest) => rest.name(),
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What the place means, as one sentence.
            pub const fn means(self) -> &'static str {
                match self {
                    Self::Rest(rest) => rest.means(),
                    $(Self::$name => $means,)*
                }
            }
        }

        impl From<&Stage> for Place {
            fn from(stage: &Stage) -> Self {
                match stage { $(Stage::$name { .. } => Self::$name,)* }
            }
        }
    };
}

stages! {
    Draining, "A grant is accepted: the node is cordoned, and its pods leave.";
    Delaying, "The drain is over, and the pool demands a delay before the reboot.";
    Rebooting, "The reboot was requested, or was about to be.";
    Verifying, "The host has booted: what runs is compared with what was granted, and the node has to be healthy.";
}

/// A transition from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The place that it starts from.
    pub from: Place,
    /// The place that it leads to; `None` for the end of the attempt, which leads to whatever place at rest follows from the facts.
    pub to: Option<Place>,
    /// The condition, as a clause.
    pub when: &'static str,
}

const fn leads(from: Place, to: Place, when: &'static str) -> Transition {
    Transition {
        from,
        to: Some(to),
        when,
    }
}

const fn ends(from: Place, when: &'static str) -> Transition {
    Transition {
        from,
        to: None,
        when,
    }
}

/// Every transition of an attempt. There are no others.
pub const TRANSITIONS: &[Transition] = &[
    leads(
        Place::Rest(Rest::Waiting),
        Place::Draining,
        "a grant for what a reboot would boot, out of this boot, is accepted before its deadline",
    ),
    leads(
        Place::Rest(Rest::AwaitingRollback),
        Place::Draining,
        "the same, for what ran before",
    ),
    leads(
        Place::Draining,
        Place::Delaying,
        "all pods that have to leave have left, and the pool demands a delay before the reboot",
    ),
    leads(
        Place::Draining,
        Place::Rebooting,
        "all pods that have to leave have left, and the grant was read once more from the API server",
    ),
    leads(
        Place::Draining,
        Place::Verifying,
        "somebody else rebooted the host",
    ),
    ends(
        Place::Draining,
        "the grant, the cordon or what a reboot would boot changed; something holds; the drain timed out",
    ),
    leads(Place::Delaying, Place::Draining, "new pods have to leave"),
    leads(
        Place::Delaying,
        Place::Rebooting,
        "the delay is over, and the grant was read once more from the API server",
    ),
    leads(
        Place::Delaying,
        Place::Verifying,
        "somebody else rebooted the host",
    ),
    ends(Place::Delaying, "as from `Draining`"),
    leads(
        Place::Rebooting,
        Place::Draining,
        "rpm-ostree was busy with somebody else's transaction, or pods came while nobody watched the cordon",
    ),
    leads(
        Place::Rebooting,
        Place::Delaying,
        "the same, after the pool's delay had begun",
    ),
    leads(Place::Rebooting, Place::Verifying, "the host has booted"),
    ends(
        Place::Rebooting,
        "the reboot was refused, or is not wanted any more and not in progress",
    ),
    ends(
        Place::Verifying,
        "what runs was compared with what was granted, and the node is healthy; or its slot goes back with `health.rollback`",
    ),
];

impl Place {
    /// Whether the table has a transition from here to `next`.
    pub fn leads_to(self, next: Self) -> bool {
        let rests = |place| matches!(place, Self::Rest(_));
        let known = TRANSITIONS.iter().any(|way| {
            way.from == self
                && match way.to {
                    Some(to) => to == next,
                    None => rests(next),
                }
        });
        // A grant is refused.
        known || rests(self) && rests(next)
    }
}
