//! The way back from an update that does not work.

use cuo_agent::steps::Named;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::OperatorSpec;

use crate::look::{answers, held, node, publish_to, settled, shows, verdict};
use crate::{V1, V2, V3, cluster};

/// With the update no kubelet reports: the node gives its slot back and gets another one to go back to what it ran before, whenever its
/// agent is killed on the way. Nobody else boots that version, and the next one goes to all.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_sick_goes_back_where_it_is_configured_to() {
    let (_folder, bench) = cluster(2).await;
    for site in bench.sites() {
        let text = "[health]\nsettle = \"1s\"\ndeadline = \"5s\"\nrollback = true\n";
        site.configure("90-health.toml", Some(text)).await.unwrap();
    }
    let (first, other) = ("n1", "n2");
    let sick = bench.site(first).unwrap();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();

    let gates = ["decided", "before", "after"].map(|moment| Named::RollBack.gate(moment));
    let reboot = Named::Reboot.gate("before");
    sick.gate().shut(&gates[0]).unwrap();
    sick.kubelet_after_boot(false);
    publish_to(&bench, &[first], V2).await;
    let granted = |node: &cuo_core::node::NodeView| !node.operator.grant.is_absent();
    node(&bench, first, "to be granted", granted).await;
    publish_to(&bench, &[other], V2).await;

    let next = gates[1..].iter().chain([&reboot]);
    for (gate, next) in gates.iter().zip(next) {
        held(&bench, first, gate).await;
        let seen = bench.node(first).unwrap();
        assert!(seen.unschedulable && !seen.ready, "{seen:#?}");
        assert_eq!(sick.machine.lock().await.booted_version().unwrap(), V2);
        sick.kill_agent().await.unwrap();
        sick.gate().shut(next).unwrap();
        sick.gate().open(gate).unwrap();
        sick.start_agent().await.unwrap();
    }
    held(&bench, first, &reboot).await;
    verdict(&bench, &operator, Code::IdentityFailed, 1).await;
    sick.kubelet_after_boot(true);
    sick.gate().open(&reboot).unwrap();
    answers(&bench, first, Outcome::Done, None).await;
    // It is still the newest, so it is staged again, and held.
    shows(&bench, first, Phase::Held, Some(Code::IdentityFailed)).await;
    let found = bench.node(first).unwrap();
    assert!(!found.unschedulable, "{found:#?}");
    assert_eq!(sick.machine.lock().await.booted_version().unwrap(), V1);
    assert_eq!(
        (sick.reboots(), bench.site(other).unwrap().reboots()),
        (2, 0)
    );
    let log = sick.agent_log(10_000).await;
    for text in [
        "is not healthy after the boot, and asks for the reboot back: RollbackWanted: ",
        "asks rpm-ostree to go back to ",
    ] {
        assert!(log.contains(text), "{text}\n{log}");
    }

    bench.publish(V3).await.unwrap();
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}
