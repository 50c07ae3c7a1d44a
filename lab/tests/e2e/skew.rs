//! Agents and operators of different versions meet: what one does not know is a reason to hold, never a permission.
//!
//! The other version is what this one's program wrote, with another number. Programs of the previous release, which speak the same one, meet
//! in `versions`.

use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::values::{Field, Phase};
use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Node;

use crate::look::{node, settled, shows, verdict};
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

/// Makes what the agent of `name` wrote what an agent of protocol `version` would have written.
async fn speaks(bench: &Bench, name: &str, version: u32) {
    let get = ["get", "node", name, "-o", "json"];
    let raw = bench.plane.kubectl(&get).await.unwrap();
    let raw: Node = serde_json::from_str(&raw).unwrap();
    let annotations = raw.metadata.annotations.unwrap_or_default();
    let (ours, theirs) = (
        format!("\"v\":{}", keys::VERSION),
        format!("\"v\":{version}"),
    );
    let said = annotations.iter().filter(|(_, text)| text.contains(&ours));
    for (key, text) in said {
        annotate(bench, name, key, &text.replace(&ours, &theirs)).await;
    }
    annotate(bench, name, keys::PROTOCOL, &version.to_string()).await;
}

/// The Nodes of agents that speak a newer and an older protocol are beside one of this version: they are never granted anything until their
/// agents are of this version, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_holds_what_it_does_not_know() {
    let (_folder, bench) = cluster(3).await;
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| bench.site(name).unwrap());
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    for name in ["n1", "n2", "n3"] {
        shows(&bench, name, Phase::Waiting, None).await;
    }
    for (site, version) in [(n1, 2), (n2, 0)] {
        site.kill_agent().await.unwrap();
        speaks(&bench, site.name(), version).await;
        node(&bench, site.name(), "to speak its version", |node| {
            let booted =
                matches!(node.agent.booted, Field::OtherVersion(found) if found == version);
            node.protocol == Field::OtherVersion(version) && booted
        })
        .await;
    }
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.settled_on(&["n3"], V2, PATIENCE).await.unwrap();
    verdict(&bench, &operator, Code::ProtocolUnknown, 2).await;
    for name in ["n1", "n2"] {
        let operator = bench.node(name).unwrap().operator;
        assert!(!operator.has_slot(), "{name}: {operator:?}");
    }
    assert_eq!([n1, n2, n3].map(|site| site.reboots()), [0, 0, 1]);

    for site in [n1, n2] {
        site.start_agent().await.unwrap();
    }
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
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
