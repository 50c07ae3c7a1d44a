//! What an agent understands beyond the first version of the protocol.
//!
//! Agents are upgraded by the very updates that the operator grants, so both sides have to work together across any two consecutive
//! releases. An agent announces its features on its Node, and an operator writes only what these cover.
//!
//! An agent of the first release does not know the list and leaves it unchanged, also after the host went back to it. So the list includes
//! the boot under which it was announced. That agent reports its boot as well, so a list of another boot is another agent's.

use crate::ids::BootId;
use crate::values::{Booted, Field, Names};

/// Prefix of the entry that names the boot.
const UNDER: &str = "boot-";

fn under(boot: &BootId) -> String {
    format!("{UNDER}{:08x}", boot.salt())
}

macro_rules! features {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Something that agents of the first release did not understand.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Feature {
            $(#[doc = $means] $name,)*
        }

        impl Feature {
            /// Every feature, in the order of its name.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The feature as it is announced.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What the feature is about, as one sentence.
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }
        }
    };
}

features! {
    Cordoned = "cordoned", "`cordoned` in a grant.";
    DrainMode = "drain-mode", "`drain.mode` in a grant.";
    OnlyNode = "only-node", "The annotation `only-node`.";
    Preflight = "preflight", "`drain.preflight` in a grant.";
    Reboot = "reboot", "The annotation `reboot-requested`.";
    Release = "release", "The annotation `release`.";
    Retry = "retry", "The annotation `retry`.";
}

impl Feature {
    /// The features that this build announces.
    pub fn own() -> Names {
        Self::ALL.iter().map(|feature| feature.as_str()).collect()
    }

    /// The same with the entry for `boot`, if that is known.
    pub fn announced(boot: Option<&BootId>) -> Names {
        let own = Self::own();
        let under = boot.map(under);
        own.iter().chain(under.as_deref()).collect()
    }

    /// The features that were `found` on a Node, if they were announced under the boot that its agent reports.
    pub fn current(found: Names, booted: &Field<Booted>) -> Names {
        let stale = booted.value().is_some_and(|booted| {
            let mut boots = found.iter().filter(|name| name.starts_with(UNDER));
            let here = under(&booted.boot);
            boots.next().is_some_and(|boot| boot != here)
        });
        if stale { Names::default() } else { found }
    }

    /// Whether an agent that announces `features` understands this one.
    pub fn is_in(self, features: &Names) -> bool {
        features.contains(self.as_str())
    }
}

#[cfg(test)]
mod tests;
