//! A webhook that leaves unanswered what is written of pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use cuo_cluster::source::DEADLINE;
use cuo_lab::cluster::webhook::Webhook;
use cuo_lab::wait::until;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::world::{SOON, World};

const NAME: &str = "silent.example.com";

pub async fn each(world: &World) -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let webhook = Webhook::start(&world.plane, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending()
    });
    let webhook = webhook.await?;
    world.pool("p", json!({"paused": true})).await?;
    let names = ["a", "b", "c", "d"];
    for name in names {
        world.node(name, &[], 1).await?;
    }
    world.want(&names, 2).await?;
    let configured: Api<ValidatingWebhookConfiguration> = Api::all(world.plane.admin());
    let params = PostParams::default();
    configured
        .create(&params, &configuration(&webhook)?)
        .await?;
    let mut settle = 0;
    until("the webhook to be asked", SOON, async || {
        // The status says which generation it is about.
        settle += 1;
        let spec = json!({"paused": true, "settle": format!("{settle}s")});
        world.pool("p", spec).await?;
        Ok((asked.load(Ordering::Relaxed) > 0).then_some(()))
    })
    .await?;

    let start = Instant::now();
    world.pool("p", json!({})).await?;
    world.in_order(&names).await?;
    let took = start.elapsed();
    ensure!(took < DEADLINE, "as long as one status took: {took:?}");

    configured.delete(NAME, &DeleteParams::default()).await?;
    until("the status to be told", SOON, async || {
        let status = world.get("p").await?["status"].clone();
        ensure!(status["nodes"]["upToDate"] == names.len(), "{status:#}");
        Ok(Some(()))
    })
    .await?;
    world.clear().await
}

/// It is asked about the status of each pool, and waited for as long as the API server waits for one at most.
fn configuration(webhook: &Webhook) -> Result<ValidatingWebhookConfiguration> {
    let rule = json!({
        "apiGroups": ["cuo.coreos.com"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["updatepools/status"],
    });
    let found = json!({
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": NAME,
            "clientConfig": webhook.client(),
            "rules": [rule],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "failurePolicy": "Fail",
            "admissionReviewVersions": ["v1"],
        }],
    });
    Ok(serde_json::from_value(found)?)
}
