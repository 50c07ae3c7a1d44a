//! The operator as a cluster runs it.

use std::fs;

use anyhow::{Result, ensure};
use cuo_lab::bench::OperatorImage;
use cuo_lab::image::{Build, Program, rootfs};
use cuo_lab::wait::until;

use crate::{Bench, SOON};

#[tokio::test]
async fn the_image_runs_with_what_the_manifest_gives_it() {
    // Built before the control plane starts, since that may take minutes.
    let tree = rootfs(Program::Operator, Build::Debug).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await.unwrap();
    bench.manifest(&["apply"]).await.unwrap();
    let image = OperatorImage::unpack(&bench.plane, dir.path(), &tree)
        .await
        .unwrap();
    for kubelet in &bench.kubelets {
        image.run_on(kubelet);
    }
    // Its first pod may have begun before the kubelets knew how to run it.
    let checked = async {
        bench
            .kubectl("-n cuo-system delete pods --all --now")
            .await?;
        let first = leads(&bench, "").await?;
        bench
            .kubectl("-n cuo-system rollout restart deployment cuo-operator")
            .await?;
        leads(&bench, &first).await?;
        bench
            .kubectl("-n cuo-system get configmap cuo-ledger")
            .await
    };
    if let Err(error) = checked.await {
        let log = fs::read_to_string(image.log()).unwrap_or_default();
        panic!("{error:#}; the operators said:\n{log}");
    }
}

/// Waits until a ready pod other than `before` leads, and returns its name.
async fn leads(bench: &Bench, before: &str) -> Result<String> {
    bench
        .kubectl("-n cuo-system rollout status deployment cuo-operator --timeout=50s")
        .await?;
    until("the pod to lead", SOON, async || {
        let pods = bench
            .kubectl("-n cuo-system get pods -o jsonpath={.items[*].metadata.name}")
            .await?;
        let lease = bench
            .kubectl("-n cuo-system get lease cuo-operator -o jsonpath={.spec.holderIdentity}");
        let holder = lease.await?;
        let [pod] = pods.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("pods: {pods}");
        };
        ensure!(
            pod != before && holder.starts_with(pod),
            "{holder} leads, {pod} runs"
        );
        Ok(Some(pod.to_owned()))
    })
    .await
}
