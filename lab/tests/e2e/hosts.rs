//! What else is on a host: other programs that update it, and units that have to run.

use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{OperatorSpec, Site};
use cuo_lab::systemd::Units;

use crate::look::{settled, shows};
use crate::{V1, V2, cluster};

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
