//! Releases that come faster than a canary tries them.

use std::time::Duration;

use cuo_lab::bench::OperatorSpec;
use tokio::time::sleep;

use crate::look::settled;
use crate::{V1, cluster};

/// One canary, and a soak that outlasts two releases.
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {canary: {count: 1, soak: 12s}}
";
const EVERY: Duration = Duration::from_secs(6);
/// As many as there were when nodes were left behind.
const RELEASES: usize = 20;

/// Each release is a new beginning for its canary, and none of them is ever old enough for the rest: all the same each node gets one.
#[tokio::test(flavor = "multi_thread")]
async fn releases_that_come_faster_than_they_soak_reach_all_nodes_all_the_same() {
    let (_folder, bench) = cluster(3).await;
    bench.apply("all.yaml", POOL).await.unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let updated = || bench.sites().all(|site| site.reboots() > 0);
    let mut last = String::new();
    for number in 0..RELEASES {
        last = format!("44.202609{:02}.3.0", number + 1);
        bench.publish(&last).await.unwrap();
        sleep(EVERY).await;
        if updated() {
            break;
        }
    }
    assert!(updated(), "{}", bench.picture().await);

    // Once they stop coming, all are on the last one.
    settled(&bench, &last).await;
    bench.judge(1).unwrap();
}
