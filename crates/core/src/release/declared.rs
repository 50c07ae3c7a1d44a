//! What a pool declares that its nodes run.

use std::fmt;

use super::{Assigned, ImageName};
use crate::ids::ReleaseId;

/// The release that a pool declares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declared {
    /// Which.
    pub what: Declaration,
    /// It may be older than what its nodes run.
    pub downgrade: bool,
}

/// What names a declared release.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Declaration {
    /// An image by its digest, or what a tag names when a node looks.
    Image(ImageName),
    /// The release of this version, on a graph or a branch.
    Version(String),
    /// A commit of the branch that the nodes follow.
    Commit(ReleaseId),
}

impl Declaration {
    /// The release id, where that is known without a host that looks.
    pub fn identity(&self) -> Option<ReleaseId> {
        match self {
            Self::Image(image) => image.digest(),
            Self::Version(_) => None,
            Self::Commit(identity) => Some(*identity),
        }
    }

    /// The image that nodes are to follow.
    pub fn image(&self) -> Option<&ImageName> {
        match self {
            Self::Image(image) => Some(image),
            Self::Version(_) | Self::Commit(_) => None,
        }
    }

    /// The image, where only a host finds out which release its tag names.
    pub fn tag(&self) -> Option<&ImageName> {
        self.image().filter(|image| image.digest().is_none())
    }
}

impl Declared {
    /// What a node is told that is to find the release out by itself, or to stage it where it is known.
    pub fn assigned(&self) -> Assigned {
        Assigned {
            declared: true,
            identity: self.what.identity(),
            version: match &self.what {
                Declaration::Version(version) => Some(version.clone()),
                Declaration::Image(_) | Declaration::Commit(_) => None,
            },
            image: self.what.image().cloned(),
            downgrade: self.downgrade,
            avoid: vec![],
        }
    }
}

impl fmt::Display for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => image.fmt(f),
            Self::Version(version) => f.pad(version),
            Self::Commit(identity) => identity.fmt(f),
        }
    }
}
