//! A node and its own Node.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cuo_cluster::events::{About, Kind, Note, Severity, publish};
use cuo_cluster::node::{Keep, get_node, patch_node, whoami};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::{ApiError, ClientSource};
use cuo_core::raw::{NodePatch, RawNode};
use cuo_core::reason::{Code, Reason};
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::wait::until;

use crate::{SOON, apply};

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
        // A controller brings the taint of a cordon, and takes it away, when it comes to it.
        taints: undone.taints.clone(),
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

/// The reasons that a ValidatingAdmissionPolicy may give, each with a code of its own. `Unauthorized` has one, too (401), but no policy may
/// give it.
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
/// The annotation that says which of them to refuse a write with.
const REASON: &str = "example.com/reason";

fn refuses() -> String {
    let unless = |reason: &str| {
        let annotation = format!("object.metadata.?annotations[?'{REASON}'].orValue('')");
        format!(
            "  - {{expression: \"{annotation} != '{reason}'\", message: not this way, reason: {reason}}}\n"
        )
    };
    let group = "apiVersion: admissionregistration.k8s.io/v1";
    let meta = "metadata: {name: reasons}";
    let rule = "{apiGroups: [''], apiVersions: [v1], operations: [UPDATE], resources: [nodes]}";
    format!(
        "{group}\nkind: ValidatingAdmissionPolicy\n{meta}\nspec:\n  matchConstraints: {{resourceRules: [{rule}]}}\n  validations:\n{}---\n\
         {group}\nkind: ValidatingAdmissionPolicyBinding\n{meta}\nspec: {{policyName: reasons, validationActions: [Deny]}}\n",
        REASONS.map(unless).concat()
    )
}

/// What a policy refuses is refused with whatever reason, and the credentials stay as they are.
pub async fn refused(plane: &ControlPlane, dir: &Path, n1: &ClientSource) -> Result<()> {
    apply(plane, dir, &refuses()).await?;
    until("the policy to be in force", SOON, async || {
        let value = format!("{REASON}=Forbidden");
        let question = ["annotate", "node", "n1", "--dry-run=server", &value];
        Ok(plane.kubectl(&question).await.is_err().then_some(()))
    })
    .await?;
    let generation = n1.status().generation;
    for reason in REASONS {
        let done = until("an answer that is no conflict", SOON, async || {
            let patch = NodePatch {
                resource_version: read(n1, "n1").await?.resource_version,
                annotations: [(REASON.to_owned(), Some(reason.to_owned()))].into(),
                ..NodePatch::default()
            };
            let done = patch_node(n1, "n1", &patch, &Keep::default(), DEADLINE).await;
            Ok((!matches!(done, Err(ApiError::Conflict { .. }))).then_some(done))
        })
        .await?;
        let why = "ValidatingAdmissionPolicy 'reasons' with binding 'reasons' denied request: not this way";
        let message = format!("nodes \"n1\" is forbidden: {why}");
        assert_eq!(done, Err(ApiError::Forbidden { message }), "{reason}");
    }
    assert_eq!(n1.status().generation, generation);
    for kind in ["", "binding"] {
        let kind = format!("validatingadmissionpolicy{kind}");
        plane.kubectl(&["delete", &kind, "reasons"]).await?;
    }
    Ok(())
}

pub async fn event(plane: &ControlPlane, n1: &ClientSource) -> Result<()> {
    let node = read(n1, "n1").await?;
    let about = About {
        kind: Kind::Node,
        name: node.name,
        uid: node.uid,
    };
    let reason = Reason::new(Code::DrainBlocked, "default/guarded is blocked by guard.");
    let note = Note {
        severity: Severity::Warning,
        action: "Drain",
        reason: &reason,
    };
    publish(n1, &about, note, "n1", jiff::Timestamp::now()).await?;
    let described = plane.kubectl(&["describe", "node", "n1"]).await?;
    ensure!(
        described.contains("default/guarded is blocked by guard."),
        "{described}"
    );
    Ok(())
}
