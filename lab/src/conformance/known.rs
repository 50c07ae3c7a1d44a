//! Where the lab's double is known to differ from rpm-ostree 2026.2.

/// A case in which the double shows something else.
#[derive(Debug)]
pub struct Known {
    /// Name of the case.
    pub case: &'static str,
    /// Why that is so, and why nothing relies on it.
    pub why: &'static str,
    /// What the double shows.
    pub double: &'static [&'static str],
}

/// All of them. The list only gets shorter: one that is no longer so fails the contract.
pub const KNOWN: &[Known] = &[];

/// What is known of a case.
pub fn known(case: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.case == case)
}
