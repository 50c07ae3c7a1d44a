//! Pods that are to leave, and what came of that.

use anyhow::ensure;
use cuo_lab::bench::Bench;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;

use crate::look::seen;

/// A pod on `node` that nobody makes anew; returns when it runs.
pub async fn run(bench: &Bench, name: &str, node: &str) {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]}}\n"
    );
    let file = format!("{name}.yaml");
    bench.apply(&file, &manifest).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(bench.plane.admin(), "default");
    let runs = async || {
        let status = pods.get(name).await?.status.unwrap_or_default();
        Ok((status.phase.as_deref() == Some("Running")).then_some(()))
    };
    seen(bench, &format!("{name} to run"), runs).await;
}

/// A budget without any room for the pod `app`, which is counted.
pub async fn guard(bench: &Bench, app: &str) {
    let manifest = format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {app}, namespace: default}}\n\
         spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {app}}}}}}}\n"
    );
    let file = format!("{app}-budget.yaml");
    bench.apply(&file, &manifest).await.unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.plane.admin(), "default");
    let counted = async || {
        let status = budgets.get(app).await?.status.unwrap_or_default();
        ensure!(status.current_healthy == Some(1), "{status:?}");
        Ok(Some(()))
    };
    seen(bench, "the budget to be counted", counted).await;
}

/// The budget is gone.
pub async fn let_go(bench: &Bench, app: &str) {
    let delete = ["delete", "pdb", app];
    bench.plane.kubectl(&delete).await.unwrap();
}

/// How many evictions of `pod` there were that were meant.
pub fn evictions(bench: &Bench, pod: &str) -> usize {
    let (calls, _) = bench.plane.calls_since(0).unwrap();
    let real = calls.iter().filter(|call| {
        call.subresource == "eviction" && call.name == pod && !call.uri.contains("dryRun=All")
    });
    real.count()
}
