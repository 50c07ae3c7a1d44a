//! Noticing what others do, without keeping rpm-ostreed awake.

use std::time::Duration;

use cuo_agent::hostwatch;
use cuo_lab::machine::ostree::Release;
use tokio::sync::watch;

use crate::bench::{Bench, NEW, PATIENCE, branch, image, upgrade_options};

async fn reported(changes: &mut watch::Receiver<()>) -> bool {
    matches!(
        tokio::time::timeout(PATIENCE, changes.changed()).await,
        Ok(Ok(()))
    )
}

/// Longer than a signal takes.
async fn silent(changes: &mut watch::Receiver<()>) -> bool {
    tokio::time::timeout(Duration::from_secs(1), changes.changed())
        .await
        .is_err()
}

#[tokio::test]
async fn changes_are_told_and_a_sleeping_daemon_is_left_alone() {
    let mut bench = Bench::new(branch()).await;
    bench.set_faults(|faults| faults.pace.idle_exit = 1_500);
    let mut changes = bench.client().changes();
    assert!(reported(&mut changes).await, "subscribed");
    assert!(silent(&mut changes).await);
    assert!(!bench.awake().await, "listening has started it");

    bench.client().host().await.unwrap();
    assert!(reported(&mut changes).await, "it appeared");
    assert!(silent(&mut changes).await, "reading changes nothing");

    // It stops when idle, which tells nothing about deployments: reading them then would start it over and over.
    bench.wait_asleep().await;
    assert!(silent(&mut changes).await, "it vanished");
    assert!(!bench.awake().await);

    let options = upgrade_options();
    let other = bench.foreign("Upgrade", &options).await;
    assert!(reported(&mut changes).await, "it appeared, and is at work");
    while !silent(&mut changes).await {}
    drop(other.finish().await);
    assert!(reported(&mut changes).await, "something was staged");

    bench.restart_bus().await;
    assert!(reported(&mut changes).await, "subscribed again");
}

#[tokio::test]
async fn a_listener_that_never_looks_stops_nothing() {
    let bench = Bench::new(branch()).await;
    bench.set_faults(|faults| (faults.pace.pull, faults.pace.deploy) = (0, 0));
    let client = bench.client();
    let changes = client.changes();
    for version in 0..40 {
        bench.publish(&format!("43.20260201.3.{version}"));
        client.stage(None, |_| ()).await.unwrap();
    }
    assert!(changes.has_changed().unwrap());
}

#[tokio::test]
async fn deployments_by_others_are_noticed_on_the_disk() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        let mut changes = hostwatch::changes(bench.machine.root().path(), &[]);
        let stage = |locked| {
            bench.set_sysroot(|sysroot| {
                let origin = sysroot.deployments[0].origin.clone();
                sysroot.stage(Release::new(NEW), origin, locked);
            });
        };
        stage(false);
        assert!(reported(&mut changes).await, "staged");
        stage(true);
        assert!(reported(&mut changes).await, "locked");
        bench.set_sysroot(|sysroot| drop(sysroot.lose_staged()));
        assert!(reported(&mut changes).await, "removed");
        assert!(silent(&mut changes).await);
        assert!(
            !bench.awake().await,
            "looking at the disk has started rpm-ostreed"
        );
    }
}
