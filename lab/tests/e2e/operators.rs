//! Two operators at a time, operators that are replaced, a ledger that is lost, and everything that takes a grant back.

use std::time::{Duration, Instant};

use cuo_core::lease;
use cuo_core::ledger::Stage;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Outcome, Phase};
use cuo_lab::bench::{Bench, Operator, OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use crate::look::{
    NAMESPACE, answers, boots, delete_ledger, held, is_free, ledger, no_slot, node,
    operator_has_seen, pause, publish_to, seen, settled, shows, verdict,
};
use crate::{PATIENCE, V1, V2, V3, cluster, start};

/// An operator that plans at once, whoever else does.
fn leading(name: &str) -> OperatorSpec {
    OperatorSpec {
        name: name.into(),
        without_lease: true,
        ..OperatorSpec::default()
    }
}

/// What happens to an operator that is held at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It is killed there, and started again.
    Killed,
    /// It goes on once the other one has brought a node further: with what it decided from a cluster that has changed since.
    Late,
}

/// Lets two operators of `spec` bring all nodes from version to version, with one of them held at another step each time. Returns how
/// often it came there.
async fn contend(
    bench: &Bench,
    spec: impl Fn(&str) -> OperatorSpec,
    steps: &[(&str, Then)],
    version: impl Fn(usize) -> String,
) -> usize {
    let mut first = bench.operator(spec("first")).await.unwrap();
    let _second = bench.operator(spec("second")).await.unwrap();
    let count = u32::try_from(bench.sites().count()).unwrap();
    let mut held = 0;
    for (index, (step, then)) in steps.iter().enumerate() {
        let all = reboots(bench) + count;
        first.gate().shut(step).unwrap();
        let hit = first.gate().folder().join(format!("{step}.hit"));
        bench.publish(&version(index)).await.unwrap();
        // Where it has to win each time to come to a step, it may never come there.
        let come = async || Ok((hit.exists() || reboots(bench) == all).then_some(()));
        seen(bench, step, come).await;
        let come = hit.exists();
        if come {
            held += 1;
            let next = all.min(reboots(bench) + 1);
            match then {
                Then::Killed => first.kill().await.unwrap(),
                Then::Late => {
                    let gone_on = async || Ok((reboots(bench) >= next).then_some(()));
                    seen(bench, "the other one to go on", gone_on).await;
                }
            }
        }
        first.gate().open(step).unwrap();
        if come && *then == Then::Killed {
            first = bench.operator(spec("first")).await.unwrap();
        }
        settled(bench, &version(index)).await;
        no_slot(bench).await;
    }
    println!("held at {held} of {} steps", steps.len());
    held
}

/// No lease keeps them apart, so they work at the same things all the time.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_lead_at_once_never_grant_two_nodes() {
    let steps = [
        ("operator-before-node-grant", Then::Late),
        ("operator-after-ledger-reserve", Then::Killed),
        ("operator-before-ledger-grant", Then::Late),
        ("operator-after-ledger-grant", Then::Killed),
        ("operator-before-node-reserve", Then::Late),
        ("operator-after-node-grant", Then::Killed),
        ("operator-before-ledger-drop", Then::Late),
        ("operator-before-ledger-reserve", Then::Late),
    ];
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset_most();
    let version = |index| format!("42.2026{:02}01.3.0", index + 2);
    let held = contend(&bench, leading, &steps, version).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    assert!(held > steps.len() / 2, "held at {held} steps only");
}

/// With a budget of two, two go at once, but never two of the control plane.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_of_two_never_takes_two_of_the_control_plane() {
    let site = |name: &str| SiteSpec {
        control_plane: name.starts_with("cp"),
        ..SiteSpec::worker(name, HostSpec::ostree(V1))
    };
    let (_folder, bench) = start(["cp1", "cp2", "n1", "n2"].map(site).into()).await;
    let spec = |name: &str| OperatorSpec {
        flags: vec!["--max-unavailable=2".into()],
        ..leading(name)
    };
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset_most();

    let operator = bench.operator(spec("alone")).await.unwrap();
    for name in ["cp1", "n1"] {
        let gate = bench.site(name).unwrap().gate();
        gate.shut("agent-before-cordon").unwrap();
        publish_to(&bench, &[name], V2).await;
        held(&bench, name, "agent-before-cordon").await;
    }
    publish_to(&bench, &["cp2", "n2"], V2).await;
    verdict(&bench, &operator, Code::ControlPlaneBusy, 1).await;
    verdict(&bench, &operator, Code::BudgetExhausted, 1).await;
    assert_eq!(bench.recorder.most_granted(), 2);
    for name in ["cp1", "n1"] {
        let gate = bench.site(name).unwrap().gate();
        gate.open("agent-before-cordon").unwrap();
    }
    settled(&bench, V2).await;
    drop(operator);

    let steps = [
        ("operator-before-node-grant", Then::Late),
        ("operator-after-ledger-grant", Then::Killed),
        ("operator-before-ledger-grant", Then::Late),
        ("operator-before-ledger-reserve", Then::Late),
    ];
    let version = |index| format!("42.2026{:02}01.3.0", index + 3);
    contend(&bench, spec, &steps, version).await;
    bench.judge(2).unwrap();
    assert!(bench.recorder.most_down() <= 2);
    assert_eq!(bench.recorder.most_control_planes(), 1);
}

fn reboots(bench: &Bench) -> u32 {
    bench.sites().map(|site| site.reboots()).sum()
}

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
    bench.recorder.reset_most();

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

/// A lost ledger is made anew from the Nodes, before anything is granted.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_deleted_costs_no_second_grant() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let mut operator = bench.operator(leading("first")).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset_most();

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
    bench.recorder.reset_most();
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
    answers(&bench, "n1", Outcome::Aborted, Some(Code::GrantRevoked)).await;
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
