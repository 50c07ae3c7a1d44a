//! The operator is upgraded, or goes back, in the middle of an update.

use std::collections::BTreeMap;

use crate::look::{no_slot, seen, settled};
use crate::releases::{Before, Both, Now, Release};
use crate::{PATIENCE, V1, update};

/// Where the one that leads is ended. An odd number, so that it is the other way round at each with the other one as the first.
const STEPS: [&str; 5] = [
    "operator-after-ledger-reserve",
    "operator-after-node-reserve",
    "operator-after-ledger-grant",
    "operator-after-node-grant",
    "operator-after-node-release",
];

/// At each step the other release takes over: it reads the ledger, the lease and the Node as they are, and takes no second slot.
async fn taken_over_at_each_step(first: Release) {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(first, &[Now]).await;
    let mut operator = both.operator(&bench, first, "operator-0").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    for (index, step) in STEPS.into_iter().enumerate() {
        operator.gate().shut(step).unwrap();
        bench.publish(&update(index)).await.unwrap();
        if let Err(error) = operator.gate().hit(step, PATIENCE).await {
            panic!("{error:#}\n{}", bench.picture().await);
        }
        let (next, name) = (first.at(index + 1), format!("operator-{}", index + 1));
        operator = both.replace_operator(&bench, operator, next, &name).await;
        settled(&bench, &update(index)).await;
        no_slot(&bench).await;
        let grants = BTreeMap::from([("n1".to_owned(), index as u64 + 1)]);
        assert_eq!(bench.recorder.grants(), grants, "{step}");
    }
    let rebooted = async || Ok((bench.site("n1")?.reboots() == 5).then_some(()));
    seen(&bench, "one reboot for each update", rebooted).await;
    bench.judge(1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn this_operator_takes_over_from_the_one_before_and_gives_back() {
    taken_over_at_each_step(Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_before_takes_over_from_this_one_and_gives_back() {
    taken_over_at_each_step(Now).await;
}
