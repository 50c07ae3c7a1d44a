//! Two operators that both lead, as they do when each believes the other one gone.

use cuo_core::reason::Code;
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;

use crate::look::{
    held, is_free, leading, no_slot, node, pause, publish_to, reboots, seen, settled, verdict,
};
use crate::{PATIENCE, V1, V2, cluster, start};

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
    bench.recorder.reset();
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
    bench.recorder.reset();

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

/// One operator decides on a node, which is paused then, so the other one grants another node. What the first one was about to write
/// comes too late, though the node could be granted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_too_late_grants_nothing() {
    let (_folder, bench) = cluster(2).await;
    let gate = bench.site("n2").unwrap().gate();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    let steps = [
        "operator-before-node-grant",
        "operator-before-ledger-grant",
        "operator-before-node-reserve",
        "operator-before-ledger-reserve",
    ];
    for (index, step) in steps.iter().enumerate() {
        let version = format!("42.2026{:02}01.3.0", index + 2);
        let late = bench.operator(leading("late")).await.unwrap();
        late.gate().shut(step).unwrap();
        publish_to(&bench, &["n1"], &version).await;
        late.gate().hit(step, PATIENCE).await.unwrap();
        pause(&bench, "n1", true).await;
        gate.shut("agent-before-cordon").unwrap();
        publish_to(&bench, &["n2"], &version).await;
        let _other = bench.operator(leading("other")).await.unwrap();
        held(&bench, "n2", "agent-before-cordon").await;
        node(&bench, "n1", "to have nothing of a slot", is_free).await;
        pause(&bench, "n1", false).await;
        late.gate().open(step).unwrap();
        // It has decided anew.
        verdict(&bench, &late, Code::BudgetExhausted, 1).await;
        assert!(is_free(&bench.node("n1").unwrap()), "{step}");
        bench.judge(1).unwrap();
        gate.open("agent-before-cordon").unwrap();
        settled(&bench, &version).await;
        no_slot(&bench).await;
    }
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}
