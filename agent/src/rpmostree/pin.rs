//! Origins that never have an update.

use std::fmt;

/// Why nothing new will ever come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// The origin is a commit, in the words in which an upgrade says so.
    Commit(String),
    /// The origin is this image by its digest. rpm-ostree looks, finds nothing and says nothing (seen with 2026.2).
    Digest(String),
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(words) => write!(f, "rpm-ostree says {words:?}"),
            Self::Digest(reference) => write!(
                f,
                "the host follows {reference}, and what a digest names never changes; `rpm-ostree rebase` to a tag to get updates"
            ),
        }
    }
}
