//! Updates that bring another kubelet.

use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::OperatorSpec;
use cuo_lab::machine::ostree::Remote;

use crate::look::{boots, settled, shows};
use crate::{V1, V2, cluster};

/// The API server of the lab is older than the one and as old as the other.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_a_kubelet_that_is_newer_than_the_api_server_waits() {
    let (_folder, bench) = cluster(2).await;
    let [n1, n2] = ["n1", "n2"].map(|name| bench.site(name).unwrap());
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    for (site, kubelet) in [(n1, "1.99.0-1"), (n2, "1.37.9-1")] {
        let machine = site.machine.lock().await;
        let pack = |remote: &mut Remote| remote.pack(V2, "kubelet", kubelet);
        machine.root().edit(pack).unwrap();
    }
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Held, Some(Code::KubeletTooNew)).await;
    boots(&bench, "n2", V2).await;
    let reason = bench.node("n1").unwrap().agent.reason;
    let said = &reason.value().unwrap().message;
    assert_eq!(
        said,
        &format!("{V2} brings kubelet 1.99, and the API server is 1.37")
    );
    assert_eq!(n1.reboots(), 0);

    let ignore = "[release]\nkubelet_skew = \"ignore\"\n";
    n1.configure("60-skew.toml", Some(ignore)).await.unwrap();
    n1.hang_up().await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}
