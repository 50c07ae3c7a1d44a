//! What a whole update says to those who read along.

use cuo_lab::bench::OperatorSpec;

use crate::{V2, cluster};

/// The sentences of an update, in their order; times, levels and fields stand around them.
const STORY: [&str; 11] = [
    " started, version ",
    " this host is the node n1",
    " staged 42.20260201.3.0 (",
    " accepts grant 1-",
    " drains the node ",
    " about to reboot into 42.20260201.3.0 (",
    " asks rpm-ostree to finalize 42.20260201.3.0 (",
    " started, version ",
    " has booted; what runs and the node's health are being checked",
    " grant 1-",
    " nothing to do until the next check",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_told_as_a_story() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    site.start_agent().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.publish(V2).await.unwrap();
    if let Err(error) = bench.settled(V2, crate::PATIENCE).await {
        panic!("{error:#}");
    }
    let log = site.agent_log(400).await;
    let mut rest = &*log;
    for sentence in STORY {
        let Some((_, after)) = rest.split_once(sentence) else {
            panic!("{sentence:?} does not come in its place:\n{log}");
        };
        rest = after;
    }
    assert!(log.contains(" is done: the host runs "), "{log}");
    // Each is reported once, and ids are for the journal.
    for once in [" accepts grant ", " drains the node ", " is done: "] {
        assert_eq!(log.matches(once).count(), 1, "{once}\n{log}");
    }
    assert!(!log.contains("message_id"), "{log}");
    bench.judge(1).unwrap();
}
