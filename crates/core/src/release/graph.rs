//! Update graphs in Cincinnati's protocol, as Fedora CoreOS serves it.
//!
//! The server leaves out of the edges what this host may not go to: what is beyond a barrier, and what is not rolled out to it yet. So from
//! what runs only edges are followed.

mod read;
mod route;

use crate::ids::ReleaseId;

pub use read::GraphError;
pub use route::{Aim, Here, Route, Walk};

/// One release of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphRelease {
    /// Its version.
    pub version: String,
    /// What it contains; `None` where the graph says it in a way that this build does not know, so that nobody is led there.
    pub identity: Option<ReleaseId>,
    /// The repository of its image; `None` for a commit.
    pub repository: Option<String>,
    /// Its place in the order of the stream: higher is newer. What has none is never chosen.
    pub age: Option<u64>,
    /// Why no update leads on from here.
    pub dead_end: Option<String>,
}

/// A graph: releases, and which of them may be booted after which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The releases, in the order of the answer.
    pub releases: Vec<GraphRelease>,
    /// From and to, as indexes into the releases.
    edges: Vec<(usize, usize)>,
}

#[cfg(test)]
mod tests;
