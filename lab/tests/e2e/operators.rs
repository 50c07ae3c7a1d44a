//! Operators that are replaced, a ledger that is lost, and everything that takes a grant back.

use std::time::{Duration, Instant};

use cuo_core::lease;
use cuo_core::ledger::Stage;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Outcome, Phase};
use cuo_lab::bench::{Bench, Operator, OperatorSpec};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use crate::look::{
    NAMESPACE, answers, boots, delete_ledger, gives_up, held, is_free, leading, ledger, no_slot,
    node, operator_has_seen, pause, publish_to, reboots, seen, settled, shows, verdict,
};
use crate::{PATIENCE, V1, V2, V3, cluster};

/// Who leads: the name of the operator, to which it adds something random.
async fn leader(bench: &Bench) -> anyhow::Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(bench.plane.admin(), NAMESPACE);
    let spec = leases.get("cuo-operator").await?.spec;
    let holder = spec.and_then(|spec| spec.holder_identity);
    let name = holder.as_deref().and_then(|holder| holder.split_once('-'));
    Ok(name.map(|(name, _)| name.to_owned()))
}

async fn leads(bench: &Bench, name: &str) {
    let look = async || Ok((leader(bench).await?.as_deref() == Some(name)).then_some(()));
    seen(bench, &format!("{name} to lead"), look).await
}

async fn with_lease(bench: &Bench, name: &str) -> Operator {
    let spec = OperatorSpec {
        name: name.into(),
        ..OperatorSpec::default()
    };
    bench.operator(spec).await.unwrap()
}

/// The leader goes in the middle of giving a slot, once told to and once killed; the next one goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn another_one_takes_over_in_the_middle_of_a_rollout() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let mut first = with_lease(&bench, "first").await;
    leads(&bench, "first").await;
    let mut second = with_lease(&bench, "second").await;
    settled(&bench, V1).await;
    bench.recorder.reset();

    let step = "operator-before-ledger-grant";
    first.gate().shut(step).unwrap();
    bench.publish(V2).await.unwrap();
    first.gate().hit(step, PATIENCE).await.unwrap();
    let begin = Instant::now();
    first.terminate().await.unwrap();
    leads(&bench, "second").await;
    let handed_over = begin.elapsed();
    settled(&bench, V2).await;

    let _third = with_lease(&bench, "third").await;
    let step = "operator-after-ledger-grant";
    second.gate().shut(step).unwrap();
    bench.publish(V3).await.unwrap();
    second.gate().hit(step, PATIENCE).await.unwrap();
    let begin = Instant::now();
    second.kill().await.unwrap();
    leads(&bench, "third").await;
    let taken_over = begin.elapsed();
    settled(&bench, V3).await;
    no_slot(&bench).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);

    println!("handed over within {handed_over:?}, taken over within {taken_over:?}");
    assert!(handed_over < Duration::from_secs(5), "{handed_over:?}");
    // It was renewed at some time before, is looked at from time to time, and this machine is busy.
    let latest = lease::DURATION + 2 * lease::RETRY + Duration::from_secs(5);
    let soonest = lease::DURATION - lease::RENEW - Duration::from_secs(2);
    assert!((soonest..latest).contains(&taken_over), "{taken_over:?}");
}

/// A lost ledger is recreated from the Nodes, before anything is granted.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_deleted_costs_no_second_grant() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let mut operator = bench.operator(leading("first")).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();

    // A grant is out and accepted; an operator starts and finds no ledger.
    let site = bench.site("n1").unwrap();
    site.gate().shut("agent-after-accept").unwrap();
    site.publish(V2).await.unwrap();
    held(&bench, "n1", "agent-after-accept").await;
    publish_to(&bench, &["n2", "n3"], V2).await;
    for name in ["n2", "n3"] {
        shows(&bench, name, Phase::Waiting, None).await;
    }
    let before = ledger(&bench).await.unwrap();
    operator.kill().await.unwrap();
    delete_ledger(&bench).await;
    let mut operator = bench.operator(leading("second")).await.unwrap();
    let made = seen(&bench, "the ledger to be made anew", async || {
        Ok(Some(ledger(&bench).await?))
    })
    .await;
    let slots = |ledger: &cuo_core::ledger::Ledger| {
        let entries = ledger.entries.iter();
        let slots = entries.map(|(name, entry)| (name.to_string(), entry.id, entry.stage));
        slots.collect::<Vec<_>>()
    };
    assert_eq!((slots(&made), made.seq), (slots(&before), before.seq));
    verdict(&bench, &operator, Code::BudgetExhausted, 2).await;

    // Nobody tells the operator: it finds out with the next write, and goes on counting where it was.
    delete_ledger(&bench).await;
    let step = "operator-before-node-grant";
    operator.gate().shut(step).unwrap();
    site.gate().open("agent-after-accept").unwrap();
    operator.gate().hit(step, PATIENCE).await.unwrap();
    boots(&bench, "n1", V2).await;
    let next = ledger(&bench).await.unwrap();
    assert!(next.seq > before.seq, "{next:?} after {before:?}");
    let granted = next.entries.values().map(|entry| entry.stage);
    assert_eq!(granted.collect::<Vec<_>>(), [Stage::Granted], "{next:?}");

    // The write of a grant is on its way; another operator finds no ledger, and what it does makes that write come too late.
    delete_ledger(&bench).await;
    let _other = bench.operator(leading("third")).await.unwrap();
    let total = async || Ok((reboots(&bench) >= 2).then_some(()));
    seen(&bench, "the other one to go on", total).await;
    operator.gate().open(step).unwrap();
    settled(&bench, V2).await;
    no_slot(&bench).await;
    operator.kill().await.unwrap();
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    assert_eq!(reboots(&bench), 3, "each node rebooted once");
}

