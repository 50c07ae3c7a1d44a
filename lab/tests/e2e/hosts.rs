//! What else is on a host: other programs that update it, and units that have to run.

use cuo_core::node::{NodeView, SystemLabels};
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{OperatorSpec, Site};
use cuo_lab::machine::ostree::{Effect, Fault, Faults, Remote, Stage, Trouble};
use cuo_lab::machine::systemd::Units;

use crate::look::{held, node, settled, shows, verdict};
use crate::{PATIENCE, V1, V2, cluster};

async fn set(site: &Site, unit: &str, state: &str) {
    let change = |units: &mut Units| units.states.insert(unit.to_owned(), state.to_owned());
    site.machine.lock().await.root().edit(change).unwrap();
}

/// Zincati is switched on, and off again: nothing is staged and nothing reboots in between, and nobody has to tell the agent.
#[tokio::test(flavor = "multi_thread")]
async fn another_driver_of_updates_is_left_alone_until_it_is_gone() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    set(site, "zincati.service", "active").await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Idle, Some(Code::OtherDriver)).await;

    let machine = site.machine.lock().await;
    machine.admin_deploy(V2).await.unwrap();
    drop(machine);
    shows(&bench, "n1", Phase::Held, Some(Code::OtherDriver)).await;
    assert_eq!(site.machine.lock().await.booted_version().unwrap(), V1);
    let calls = site.machine.lock().await.calls().unwrap();
    assert!(
        !calls.iter().any(|call| call.method == "Upgrade"),
        "{calls:?}"
    );

    set(site, "zincati.service", "inactive").await;
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// `mode = "check"` tells of updates and stages none; what an administrator stages is booted with a grant all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_only_checks_tells_of_updates() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let config = site
        .machine
        .lock()
        .await
        .root()
        .join("etc/cuo-agent/config.d/90-mode.toml");
    std::fs::write(&config, "mode = \"check\"\n").unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Idle, Some(Code::UpdateAvailable)).await;
    let calls = site.machine.lock().await.calls().unwrap();
    assert!(
        !calls.iter().any(|call| call.method == "Upgrade"),
        "{calls:?}"
    );

    site.machine.lock().await.admin_upgrade().await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// A node that does not become healthy after its boot is given up, keeps its slot and keeps its version from other nodes, until somebody
/// repairs it: then everything goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_sick_after_its_boot_stops_the_rollout() {
    let (_folder, bench) = cluster(2).await;
    for site in bench.sites() {
        let text = "[health]\nunits = [\"crio.service\"]\nsettle = \"1s\"\ndeadline = \"5s\"\n";
        let config = site
            .machine
            .lock()
            .await
            .root()
            .join("etc/cuo-agent/config.d/90-health.toml");
        std::fs::write(config, text).unwrap();
    }
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.publish(V2).await.unwrap();
    // What is demanded does not run, or does not exist, already before the boot.
    let inactive = Some(Code::UnitsInactive);
    for site in bench.sites() {
        shows(&bench, site.name(), Phase::Held, inactive).await;
    }
    let (first, other) = ("n1", "n2");
    let sick = bench.site(first).unwrap();
    sick.gate().shut("agent-before-finalize").unwrap();
    set(sick, "crio.service", "active").await;
    held(&bench, first, "agent-before-finalize").await;
    set(sick, "crio.service", "failed").await;
    sick.gate().open("agent-before-finalize").unwrap();
    node(&bench, first, "to be given up", |node| {
        let reason = node.agent.reason.value();
        reason.is_some_and(|reason| reason.code == Code::Unhealthy)
    })
    .await;
    set(bench.site(other).unwrap(), "crio.service", "active").await;
    verdict(&bench, &operator, Code::IdentityFailed, 1).await;
    let found = bench.node(first).unwrap();
    assert_eq!(found.agent.status.value().unwrap().phase, Phase::Failed);
    assert!(
        found.unschedulable && !found.agent.progress.is_absent(),
        "the slot"
    );
    assert_eq!(bench.site(other).unwrap().reboots(), 0);

    for site in bench.sites() {
        set(site, "crio.service", "active").await;
    }
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// An update that an administrator staged without a lock is reported as a risk, and booted when its turn has come.
#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_could_boot_is_told() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    shows(&bench, "n1", Phase::Idle, None).await;
    // The agent is held, so that it is not first.
    site.gate().shut("agent-before-stage").unwrap();
    site.gate()
        .hit("agent-before-stage", PATIENCE)
        .await
        .unwrap();
    site.publish(V2).await.unwrap();
    site.machine.lock().await.admin_deploy(V2).await.unwrap();
    site.gate().open("agent-before-stage").unwrap();
    shows(&bench, "n1", Phase::Waiting, Some(Code::StagedUnlocked)).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// What waits for a person is not tried again before the period is over, unless what may be its cause changes on the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_signature_is_tried_again_once_the_keys_change() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let root = site.machine.lock().await.root().clone();
    let config = "[check]\nperiod = \"5h\"\njitter = \"1s\"\n";
    root.write("etc/cuo-agent/config.d/90-slow.toml", config)
        .unwrap();
    root.write("etc/ostree/remotes.d/fedora.conf", "[remote \"fedora\"]\n")
        .unwrap();
    site.publish(V2).await.unwrap();
    let trouble = |trouble| root.edit(|remote: &mut Remote| remote.trouble = trouble);
    trouble(Some(Trouble::Unsigned)).unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    shows(&bench, "n1", Phase::Idle, Some(Code::SignatureRefused)).await;
    let upgrades = async || {
        let calls = site.machine.lock().await.calls().unwrap();
        calls.iter().filter(|call| call.method == "Upgrade").count()
    };
    assert_eq!(upgrades().await, 1);

    trouble(None).unwrap();
    let keys = "[remote \"fedora\"]\ngpgkeypath=/etc/pki/rpm-gpg/\n";
    root.write("etc/ostree/remotes.d/fedora.conf", keys)
        .unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// What the labels of the Node say stays while rpm-ostree does not tell, whichever of its reads fails, and for a new agent as well.
#[tokio::test(flavor = "multi_thread")]
async fn labels_stay_while_what_they_say_is_not_known() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let root = site.machine.lock().await.root().clone();
    let refused = || Effect::Refuse {
        name: "org.freedesktop.DBus.Error.Failed".into(),
        text: "no".into(),
    };
    let faults = |rules: Vec<Fault>| root.edit(|faults: &mut Faults| faults.rules = rules);
    let each = |effect| Fault::once("Reload", Stage::Call, effect);
    faults(vec![each(Effect::Delay(0)), each(refused())]).unwrap();
    bench.start_agents().await.unwrap();
    let labels = SystemLabels {
        id: Some("fedora".into()),
        version: Some(V1.into()),
        group: Some("iot".into()),
    };
    let labelled = |node: &NodeView| node.agent.system == labels;
    node(&bench, "n1", "to have its labels", labelled).await;

    site.kill_agent().await.unwrap();
    faults(vec![Fault::always("Reload", Stage::Call, refused())]).unwrap();
    let etc = root.join("etc/os-release");
    std::fs::rename(&etc, root.join("etc/away")).unwrap();
    site.start_agent().await.unwrap();
    let silent = Some(Code::RpmOstreeUnavailable);
    shows(&bench, "n1", Phase::Idle, silent).await;
    assert!(labelled(&bench.node("n1").unwrap()));

    // What is known again is reported, and the other stays.
    faults(vec![]).unwrap();
    shows(&bench, "n1", Phase::Idle, None).await;
    assert!(labelled(&bench.node("n1").unwrap()));
    bench.judge(1).unwrap();
}
