//! Rollouts without faults.

use cuo_lab::bench::{OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;

use crate::{PATIENCE, V1, V2, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_update_goes_through_a_mixed_cluster_one_node_at_a_time() {
    let sites = vec![
        SiteSpec {
            name: "cp1".into(),
            control_plane: true,
            host: HostSpec::container(V1),
        },
        SiteSpec::worker("n1", HostSpec::ostree(V1)),
        SiteSpec::worker(
            "n2",
            HostSpec {
                layered: vec!["htop".into()],
                ..HostSpec::ostree(V1)
            },
        ),
    ];
    let (_folder, bench) = start(sites).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    bench.recorder.reset();
    bench.publish(V2).await.unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    assert_eq!(
        bench.sites().map(|site| site.reboots()).collect::<Vec<_>>(),
        [1, 1, 1]
    );
}
