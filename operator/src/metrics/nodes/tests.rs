use cuo_core::keys;
use cuo_core::plan::{Act, Plan};
use cuo_core::raw::RawNode;
use cuo_core::reason::Reason;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;
use crate::metrics::tests::snapshot;

fn node(name: &str, version: &str, annotations: &[(&str, &str)]) -> NodeView {
    let raw = RawNode {
        name: name.into(),
        resource_version: version.into(),
        annotations: annotations
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ..RawNode::default()
    };
    NodeView::parse(&raw).unwrap()
}

fn plan(verdicts: &[(&str, Code)]) -> Plan {
    let verdicts = verdicts
        .iter()
        .map(|(name, code)| (name.parse().unwrap(), Reason::from(*code)));
    Plan {
        verdicts: verdicts.collect(),
        act: Act::Wait,
        wake: None,
        used: Default::default(),
        control_plane: Default::default(),
        pools: vec![],
    }
}

fn shown(registry: &Registry) -> Vec<String> {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn each_node_is_shown_as_of_the_last_plan_up_to_the_limit() {
    let commit = "07".repeat(32);
    let booted = format!(
        r#"{{"v":1,"identity":"{commit}","version":"41.1","boot":"03030303-0303-0303-0303-030303030303","since":"1970-01-01T00:00:50Z"}}"#
    );
    let following =
        r#"{"v":1,"source":"graph","reference":"fedora:fedora/x86_64/coreos/stable","behind":2}"#;
    let agent = [
        (keys::STATUS, "waiting since 1970-01-01T00:01:40Z"),
        (keys::BOOTED, booted.as_str()),
        (keys::AGENT_RELEASE, following),
    ];
    let nodes = std::sync::Arc::new(Nodes::up_to(2));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(std::sync::Arc::clone(&nodes)));
    assert_eq!(shown(&registry), Vec::<String>::new());

    let bare = || node("b", "2", &[]);
    let seen = snapshot(vec![node("a", "1", &agent), bare()]);
    let verdicts = [("a", Code::WindowClosed), ("b", Code::NoAgent)];
    nodes.settled(&seen, &plan(&verdicts));
    let info = |phase: &str, reason: &str| {
        format!(
            r#"cuo_node_info{{node="a",pool="(built-in)",phase="{phase}",reason="{reason}",version="41.1",release="{commit}",source="graph"}} 1"#
        )
    };
    let other = r#"cuo_node_info{node="b",pool="(built-in)",phase="none",reason="NoAgent",version="",release="",source=""} 1"#;
    let since = |second| format!(r#"cuo_node_phase_since_timestamp_seconds{{node="a"}} {second}"#);
    let release = r#"cuo_node_release_since_timestamp_seconds{node="a"} 50"#.to_owned();
    let behind = r#"cuo_node_releases_behind{node="a"} 2"#.to_owned();
    let expected = [
        info("waiting", "WindowClosed"),
        other.to_owned(),
        since(100),
        release.clone(),
        behind.clone(),
    ];
    assert_eq!(shown(&registry), expected);

    // The agent's own reason says more, and what was not written again is not read again.
    let mut drains = agent.to_vec();
    drains[0].1 = "draining since 1970-01-01T00:02:00Z";
    drains.push((keys::REASON, "DrainBlocked: default/web"));
    let seen = snapshot(vec![node("a", "3", &drains)]);
    nodes.settled(&seen, &plan(&[("a", Code::Rebooting)]));
    let seen = snapshot(vec![node("a", "3", &[])]);
    nodes.settled(&seen, &plan(&[("a", Code::Rebooting)]));
    let expected = [
        info("draining", "DrainBlocked"),
        since(120),
        release,
        behind,
    ];
    assert_eq!(shown(&registry), expected);

    let seen = snapshot(vec![node("a", "3", &drains), bare(), node("c", "4", &[])]);
    nodes.settled(&seen, &plan(&[]));
    assert_eq!(shown(&registry), Vec::<String>::new());
}
