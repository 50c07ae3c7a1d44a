//! Boots that do not bring what was granted, and boots that nobody granted.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{OperatorSpec, Site};
use cuo_lab::logind::{BLOCKED, BLOCKED_TEXT, Inhibitors};
use cuo_lab::machine::Reboot;
use cuo_lab::ostree::{Effect, Fault, Stage};

use crate::look::{answers, held, is_free, no_slot, node, publish_to, settled, shows, verdict};
use crate::{V1, V2, V3, cluster};

/// The version after V3.
const V4: &str = "42.20260401.3.0";

/// The first node shows that a version is bad, in one way or the other; none tries it any more, and the next version goes to all.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_version_stops_at_the_first_node_until_the_next_one() {
    let (_folder, bench) = cluster(3).await;
    let sites: Vec<_> = bench.sites().collect();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    for (version, kind, code) in [
        (V2, Reboot::Fallback, Code::BootedFallback),
        (V3, Reboot::RolledBack, Code::RolledBack),
    ] {
        sites[0].next_reboot(kind);
        publish_to(&bench, &["n1"], version).await;
        let granted = |node: &NodeView| !node.operator.grant.is_absent();
        node(&bench, "n1", "to be granted", granted).await;
        publish_to(&bench, &["n2", "n3"], version).await;
        answers(&bench, "n1", Outcome::Failed, Some(code)).await;
        for name in ["n2", "n3"] {
            shows(&bench, name, Phase::Waiting, None).await;
        }
        node(&bench, "n1", "to be free", is_free).await;
        no_slot(&bench).await;
        // It is still the newest, so n1 has it staged again, or would boot it next, and holds it.
        verdict(&bench, &operator, Code::IdentityFailed, 3).await;
        shows(&bench, "n1", Phase::Held, Some(Code::IdentityFailed)).await;
        assert!(!bench.node("n1").unwrap().unschedulable);
        for site in &sites {
            let booted = bench.node(site.name()).unwrap().agent.booted;
            assert_eq!(
                booted.value().map(|booted| booted.version.as_str()),
                Some(V1)
            );
        }
    }
    bench.publish(V4).await.unwrap();
    settled(&bench, V4).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    let reboots: Vec<_> = sites.iter().map(|site| site.reboots()).collect();
    assert_eq!(reboots, [3, 1, 1]);
}

/// Reboots that lose what was staged, with a grant and without one, before the update was finalized and after that: none of them is
/// taken for the update, which is staged again and goes through.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_a_reboot_lost_is_staged_again() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;

    // Without a grant.
    bench.publish(V2).await.unwrap();
    for kind in [Reboot::Clean, Reboot::PowerCut] {
        shows(&bench, "n1", Phase::Waiting, None).await;
        let before = bench.node("n1").unwrap().kubelet_boot;
        site.reboot(kind).await.unwrap();
        node(&bench, "n1", "to have booted", |node| {
            let booted = node.agent.booted.value();
            node.kubelet_boot != before
                && booted.map(|booted| Some(booted.boot)) == Some(node.kubelet_boot)
        })
        .await;
        let found = bench.node("n1").unwrap();
        assert_eq!(
            found
                .agent
                .booted
                .value()
                .map(|booted| booted.version.as_str()),
            Some(V1)
        );
        assert!(
            found.agent.result.is_absent() && is_free(&found),
            "{found:#?}"
        );
    }

    // Somebody reboots while it is being drained.
    shows(&bench, "n1", Phase::Waiting, None).await;
    site.gate().shut("agent-after-cordon").unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    held(&bench, "n1", "agent-after-cordon").await;
    site.gate().shut("agent-before-finalize").unwrap();
    site.reboot(Reboot::PowerCut).await.unwrap();
    site.gate().open("agent-after-cordon").unwrap();
    answers(&bench, "n1", Outcome::Aborted, Some(Code::ForeignReboot)).await;
    assert!(!bench.node("n1").unwrap().unschedulable);

    // The update is finalized, and the boot does not have it.
    held(&bench, "n1", "agent-before-finalize").await;
    site.next_reboot(Reboot::FinalizeFailed);
    site.gate().open("agent-before-finalize").unwrap();
    let failed = Some(Code::FinalizationFailed);
    answers(&bench, "n1", Outcome::Aborted, failed).await;
    settled(&bench, V2).await;
    no_slot(&bench).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    bench.judge(1).unwrap();
    assert_eq!(site.reboots(), 5);
}

/// A reboot that does not come is asked for again after two seconds.
async fn in_haste(site: &Site) {
    let config = "[reboot]\nshutdown = \"2s\"\n";
    let machine = site.machine.lock().await;
    let path = "etc/cuo-agent/config.d/90-reboot.toml";
    machine.root().write(path, config).unwrap();
}

async fn logind(site: &Site, change: impl FnOnce(&mut Inhibitors)) {
    site.machine.lock().await.root().edit(change).unwrap();
}

/// rpm-ostreed dies at each point of a finalization. Before the update is unlocked, a reboot in another way would drop it, and after
/// that only another way is left: whichever it is, the host boots what was granted, in one reboot.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_dropped_wherever_rpm_ostreed_dies() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    in_haste(site).await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    let stages = [
        Stage::Call,
        Stage::Opened,
        Stage::Start,
        Stage::Running,
        Stage::Deploy,
        Stage::Finish,
        Stage::Reboot,
    ];
    for (index, stage) in stages.into_iter().enumerate() {
        let version = format!("42.2026{:02}01.3.0", index + 2);
        let fault = Fault::once("FinalizeDeployment", stage, Effect::Crash);
        site.machine.lock().await.inject(fault).unwrap();
        site.publish(&version).await.unwrap();
        settled(&bench, &version).await;
        answers(&bench, "n1", Outcome::Done, None).await;
        assert_eq!(site.reboots() as usize, index + 1, "{stage:?}");
    }
    bench.judge(1).unwrap();
}

/// The host is asked to reboot and stays up. The slot is kept, because it may go down at any time, and given back where logind says no.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stays_up_is_told_and_one_that_may_not_reboot_is_let_go() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    in_haste(site).await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();

    // Neither rpm-ostree's request nor the agent's own comes to anything, until somebody presses the button.
    logind(site, |logind| logind.forget_reboots = true).await;
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Failed, Some(Code::RebootDidNotHappen)).await;
    let found = bench.node("n1").unwrap();
    assert!(!found.agent.progress.is_absent() && found.unschedulable);
    logind(site, |logind| logind.forget_reboots = false).await;
    site.reboot(Reboot::Clean).await.unwrap();
    settled(&bench, V2).await;
    answers(&bench, "n1", Outcome::Done, None).await;

    // Each says no. Next time rpm-ostreed has finalized before and takes nothing new, so it is logind's turn at once.
    let blocked = Some((BLOCKED.to_owned(), BLOCKED_TEXT.to_owned()));
    logind(site, |logind| logind.refuse = blocked).await;
    bench.publish(V3).await.unwrap();
    let inhibited = Some(Code::Inhibited);
    answers(&bench, "n1", Outcome::Aborted, inhibited).await;
    logind(site, |logind| logind.refuse = None).await;
    settled(&bench, V3).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    assert_eq!(site.reboots(), 2);
    bench.judge(1).unwrap();
}
