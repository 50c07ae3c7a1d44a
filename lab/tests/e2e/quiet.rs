//! Idle costs nothing (I8).

use std::collections::BTreeMap;
use std::time::Duration;

use cuo_lab::bench::OperatorSpec;
use cuo_lab::cluster::controlplane::AuditEntry;
use tokio::time::Instant;

use crate::{PATIENCE, V1, V2, cluster};

/// How long nobody may write anything.
const QUIET: Duration = Duration::from_secs(300);
/// How often one watch is opened again in it at most.
const REOPENED: i32 = 2;

/// Agents look for updates every few seconds in this bench, thousands of times as often as in earnest: even that is no reason to write.
#[tokio::test(flavor = "multi_thread")]
async fn five_idle_minutes_without_a_write() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    bench.publish(V2).await.unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
    // The last thing of a rollout is the ledger's entry, which no Node shows.
    let empty = async || {
        let ledger = bench
            .plane
            .kubectl(&[
                "-n",
                "cuo-system",
                "get",
                "configmap",
                "cuo-ledger",
                "-o",
                "jsonpath={.data}",
            ])
            .await?;
        Ok(ledger.contains("\\\"entries\\\":{}").then_some(()))
    };
    cuo_lab::wait::until("an empty ledger", PATIENCE, empty)
        .await
        .unwrap();
    let (_, from) = bench.plane.audit_since(0).unwrap();
    let start = Instant::now();
    // The condition that is waited for is that the time is over: what is measured is what happens in it.
    cuo_lab::wait::until("the end of five minutes", QUIET * 2, async || {
        Ok((start.elapsed() >= QUIET).then_some(()))
    })
    .await
    .unwrap();
    let (entries, _) = bench.plane.calls_since(from).unwrap();
    let own = entries.into_iter().filter(|entry| {
        entry.user_agent.starts_with("cuo-agent/") || entry.user_agent.starts_with("cuo-operator/")
    });
    let (renewals, rest): (Vec<_>, Vec<_>) =
        own.partition(|entry| entry.resource == "leases" && entry.name == "cuo-operator");
    let (writes, reads): (Vec<_>, Vec<_>) = rest.into_iter().partition(AuditEntry::is_write);
    assert_eq!(writes, []);
    let mut read = BTreeMap::new();
    for entry in reads {
        *read
            .entry((entry.user, entry.verb, entry.resource))
            .or_insert(0) += 1;
    }
    println!("{read:?}");
    // The API server ends watches after some minutes, and each is opened again.
    let many = |((_, verb, _), count): &(&(String, String, String), &i32)| {
        verb != "watch" || **count > REOPENED
    };
    assert_eq!(read.iter().filter(many).collect::<Vec<_>>(), []);
    println!(
        "{} renewals of the operator's lease in {QUIET:?}, and no other write",
        renewals.len()
    );
    assert!(
        !renewals.is_empty(),
        "the audit log does not show what it should"
    );
    bench.judge(1).unwrap();
}
