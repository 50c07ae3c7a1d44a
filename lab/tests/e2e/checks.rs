//! Checks of the administrator's before and after a reboot, on several nodes at once.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_lab::bench::{Bench, Operator, OperatorSpec};

use crate::look::{
    held, metrics, no_slot, node, operator_has_seen, publish_to, reboots, settled, verdict,
};
use crate::{V1, V2, cluster};

const READY: &str = "example.com/ready";
const QUIET: &str = "example.com/quiet";
const WELL: &str = "example.com/well";
const ALL: [&str; 3] = ["n1", "n2", "n3"];

async fn answer(bench: &Bench, names: &[&str], check: &str) {
    let mut change = vec!["annotate", "node"];
    let answer = format!("{check}=true");
    change.extend(names);
    change.push(&answer);
    bench.plane.kubectl(&change).await.unwrap();
}

/// The answers that are on the Node.
async fn answers(bench: &Bench, name: &str) -> Vec<&'static str> {
    let get = [
        "get",
        "node",
        name,
        "--output=jsonpath={.metadata.annotations}",
    ];
    let found = bench.plane.kubectl(&get).await.unwrap();
    let checks = [READY, QUIET, WELL].into_iter();
    checks.filter(|check| found.contains(check)).collect()
}

async fn counts(operator: &Operator, code: Code, count: usize) -> bool {
    let text = metrics(operator.address()).await.unwrap();
    let line = format!("cuo_verdicts{{code=\"{code}\"}} {count}");
    text.lines().any(|found| found == line)
}

/// Nothing reboots without all answers, and no slot is free without those afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn checks_are_waited_for_with_several_at_once() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let spec = OperatorSpec {
        flags: vec![
            "--max-unavailable=3".into(),
            format!("--before-reboot-annotations={READY},{QUIET}"),
            format!("--after-reboot-annotations={WELL}"),
        ],
        ..OperatorSpec::default()
    };
    let operator = bench.operator(spec).await.unwrap();
    settled(&bench, V1).await;
    verdict(&bench, &operator, Code::UpToDate, 3).await;
    assert!(counts(&operator, Code::BeforeChecks, 0).await);

    let asked = |node: &NodeView| {
        let (agent, operator) = (&node.agent, &node.operator);
        operator.before && operator.grant.is_absent() && agent.progress.is_absent()
    };
    // What was answered before anybody asked is no answer.
    for check in [READY, QUIET, WELL] {
        answer(&bench, &["n1"], check).await;
    }
    publish_to(&bench, &["n1"], V2).await;
    verdict(&bench, &operator, Code::BeforeChecks, 1).await;
    node(&bench, "n1", "to be asked", asked).await;
    assert!(answers(&bench, "n1").await.is_empty());
    answer(&bench, &["n1"], READY).await;
    operator_has_seen(&bench, "n3").await;
    assert!(asked(&bench.node("n1").unwrap()), "one of two answers");
    assert!(counts(&operator, Code::BeforeChecks, 1).await);

    publish_to(&bench, &["n2", "n3"], V2).await;
    verdict(&bench, &operator, Code::BeforeChecks, 3).await;
    for name in ALL {
        node(&bench, name, "to be asked", asked).await;
        let gate = bench.site(name).unwrap().gate();
        gate.shut("agent-decided-confirm").unwrap();
    }
    answer(&bench, &["n2", "n3"], READY).await;
    answer(&bench, &ALL, QUIET).await;
    for name in ALL {
        held(&bench, name, "agent-decided-confirm").await;
        node(&bench, name, "to be asked no more", |node| {
            !node.operator.before && !node.operator.grant.is_absent()
        })
        .await;
    }
    assert_eq!((bench.recorder.most_granted(), reboots(&bench)), (3, 0));
    answer(&bench, &["n1"], WELL).await;
    for name in ALL {
        let gate = bench.site(name).unwrap().gate();
        gate.open("agent-decided-confirm").unwrap();
    }

    verdict(&bench, &operator, Code::AfterChecks, 3).await;
    for name in ALL {
        node(&bench, name, "to be asked, and to keep its slot", |node| {
            node.operator.after && !node.operator.grant.is_absent()
        })
        .await;
    }
    assert_eq!(answers(&bench, "n1").await, [READY, QUIET]);
    answer(&bench, &ALL, WELL).await;
    settled(&bench, V2).await;
    no_slot(&bench).await;
    bench.judge(3).unwrap();
    for name in ALL {
        let node = bench.node(name).unwrap();
        let found = (node.operator.after, node.unschedulable);
        assert_eq!(found, (false, false), "{name}");
    }
}
