//! Reading a graph from an answer of the server.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Graph, GraphRelease};
use crate::ids::ReleaseId;
use crate::reason::line;
use crate::release::ImageName;

/// Why an answer is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// It is no JSON of the protocol.
    #[error("it is no update graph: {0}")]
    NotAGraph(String),
    /// An edge leads from or to a release that is not there.
    #[error("its edge {from} → {to} leaves the {releases} releases that it has")]
    Edge {
        /// Index of where it begins.
        from: usize,
        /// Index of where it ends.
        to: usize,
        /// How many releases there are.
        releases: usize,
    },
}

#[derive(Deserialize)]
struct Answer {
    nodes: Vec<AnswerNode>,
    edges: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct AnswerNode {
    version: String,
    payload: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// How Fedora's keys of metadata begin (fedora-coreos-cincinnati, `fcos-graph-builder`).
const PREFIX: &str = "org.fedoraproject.coreos.";

impl Graph {
    /// Reads an answer of `GET /v1/graph`. A release that says nothing usable of itself stays in its place and is never chosen.
    ///
    /// # Errors
    /// When the whole can't be trusted to say what leads where.
    pub fn parse(text: &str) -> Result<Self, GraphError> {
        let answer: Answer = serde_json::from_str(text)
            .map_err(|error| GraphError::NotAGraph(line(&error.to_string())))?;
        let releases: Vec<_> = answer.nodes.into_iter().map(GraphRelease::from).collect();
        let there = releases.len();
        let outside = |(from, to): &&(usize, usize)| *from >= there || *to >= there;
        if let Some((from, to)) = answer.edges.iter().find(outside) {
            return Err(GraphError::Edge {
                from: *from,
                to: *to,
                releases: there,
            });
        }
        Ok(Self {
            releases,
            edges: answer.edges,
        })
    }
}

impl From<AnswerNode> for GraphRelease {
    fn from(node: AnswerNode) -> Self {
        let of = |key: &str| node.metadata.get(&format!("{PREFIX}{key}"));
        let (identity, repository) = match node.payload.parse::<ReleaseId>() {
            Ok(commit @ ReleaseId::Commit(_)) => (Some(commit), None),
            Ok(ReleaseId::Image(_)) => (None, None),
            Err(_) => match node.payload.parse::<ImageName>() {
                Ok(image) => (image.digest(), Some(image.repository)),
                Err(_) => (None, None),
            },
        };
        let dead = of("updates.deadend").is_some_and(|dead| dead == "true");
        let why = of("updates.deadend_reason").map_or("no reason is given", String::as_str);
        Self {
            identity,
            repository,
            age: of("releases.age_index").and_then(|age| age.parse().ok()),
            dead_end: dead.then(|| line(why)),
            version: node.version,
        }
    }
}
