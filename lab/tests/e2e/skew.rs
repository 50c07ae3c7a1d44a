//! Agents and operators of different versions meet: what one does not know is a reason to hold, never a permission.
//!
//! The other version is this one's program, made to say and to understand another number.

use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Phase};
use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::wait::until;

use crate::look::{held, leading, node, settled, shows, verdict};
use crate::{PATIENCE, V1, V2, cluster};

async fn annotate(bench: &Bench, node: &str, key: &str, value: &str) {
    let change = if value == "-" {
        format!("{key}-")
    } else {
        format!("{key}={value}")
    };
    bench
        .plane
        .kubectl(&["annotate", "--overwrite", "node", node, &change])
        .await
        .unwrap();
}

/// Agents that speak a newer and an older protocol run beside one of this version: they stage and wait, and are never granted anything
/// until their package is the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_holds_what_it_does_not_know() {
    let (_folder, bench) = cluster(3).await;
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| bench.site(name).unwrap());
    n1.speak(Some(2));
    n2.speak(Some(0));
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled_on(&["n3"], V1, PATIENCE).await.unwrap();
    for (name, version) in [("n1", 2), ("n2", 0)] {
        node(&bench, name, "to speak its version", |node| {
            let booted =
                matches!(node.agent.booted, Field::OtherVersion(found) if found == version);
            node.protocol == Field::OtherVersion(version) && booted
        })
        .await;
    }
    bench.recorder.reset();
    bench.publish(V2).await.unwrap();
    bench.settled_on(&["n3"], V2, PATIENCE).await.unwrap();
    for name in ["n1", "n2"] {
        shows(&bench, name, Phase::Waiting, None).await;
    }
    verdict(&bench, &operator, Code::ProtocolUnknown, 2).await;
    for name in ["n1", "n2"] {
        let operator = bench.node(name).unwrap().operator;
        assert!(!operator.has_slot(), "{name}: {operator:?}");
    }
    assert_eq!([n1, n2, n3].map(|site| site.reboots()), [0, 0, 1]);

    for site in [n1, n2] {
        site.speak(None);
        site.kill_agent().await.unwrap();
        site.start_agent().await.unwrap();
    }
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
}

/// An operator of another version grants agents of this one nothing; what it grants to one of its own is none to an agent that was replaced
/// since.
#[tokio::test(flavor = "multi_thread")]
async fn operators_of_other_versions_make_no_grant_that_is_taken() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let other = async |version| {
        let spec = OperatorSpec {
            protocol: Some(version),
            ..leading(&format!("version-{version}"))
        };
        bench.operator(spec).await.unwrap()
    };
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    site.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Waiting, None).await;
    for version in [0, 2] {
        let mut operator = other(version).await;
        verdict(&bench, &operator, Code::ProtocolUnknown, 1).await;
        let found = bench.node("n1").unwrap().operator;
        assert!(!found.has_slot(), "version {version}: {found:?}");
        operator.terminate().await.unwrap();
    }

    let step = "agent-before-accept";
    site.gate().shut(step).unwrap();
    site.kill_agent().await.unwrap();
    site.speak(Some(2));
    site.start_agent().await.unwrap();
    let mut operator = other(2).await;
    held(&bench, "n1", step).await;
    // So that nobody takes the grant back.
    operator.kill().await.unwrap();
    site.kill_agent().await.unwrap();
    site.speak(None);
    site.gate().open(step).unwrap();
    site.start_agent().await.unwrap();
    shows(&bench, "n1", Phase::Held, Some(Code::ProtocolUnknown)).await;
    let node = bench.node("n1").unwrap();
    assert_eq!(node.operator.grant, Field::OtherVersion(2));
    assert_eq!((site.reboots(), node.unschedulable), (0, false));
    bench.judge(1).unwrap();
}

/// A grant of an older or newer operator, or one that nobody of CUO wrote, is no permission.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_holds_what_it_does_not_know() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    site.publish(V2).await.unwrap();
    let shows = async |phase, code| shows(&bench, "n1", phase, code).await;
    shows(Phase::Waiting, None).await;
    let node = bench.node("n1").unwrap();
    let (needed, booted) = (
        node.agent.needed.value().unwrap(),
        node.agent.booted.value().unwrap(),
    );
    let grant = |version: u32, more: &str| {
        format!(
            "{{\"v\":{version},\"id\":\"900-00000001\",\"identity\":\"{needed}\",\"boot\":\"{}\",\"issued\":\"2026-01-01T00:00:00Z\",\
             \"deadline\":\"2099-01-01T00:00:00Z\",\"drain\":{{\"timeoutSeconds\":600,\"onTimeout\":\"abort\"}}{more}}}",
            booted.boot
        )
    };
    let cases = [
        (grant(2, ""), Code::ProtocolUnknown),
        (grant(0, ""), Code::ProtocolUnknown),
        (grant(1, ",\"maybe\":true"), Code::MalformedAnnotation),
        ("true".to_owned(), Code::MalformedAnnotation),
    ];
    for (value, code) in cases {
        annotate(&bench, "n1", keys::REBOOT_OK, &value).await;
        shows(Phase::Held, Some(code)).await;
        annotate(&bench, "n1", keys::REBOOT_OK, "-").await;
        shows(Phase::Waiting, None).await;
    }
    assert_eq!(
        (site.reboots(), bench.node("n1").unwrap().unschedulable),
        (0, false)
    );
    // The same with everything as this version writes it is one: the cases above were held for what they say.
    annotate(&bench, "n1", keys::REBOOT_OK, &grant(1, "")).await;
    let runs = async || {
        Ok(bench
            .node("n1")?
            .agent
            .booted
            .value()
            .filter(|booted| booted.version == V2)
            .map(drop))
    };
    until("n1 to run the update", PATIENCE, runs).await.unwrap();
    bench.judge(1).unwrap();
}
