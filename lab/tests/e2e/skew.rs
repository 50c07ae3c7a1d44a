//! Agents and operators of different versions meet: what one does not know is a reason to hold, never a permission.
//!
//! The other version is played by what it would leave on the Node; it is the whole of what the two sides see of each other.

use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::wait::until;

use crate::look::verdict;
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

/// An agent that speaks an older or a newer protocol is not granted, however much it waits for it; one that is brought up to date is.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_holds_what_it_does_not_know() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    bench.settled(V1, PATIENCE).await.unwrap();
    site.publish(V2).await.unwrap();
    let waits = async || {
        let status = bench.node("n1")?.agent.status;
        Ok(status
            .value()
            .filter(|status| status.phase == Phase::Waiting)
            .map(drop))
    };
    until("n1 to wait for a grant", PATIENCE, waits)
        .await
        .unwrap();
    // From here on the Node is what another version's agent would have left.
    site.kill_agent().await.unwrap();
    let older = "{\"v\":0,\"identity\":\"x\"}";
    let cases = [
        (keys::PROTOCOL, "2", Code::ProtocolUnknown),
        (keys::PROTOCOL, "0", Code::ProtocolUnknown),
        (keys::BOOTED, older, Code::ProtocolUnknown),
    ];
    let before = bench.node("n1").unwrap();
    let operator = {
        annotate(&bench, "n1", keys::PROTOCOL, "2").await;
        bench.operator(OperatorSpec::default()).await.unwrap()
    };
    let booted = cuo_core::values::to_json(before.agent.booted.value().unwrap());
    for (key, value, code) in cases {
        annotate(&bench, "n1", key, value).await;
        verdict(&bench, &operator, code, 1).await;
        let node = bench.node("n1").unwrap();
        assert!(
            node.operator.reserved.is_absent() && node.operator.grant.is_absent(),
            "{key}={value}: {node:#?}"
        );
        annotate(&bench, "n1", keys::PROTOCOL, "2").await;
        annotate(&bench, "n1", keys::BOOTED, &booted).await;
    }
    // The agent's package is brought up to date.
    site.start_agent().await.unwrap();
    bench.settled(V2, PATIENCE).await.unwrap();
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
    let shows = async |phase: Phase, code: Option<Code>| {
        let look = async || {
            let agent = bench.node("n1")?.agent;
            let found = (
                agent.status.value().map(|status| status.phase),
                agent.reason.value().map(|reason| reason.code),
            );
            Ok((found == (Some(phase), code)).then_some(()))
        };
        until(
            format!("n1 to be {phase} because of {code:?}"),
            PATIENCE,
            look,
        )
        .await
        .unwrap();
    };
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
}
