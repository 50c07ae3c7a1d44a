//! Who one is with which credential, and what it allows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::{ControlPlane, NodeCredential};
use cuo_lab::wait::until;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::SOON;

const HOUR: Duration = Duration::from_secs(3600);

/// The user's name and whether it is in the group of nodes, or the status code of the refusal.
async fn whoami(client: Client) -> Result<(String, bool), u16> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let parameters = PostParams::default();
    match reviews
        .create(&parameters, &SelfSubjectReview::default())
        .await
    {
        Ok(review) => {
            let user = review
                .status
                .and_then(|status| status.user_info)
                .unwrap_or_default();
            let node = user
                .groups
                .iter()
                .flatten()
                .any(|group| group == "system:nodes");
            Ok((user.username.unwrap_or_default(), node))
        }
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(_) => Err(0),
    }
}

pub async fn node(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let path = dir.join("embedded/kubeconfig");
    plane.node_kubeconfig("n1", &path, NodeCredential::Embedded, HOUR)?;
    let nodes: Api<Node> = Api::all(plane.client(&path).await?);
    let patch =
        Patch::Merge(json!({"metadata": {"annotations": {"cuo.coreos.com/status": "tried"}}}));
    let parameters = PatchParams::default();

    let own = nodes.patch("n1", &parameters, &patch).await?;
    let annotations = own.metadata.annotations.unwrap_or_default();
    ensure!(
        annotations.get("cuo.coreos.com/status").map(String::as_str) == Some("tried"),
        "{annotations:?}"
    );
    match nodes.patch("n2", &parameters, &patch).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => anyhow::bail!("another node's Node: {other:?}"),
    }
}

pub async fn rotation(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let path = dir.join("var/lib/kubelet/kubeconfig");
    let current = dir.join("var/lib/kubelet/pki/kubelet-client-current.pem");
    let short = Duration::from_secs(4);
    plane.node_kubeconfig("n1", &path, NodeCredential::Rotating, short)?;
    let (config, certificate, target) = (
        fs::read(&path)?,
        fs::read(&current)?,
        fs::read_link(&current)?,
    );
    let expiring = plane.client(&path).await?;
    let expected = Ok(("system:node:n1".to_owned(), true));
    ensure!(
        whoami(expiring.clone()).await == expected,
        "before the rotation"
    );

    plane.rotate_node_cert("n1", &path, HOUR)?;
    ensure!(fs::read(&path)? == config, "the kubeconfig was touched");
    ensure!(
        fs::read(&current)? != certificate && fs::read_link(&current)? != target,
        "the certificate didn't turn"
    );
    let rotated = plane.client(&path).await?;
    ensure!(
        whoami(rotated.clone()).await == expected,
        "after the rotation"
    );

    until("the old certificate to end", SOON, async || {
        let seen = whoami(expiring.clone()).await;
        ensure!(seen == Err(401), "{seen:?}");
        Ok(Some(()))
    })
    .await?;
    ensure!(
        whoami(rotated).await == expected,
        "the new certificate ended with the old one"
    );

    let files = fs::read_dir(dir.join("var/lib/kubelet/pki"))?;
    let names: BTreeSet<String> = files
        .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    ensure!(
        names.len() == 3 && names.iter().all(|name| name.ends_with(".pem")),
        "{names:?}"
    );
    Ok(())
}

pub async fn service_account(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let path = dir.join("account/kubeconfig");
    plane
        .service_account_kubeconfig("default", "default", &path)
        .await?;
    let client = plane.client(&path).await?;
    let seen = whoami(client).await;
    ensure!(
        seen == Ok(("system:serviceaccount:default:default".to_owned(), false)),
        "{seen:?}"
    );
    let missing = plane
        .token("default", "nobody")
        .await
        .err()
        .context("a token of nobody")?;
    ensure!(
        format!("{missing:#}").starts_with("a token for the service account default/nobody: "),
        "{missing:#}"
    );
    Ok(())
}
