//! An update graph server, as Fedora CoreOS has one: `GET /v1/graph`.
//!
//! It answers as the two programs of coreos/fedora-coreos-cincinnati (95388bd, December 2025) do together: nodes with their metadata,
//! and edges that skip no barrier, leave no dead end and lead to no release that is not rolled out to this client yet. It has no
//! releases until a test gives it some, and fails as a test wants it to.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use cuo_lab::graph::{Failure, GraphServer, Scope, Vertex};
//! let server = GraphServer::start().await?;
//! let releases = ["42.20260101.3.0", "42.20260201.3.0", "42.20260301.3.0"].map(Vertex::new);
//! let [one, two, three] = releases;
//! server.serve(Scope::images("stable"), vec![one, two.barrier("keys"), three.rolled_out()]);
//! println!("{}/v1/graph?basearch=x86_64&stream=stable&oci=true", server.url());
//! server.fail(Failure::Garbage);
//! assert_eq!(server.requests().len(), 0);
//! # Ok(())
//! # }
//! ```

mod answer;
mod edges;
mod release;
mod server;

pub use answer::{Failure, Request};
pub use release::{Graphs, Rollout, Scope, Vertex, releases};
pub use server::GraphServer;

#[cfg(test)]
mod tests;
