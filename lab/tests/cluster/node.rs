//! A node and its own Node.

use anyhow::{Context, Result, ensure};
use cuo_cluster::events::{About, Kind, Severity, publish};
use cuo_cluster::node::{Keep, get_node, patch_node, whoami};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::raw::{NodePatch, RawNode};
use cuo_core::reason::{Code, Reason};
use cuo_lab::controlplane::ControlPlane;
use cuo_lab::wait::until;

use crate::SOON;

async fn read(source: &ClientSource, name: &str) -> Result<RawNode> {
    let found = get_node(source, name, &Keep::default()).await?;
    found.with_context(|| format!("there is no Node {name}"))
}

pub async fn own_node(n1: &ClientSource) -> Result<()> {
    assert_eq!(whoami(n1).await?.node(), Some("n1"));
    let set = NodePatch {
        resource_version: String::new(),
        annotations: [(
            "cuo.coreos.com/status".to_owned(),
            Some("idle since now".to_owned()),
        )]
        .into(),
        labels: [("cuo.coreos.com/id".to_owned(), Some("fedora".to_owned()))].into(),
        unschedulable: Some(true),
    };
    let (before, after) = change(n1, &set).await?;
    let mut expected = before.clone();
    expected
        .resource_version
        .clone_from(&after.resource_version);
    expected
        .annotations
        .insert("cuo.coreos.com/status".into(), "idle since now".into());
    expected
        .labels
        .insert("cuo.coreos.com/id".into(), "fedora".into());
    expected.unschedulable = true;
    assert_eq!(after, expected);
    assert_ne!(after.resource_version, before.resource_version);

    let late = NodePatch {
        resource_version: before.resource_version.clone(),
        ..set
    };
    let refused = patch_node(n1, "n1", &late, &Keep::default(), DEADLINE).await;
    ensure!(
        matches!(refused, Err(ApiError::Conflict { .. })),
        "{refused:?}"
    );

    let undo = NodePatch {
        resource_version: String::new(),
        annotations: [("cuo.coreos.com/status".to_owned(), None)].into(),
        labels: [("cuo.coreos.com/id".to_owned(), None)].into(),
        unschedulable: Some(false),
    };
    let (_, undone) = change(n1, &undo).await?;
    let expected = RawNode {
        resource_version: undone.resource_version.clone(),
        ..before
    };
    assert_eq!(undone, expected);

    let other = patch_node(n1, "n2", &late, &Keep::default(), DEADLINE).await;
    ensure!(
        matches!(other, Err(ApiError::Forbidden { .. })),
        "{other:?}"
    );
    let absent = get_node(n1, "n3", &Keep::default()).await;
    ensure!(
        matches!(absent, Err(ApiError::Forbidden { .. })),
        "{absent:?}"
    );
    Ok(())
}

/// Applies `patch` to what the Node is now, and returns both versions. Controllers write to a new Node too, so it may take some tries.
async fn change(n1: &ClientSource, patch: &NodePatch) -> Result<(RawNode, RawNode)> {
    until("a write that nobody came before", SOON, async || {
        let before = read(n1, "n1").await?;
        let patch = NodePatch {
            resource_version: before.resource_version.clone(),
            ..patch.clone()
        };
        Ok(Some((
            before,
            patch_node(n1, "n1", &patch, &Keep::default(), DEADLINE).await?,
        )))
    })
    .await
}

pub async fn event(plane: &ControlPlane, n1: &ClientSource) -> Result<()> {
    let node = read(n1, "n1").await?;
    let about = About {
        kind: Kind::Node,
        name: node.name,
        uid: node.uid,
    };
    let reason = Reason::new(Code::DrainBlocked, "default/guarded is blocked by guard.");
    publish(
        n1,
        &about,
        Severity::Warning,
        "Drain",
        &reason,
        "n1",
        jiff::Timestamp::now(),
    )
    .await?;
    let described = plane.kubectl(&["describe", "node", "n1"]).await?;
    ensure!(
        described.contains("default/guarded is blocked by guard."),
        "{described}"
    );
    Ok(())
}
