//! An agent with an identity of its own, in place of the kubelet's.

use cuo_lab::bench::OperatorSpec;

use crate::look::settled;
use crate::{V1, V2, cluster, web};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/agent-identity.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_its_own_suffices_for_a_whole_update() {
    let (_folder, bench) = cluster(2).await;
    bench
        .plane
        .kubectl(&["apply", "--filename", MANIFEST])
        .await
        .unwrap();
    for site in bench.sites() {
        let root = site.machine.lock().await.root().join("");
        std::fs::remove_dir_all(root.join("var/lib/kubelet")).unwrap();
        bench
            .plane
            .client_kubeconfig(
                &format!("cuo:agent:{}", site.name()),
                "cuo:agents",
                &root.join("etc/cuo-agent/kubeconfig"),
            )
            .unwrap();
    }
    web(&bench, 2, 1).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}