/// A grant is taken back as long as it was not accepted; after that the agent gives it up by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_paused_loses_its_grant_unless_it_accepted() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(leading("first")).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    let n1 = bench.site("n1").unwrap();
    let n2 = bench.site("n2").unwrap();
    n1.gate().shut("agent-decided-accept").unwrap();
    n2.gate().shut("agent-before-cordon").unwrap();

    // The agent has decided to accept, and comes too late.
    n1.publish(V2).await.unwrap();
    held(&bench, "n1", "agent-decided-accept").await;
    publish_to(&bench, &["n2", "n3"], V2).await;
    pause(&bench, "n1", true).await;
    node(&bench, "n1", "to lose its grant", is_free).await;
    n1.gate().open("agent-decided-accept").unwrap();
    gives_up(&bench, "n1").await;
    shows(&bench, "n1", Phase::Held, Some(Code::Paused)).await;

    // The slot is the next one's, who accepts and is paused then.
    held(&bench, "n2", "agent-before-cordon").await;
    pause(&bench, "n2", true).await;
    operator_has_seen(&bench, "n3").await;
    let kept = bench.node("n2").unwrap();
    assert!(!is_free(&kept) && !kept.operator.grant.is_absent());
    n2.gate().open("agent-before-cordon").unwrap();
    answers(&bench, "n2", Outcome::Aborted, Some(Code::Paused)).await;
    shows(&bench, "n2", Phase::Held, Some(Code::Paused)).await;

    boots(&bench, "n3", V2).await;
    node(&bench, "n3", "to be free", is_free).await;
    assert_eq!((n1.reboots(), n2.reboots()), (0, 0));
    pause(&bench, "n1", false).await;
    pause(&bench, "n2", false).await;
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}

/// The cluster is paused, or its window is closed, while a grant is out.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_granted_while_the_cluster_is_paused_or_its_window_closed() {
    let (_folder, bench) = cluster(2).await;
    let gate = bench.site("n1").unwrap().gate();
    let step = "agent-decided-accept";
    bench.start_agents().await.unwrap();
    let mut operator = bench.operator(leading("open")).await.unwrap();
    settled(&bench, V1).await;
    gate.shut(step).unwrap();
    publish_to(&bench, &["n1"], V2).await;
    held(&bench, "n1", step).await;
    publish_to(&bench, &["n2"], V2).await;

    let far = Timestamp::now() + SignedDuration::from_hours(12);
    let window = format!("--window={} 1h", far.strftime("%H:%M"));
    for (name, flag, code) in [
        ("paused", "--paused", Code::ClusterPaused),
        ("shut", &window, Code::WindowClosed),
    ] {
        held(&bench, "n1", step).await;
        operator.terminate().await.unwrap();
        let spec = OperatorSpec {
            flags: vec![flag.to_owned()],
            ..leading(name)
        };
        let grant = bench.node("n1").unwrap().operator.grant;
        operator = bench.operator(spec).await.unwrap();
        node(&bench, "n1", "to lose its grant", is_free).await;
        gate.open(step).unwrap();
        // The answer to this grant, not to the one before.
        node(&bench, "n1", "to give the grant up", |node| {
            let answered = node.agent.result.value().map(|result| result.id);
            answered.is_some() && answered == grant.value().map(|grant| grant.id)
        })
        .await;
        answers(&bench, "n1", Outcome::Aborted, Some(Code::GrantRevoked)).await;
        for name in ["n1", "n2"] {
            shows(&bench, name, Phase::Waiting, None).await;
        }
        verdict(&bench, &operator, code, 2).await;
        no_slot(&bench).await;
        // The next one grants again, and again it comes too late.
        gate.shut(step).unwrap();
        operator.terminate().await.unwrap();
        operator = bench.operator(leading("open")).await.unwrap();
    }
    held(&bench, "n1", step).await;
    assert_eq!(reboots(&bench), 0);
    gate.open(step).unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert!(matches!(
        bench.node("n1").unwrap().agent.result,
        Field::Value(result) if result.outcome == Outcome::Done
    ));
}
