//! From the request to reboot to the end of the boot, where it does not go as it should.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::machine::Reboot;
use cuo_lab::machine::logind::{BLOCKED, BLOCKED_TEXT, Inhibitors, Lock};
use cuo_lab::machine::ostree::{Effect, Fault, Faults, NodeRoot, Release, Stage};

use crate::look::{answers, gives_up, held, is_free, no_slot, pause, seen, settled, shows};
use crate::{V1, V2, V3, cluster};

/// A reboot that does not come is asked for again after two seconds.
async fn in_haste(site: &Site) {
    patient(site, "2s").await;
}

/// From the agent's next start on, a reboot that does not come is waited for as long as that.
async fn patient(site: &Site, shutdown: &str) {
    let config = format!("[reboot]\nshutdown = \"{shutdown}\"\n");
    let machine = site.machine.lock().await;
    let path = "etc/cuo-agent/config.d/90-reboot.toml";
    machine.root().write(path, config).unwrap();
}

async fn logind(site: &Site, change: impl FnOnce(&mut Inhibitors)) {
    site.machine.lock().await.root().edit(change).unwrap();
}

/// rpm-ostreed dies at each point of a finalization. Before the update is unlocked, a reboot in another way would drop it, so it is asked
/// again, at once; after that only another way is left. Whichever it is, the host boots what was granted, in one reboot.
#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_dropped_wherever_rpm_ostreed_dies() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    let stages = [
        (Stage::Call, "1h"),
        (Stage::Opened, "1h"),
        (Stage::Start, "1h"),
        (Stage::Running, "1h"),
        (Stage::Deploy, "1h"),
        (Stage::Finish, "2s"),
        (Stage::Reboot, "2s"),
    ];
    for (index, (stage, shutdown)) in stages.into_iter().enumerate() {
        site.kill_agent().await.unwrap();
        patient(site, shutdown).await;
        site.start_agent().await.unwrap();
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

/// Between the last look and the request, somebody takes a lock, and then deploys something else: rpm-ostree refuses both, the slot is
/// given back, and what was granted is asked for anew, or what is there now.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_at_the_last_moment_gives_the_slot_back() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    let step = "agent-before-finalize";
    site.gate().shut(step).unwrap();
    bench.publish(V2).await.unwrap();
    held(&bench, "n1", step).await;
    let lock = Lock::on_shutdown("some-app", "for a test", "block");
    logind(site, |logind| logind.locks.push(lock)).await;
    site.gate().open(step).unwrap();
    let inhibited = Some(Code::Inhibited);
    answers(&bench, "n1", Outcome::Aborted, inhibited).await;
    shows(&bench, "n1", Phase::Held, inhibited).await;
    no_slot(&bench).await;
    assert!(is_free(&bench.node("n1").unwrap()));
    site.gate().shut(step).unwrap();
    logind(site, |logind| logind.locks.clear()).await;

    held(&bench, "n1", step).await;
    site.publish(V3).await.unwrap();
    work(site, V3).await;
    site.gate().open(step).unwrap();
    let refused = Some(Code::FinalizeFailed);
    answers(&bench, "n1", Outcome::Aborted, refused).await;
    assert_eq!(site.reboots(), 0);
    settled(&bench, V3).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    assert_eq!(site.reboots(), 1);
    let log = site.agent_log(usize::MAX).await;
    let [wanted, found] = [V2, V3].map(|version| Release::new(version).commit());
    for why in [
        "FinalizeDeployment of rpm-ostreed failed: Reboot blocked by a systemd inhibitor lock in `block` mode Held by: some-app Reason: for a test".to_owned(),
        format!("FinalizeDeployment of rpm-ostreed failed: Expected staged base checksum {wanted}, but found {found}"),
    ] {
        assert!(log.contains(&why), "{why}: {log}");
    }
    bench.judge(1).unwrap();
}

/// rpm-ostree is slow to answer, and whoever takes the node back meanwhile is heard: once the Node was read for the last time, nothing is left
/// to be asked of the host but what reboots it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_taken_back_while_rpm_ostree_is_slow_stays_up() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let root = site.machine.lock().await.root().clone();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    let step = "agent-decided-confirm";
    site.gate().shut(step).unwrap();
    bench.publish(V2).await.unwrap();
    held(&bench, "n1", step).await;
    let slow = Fault::once("RegisterClient", Stage::Call, Effect::Delay(8_000));
    site.machine.lock().await.inject(slow).unwrap();
    site.gate().open(step).unwrap();
    at_work(&bench, &root).await;
    pause(&bench, "n1", true).await;
    gives_up(&bench, "n1").await;
    no_slot(&bench).await;
    assert_eq!(site.reboots(), 0);
    pause(&bench, "n1", false).await;
    settled(&bench, V2).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    assert_eq!(site.reboots(), 1);
    bench.judge(1).unwrap();
}

/// What keeps rpm-ostree at work for eight seconds when an administrator deploys what is deployed already.
fn slow(root: &NodeRoot) {
    let fault = Fault::once("Deploy", Stage::Running, Effect::Delay(8_000));
    root.edit(|faults: &mut Faults| faults.rules.push(fault))
        .unwrap();
}

async fn work(site: &Site, version: &str) {
    let machine = site.machine.lock().await;
    machine.admin_deploy(version).await.unwrap();
}

/// Waits until rpm-ostree is at it.
async fn at_work(bench: &Bench, root: &NodeRoot) {
    let begun = async || {
        let calls = root.load::<Faults>()?.rules;
        Ok(calls.is_empty().then_some(()))
    };
    seen(bench, "somebody else's transaction", begun).await;
}

/// rpm-ostree is at work for somebody else: when a grant comes, which is accepted afterwards, and when the drain is over, which is not
/// thrown away.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_work_is_waited_for() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let root = site.machine.lock().await.root().clone();
    bench.start_agents().await.unwrap();
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Waiting, None).await;
    let busy = Some(Code::RpmOstreeBusy);
    let granted = async {
        at_work(&bench, &root).await;
        let operator = bench.operator(OperatorSpec::default()).await.unwrap();
        shows(&bench, "n1", Phase::Waiting, busy).await;
        let idle = |node: &NodeView| !node.unschedulable && node.agent.progress.is_absent();
        assert!(idle(&bench.node("n1").unwrap()));
        operator
    };
    slow(&root);
    let ((), _operator) = tokio::join!(work(site, V2), granted);
    settled(&bench, V2).await;

    site.gate().shut("agent-before-finalize").unwrap();
    bench.publish(V3).await.unwrap();
    held(&bench, "n1", "agent-before-finalize").await;
    let finalized = async {
        at_work(&bench, &root).await;
        site.gate().open("agent-before-finalize").unwrap();
        shows(&bench, "n1", Phase::Draining, busy).await;
    };
    slow(&root);
    tokio::join!(work(site, V3), finalized);
    settled(&bench, V3).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    assert_eq!(site.reboots(), 2);
    bench.judge(1).unwrap();
}
