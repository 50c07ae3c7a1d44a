//! The API server: its audit log, its absence, and its end.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::{AuditEntry, ControlPlane};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use tokio::time::timeout;

use crate::{SOON, apply, node_ready, pod_ready};

fn config_map(name: &str) -> Result<ConfigMap> {
    Ok(serde_json::from_value(
        serde_json::json!({"metadata": {"name": name}}),
    )?)
}

pub async fn audit(plane: &ControlPlane) -> Result<()> {
    let (_, before) = plane.audit_since(0)?;
    let maps: Api<ConfigMap> = Api::namespaced(plane.admin(), "default");
    maps.create(&PostParams::default(), &config_map("audited")?)
        .await?;
    maps.get("audited").await?;
    maps.delete("audited", &DeleteParams::default()).await?;
    let refused = maps.delete("audited", &DeleteParams::default()).await;
    ensure!(refused.is_err(), "it was deleted twice");

    let seen = until("three entries", SOON, async || {
        let (entries, _) = plane.audit_since(before)?;
        let about: Vec<AuditEntry> = entries
            .into_iter()
            .filter(|entry| entry.name == "audited")
            .collect();
        Ok((about.len() >= 3).then_some(about))
    })
    .await?;
    let collection = "/api/v1/namespaces/default/configmaps";
    let expected = [
        ("create", 201, ""),
        ("delete", 200, "/audited"),
        ("delete", 404, "/audited"),
    ]
    .map(|(verb, code, path)| AuditEntry {
        received: String::new(),
        verb: verb.into(),
        user: "kubernetes-admin".into(),
        resource: "configmaps".into(),
        subresource: String::new(),
        namespace: "default".into(),
        name: "audited".into(),
        code,
        user_agent: String::new(),
        uri: format!("{collection}{path}?"),
    });
    // kube names no user agent of its own; the time is anybody's guess.
    let seen: Vec<AuditEntry> = seen
        .into_iter()
        .map(|entry| AuditEntry {
            received: String::new(),
            user_agent: String::new(),
            ..entry
        })
        .collect();
    ensure!(seen == expected, "{seen:#?}");

    let heartbeats = plane.audit()?.into_iter().filter(|entry| {
        entry.namespace == "kube-node-lease" && entry.user.starts_with("system:node:")
    });
    ensure!(heartbeats.count() == 0, "heartbeats in the audit log");
    Ok(())
}

pub async fn restart(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(plane.admin(), "default");
    maps.create(&PostParams::default(), &config_map("kept")?)
        .await?;
    let server = plane.server();
    plane.stop_api().await?;
    ensure!(
        maps.get("kept").await.is_err(),
        "it answers though it was stopped"
    );
    plane.start_api().await?;
    ensure!(plane.server() == server, "another address");
    maps.get("kept").await.context("what was written before")?;

    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: later, namespace: default}\nspec: {containers: [{name: main, image: none}]}\n";
    apply(plane, dir, pod).await?;
    pod_ready(plane, "later")
        .await
        .context("scheduler and kubelets after the restart")?;
    plane
        .kubectl(&["create", "deployment", "later", "--image=none"])
        .await?;
    until(
        "the controllers to work after the restart",
        SOON,
        async || {
            let ready = plane
                .kubectl(&[
                    "get",
                    "deployment",
                    "later",
                    "-o",
                    "jsonpath={.status.readyReplicas}",
                ])
                .await?;
            Ok((ready == "1").then_some(()))
        },
    )
    .await?;
    node_ready(plane, "n1").await?;
    node_ready(plane, "n2").await
}

pub async fn frozen(plane: &ControlPlane) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(plane.admin(), "default");
    plane.pause_api()?;
    let answer = timeout(Duration::from_secs(1), maps.get("kept")).await;
    plane.resume_api()?;
    ensure!(
        answer.is_err(),
        "it answered though it was frozen: {answer:?}"
    );
    until("it to answer again", SOON, async || {
        Ok(Some(maps.get("kept").await?))
    })
    .await?;
    Ok(())
}

pub async fn end(plane: ControlPlane) -> Result<()> {
    let server = plane.server();
    let address = server.strip_prefix("https://").context("an address")?;
    ensure!(TcpStream::connect(address).is_ok(), "nothing listened");
    drop(plane);
    ensure!(
        TcpStream::connect(address).is_err(),
        "something still listens"
    );
    Ok(())
}
