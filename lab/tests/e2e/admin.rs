//! Administrators deploy things by hand: before CUO is there, and while it is.

use cuo_agent::store::Store;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{OperatorSpec, Site, SiteSpec};
use cuo_lab::machine::{HostSpec, Reboot};

use crate::look::{boots, held, leading, seen, settled, shows};
use crate::{PATIENCE, V1, V2, V3, start};

/// What holds a host by its configuration.
const HOLD: &str = "90-hold.toml";

/// Hosts that were reset with `rpm-ostree deploy OLDER` and rebooted, before CUO was enabled: enabling it brings all of them to the newest
/// version, one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_were_set_back_come_to_the_newest_version() {
    let newest = |host: HostSpec| HostSpec {
        newest: Some(V3.into()),
        ..host
    };
    let sites = vec![
        SiteSpec::worker("n1", newest(HostSpec::ostree(V2))),
        SiteSpec::worker("n2", newest(HostSpec::ostree(V2))),
        SiteSpec::worker("n3", newest(HostSpec::container(V2))),
    ];
    let (_folder, bench) = start(sites).await;
    for site in bench.sites() {
        site.agent_after_boot(false);
        site.publish(V1).await.unwrap();
        site.publish(V3).await.unwrap();
        site.machine.lock().await.admin_deploy(V1).await.unwrap();
        site.reboot(Reboot::Clean).await.unwrap();
        assert_eq!(site.machine.lock().await.booted_version().unwrap(), V1);
        site.agent_after_boot(true);
    }
    bench.recorder.reset();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled(V3, PATIENCE).await.unwrap();
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}

/// What an administrator deploys is announced, granted and booted as it stands; afterwards the normal period upgrades again, unless held.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_deploys_is_booted_as_it_stands() {
    let host = HostSpec {
        newest: Some(V2.into()),
        ..HostSpec::ostree(V1)
    };
    let (_folder, bench) = start(vec![SiteSpec::worker("n1", host)]).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();

    // While it waits for a grant, check after check leaves it alone.
    drop(operator);
    site.machine.lock().await.admin_deploy(V1).await.unwrap();
    let unlocked = Some(Code::StagedUnlocked);
    shows(&bench, "n1", Phase::Waiting, unlocked).await;
    site.publish(V3).await.unwrap();
    let upgrades = async || {
        let calls = site.machine.lock().await.calls().unwrap();
        calls.iter().filter(|call| call.method == "Upgrade").count()
    };
    let before = upgrades().await;
    let needed = bench.node("n1").unwrap().agent.needed;
    let _operator = bench.operator(leading("second")).await.unwrap();
    // Held in time: what was announced is booted, and nothing after it.
    site.gate().shut("agent-before-stage").unwrap();
    boots(&bench, "n1", V1).await;
    assert_eq!(
        upgrades().await,
        before,
        "the deployment of the administrator was touched"
    );
    let booted = bench.node("n1").unwrap().agent.booted;
    assert_eq!(
        booted.value().map(|booted| booted.identity),
        needed.value().copied()
    );
    site.configure(HOLD, Some("hold = true\n")).await.unwrap();
    held(&bench, "n1", "agent-before-stage").await;
    site.kill_agent().await.unwrap();
    site.gate().open("agent-before-stage").unwrap();
    site.start_agent().await.unwrap();
    shows(&bench, "n1", Phase::Idle, Some(Code::Hold)).await;
    assert_eq!(upgrades().await, before, "nothing is staged on hold");

    // There is nothing newer when the agent is told that it may look again. What comes later is found without anybody's help.
    site.publish(V1).await.unwrap();
    site.configure(HOLD, None).await.unwrap();
    site.hang_up().await.unwrap();
    shows(&bench, "n1", Phase::Idle, None).await;
    let looked = async || Ok((upgrades().await > before).then_some(()));
    seen(&bench, "a look that finds nothing", looked).await;
    site.publish(V3).await.unwrap();
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
}

/// Whoever goes back by hand stays there: look after look finds what was left, which is held, and something newer is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_back_is_not_undone_by_the_next_look() {
    for host in [HostSpec::container(V1), HostSpec::ostree(V1)] {
        let (_folder, bench) = start(vec![SiteSpec::worker("n1", host)]).await;
        let site = bench.site("n1").unwrap();
        site.publish(V2).await.unwrap();
        bench.start_agents().await.unwrap();
        let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
        bench.settled(V2, PATIENCE).await.unwrap();

        roll_back(site).await;
        boots(&bench, "n1", V1).await;
        let left = Some(Code::IdentityFailed);
        shows(&bench, "n1", Phase::Held, left).await;
        site.kill_agent().await.unwrap();
        site.start_agent().await.unwrap();
        shows(&bench, "n1", Phase::Held, left).await;
        // The boot loses what is staged, and not what was left.
        site.reboot(Reboot::PowerCut).await.unwrap();
        boots(&bench, "n1", V1).await;
        shows(&bench, "n1", Phase::Held, left).await;
        let node = bench.node("n1").unwrap();
        assert!(node.agent.failed.is_absent(), "no other node minds");

        let root = site.machine.lock().await.root().path().to_owned();
        Store::new(&root).request_forget("all").unwrap();
        site.hang_up().await.unwrap();
        bench.settled(V2, PATIENCE).await.unwrap();

        roll_back(site).await;
        boots(&bench, "n1", V1).await;
        shows(&bench, "n1", Phase::Held, left).await;
        site.publish(V3).await.unwrap();
        bench.settled(V3, PATIENCE).await.unwrap();
        bench.judge(1).unwrap();
    }
}

/// Somebody runs `rpm-ostree rollback`, not while the agent looks for updates: rpm-ostree does one thing at a time, and what a look stages
/// comes before what was rolled back to.
async fn roll_back(site: &Site) {
    site.gate().shut("agent-before-stage").unwrap();
    site.gate()
        .hit("agent-before-stage", PATIENCE)
        .await
        .unwrap();
    site.machine.lock().await.admin_rollback().await.unwrap();
    site.gate().open("agent-before-stage").unwrap();
}

/// `rpm-ostree rollback` is announced at once, and taken back at once by a second one.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_followed() {
    let host = HostSpec {
        newest: Some(V2.into()),
        ..HostSpec::container(V1)
    };
    let (_folder, bench) = start(vec![SiteSpec::worker("n1", host)]).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    drop(operator);
    roll_back(site).await;
    shows(&bench, "n1", Phase::Waiting, None).await;
    assert!(bench.node("n1").unwrap().agent.needed_label);
    site.machine.lock().await.admin_rollback().await.unwrap();
    shows(&bench, "n1", Phase::Idle, None).await;
    let node = bench.node("n1").unwrap();
    assert!(!node.agent.needed_label && node.agent.needed.is_absent());
    bench.judge(1).unwrap();
}
