//! What an agent understands beyond the first version of the protocol.
//!
//! Agents are upgraded inside the very updates that the operator grants, so both sides of any two releases that follow each other have to
//! work together. An agent announces its features on its Node, and an operator writes to it only what they cover.

use crate::values::Names;

macro_rules! features {
    ($($name:ident = $text:literal, $means:literal;)*) => {
        /// Something that agents did not understand from the first.
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

            /// What it is about, one sentence.
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
}

impl Feature {
    /// What this build announces.
    pub fn own() -> Names {
        Self::ALL.iter().map(|feature| feature.as_str()).collect()
    }

    /// An agent that announces `features` understands this.
    pub fn is_in(self, features: &Names) -> bool {
        features.contains(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_in_it_and_those_of_the_first_release_announce_nothing() {
        let own = Feature::own();
        assert_eq!(own.to_string(), "cordoned,drain-mode,only-node,preflight");
        assert!(Feature::ALL.iter().all(|feature| feature.is_in(&own)));
        let newer: Names = "drain-mode,zebra".parse().unwrap();
        let known = |feature: &&Feature| feature.is_in(&newer);
        let known: Vec<_> = Feature::ALL.iter().filter(known).collect();
        assert_eq!(known, [&Feature::DrainMode]);
        let none = Names::default();
        assert!(!Feature::ALL.iter().any(|feature| feature.is_in(&none)));
    }
}
