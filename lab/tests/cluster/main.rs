//! What `cuo_cluster` relies on, asked of a real API server.
//!
//! One control plane serves all steps, one after the other: each leaves behind only objects that no other step looks at.

mod node;
mod operator;
mod pods;
mod watches;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_lab::cluster::controlplane::{ControlPlane, NodeCredential, Options};

const AGENT: Program = Program {
    name: "cuo-agent",
    version: "0.0.0-test",
};
const OPERATOR: Program = Program {
    name: "cuo-operator",
    version: "0.0.0-test",
};
const NAMESPACE: &str = "cuo-system";
const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_is_relied_on_is_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let folder = dir.join("plane");
    let starting = ControlPlane::start(&folder, Options::default());
    let plane = starting.await.unwrap();
    let nodes = ["n1", "n2"]
        .map(|name| format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}\n---\n"));
    apply(&plane, dir, &nodes.concat()).await.unwrap();
    let n1 = node_source(&plane, dir, "n1").await.unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("a node changes its own Node, conditionally");
    node::own_node(&n1).await.unwrap();
    step("what a policy refuses is refused, whatever reason it gives");
    node::refused(&plane, dir, &n1).await.unwrap();
    step("an Event shows with the Node");
    node::event(&plane, &n1).await.unwrap();
    step("evictions are accepted, refused and told apart");
    pods::evictions(&plane, dir, &n1).await.unwrap();
    step("a certificate is replaced when it runs out");
    watches::rotation(&plane, dir).await.unwrap();
    step("the operator's role suffices, and for nothing else");
    let operator = operator::minimal_role(&plane, dir).await.unwrap();
    step("the lease goes from one to the next");
    operator::succession(&operator).await.unwrap();
    step("nobody leads while the API server is frozen");
    operator::frozen(&plane, &operator).await.unwrap();
    step("watches get over a restart of the API server");
    watches::restart(&plane, &n1, &operator).await.unwrap();
}

async fn apply(plane: &ControlPlane, dir: &Path, manifest: &str) -> Result<()> {
    let file = dir.join("manifest.yaml");
    std::fs::write(&file, manifest)?;
    let file = file.to_str().context("the path is text")?;
    plane
        .kubectl(&["apply", "--server-side", "-f", file])
        .await
        .map(drop)
}

async fn node_source(plane: &ControlPlane, dir: &Path, node: &str) -> Result<ClientSource> {
    let path = dir.join(node).join("kubeconfig");
    plane.node_kubeconfig(node, &path, NodeCredential::Embedded, HOUR)?;
    Ok(source(&path, AGENT).await)
}

async fn source(path: &Path, program: Program) -> ClientSource {
    let credentials = Credentials::File {
        path: path.to_owned(),
        root: "/".into(),
    };
    ClientSource::start(credentials, program).await
}
