use super::{Level, known, text};
use crate::print::Screen;
use crate::testing::{cluster, idle, pool};

#[test]
fn a_sound_cluster_is_found_to_be_sound() {
    let mut sound = cluster(
        vec![idle("n1", &[])],
        &pool("all", "{nodeSelector: {}}"),
        &[],
    );
    sound.own_node = Some("n1".to_owned());
    let expected = "\
LEVEL  WHAT      FOUND
ok     operator  1 ready,
ok     leader    runs on n1
ok     agents    on all 1 nodes
ok     pools     one, and it makes sense
";
    assert_eq!(text(&known::all(&sound).unwrap(), Screen::PLAIN), expected);
}

#[test]
fn each_fault_is_named_with_what_to_do() {
    let mut faulty = cluster(
        vec![idle("n1", &[]), idle("n2", &[]), idle("n3", &[])],
        &(pool(
            "empty",
            "{nodeSelector: {matchLabels: {a: b}}, gates: [quiet]}",
        ) + &pool("broken", "{nodeSelector: {}, maxUnavailable: some}")),
        &[],
    );
    faulty.operator = None;
    faulty.nodes[0].annotations.clear();
    faulty.nodes[1]
        .annotations
        .insert(cuo_core::keys::PROTOCOL.to_owned(), "2".to_owned());
    faulty.nodes[2].annotations.remove(cuo_core::keys::FEATURES);
    faulty.unknown.push("the ledger can't be read".to_owned());
    faulty
        .pauses
        .push(serde_json::json!({"metadata": {"name": "p"}, "spec": {}}));
    faulty.ledger = Some("{".to_owned());
    let checks = known::all(&faulty).unwrap();
    let found: Vec<_> = checks
        .iter()
        .map(|check| (check.level, check.about, check.found.as_str()))
        .collect();
    let expected = [
        (
            Level::Failed,
            "operator",
            "there is no Deployment cuo-operator",
        ),
        (
            Level::Unknown,
            "leader",
            "no pod holds the lease cuo-operator",
        ),
        (Level::Warning, "agents", "1 of 3 nodes have none: n1"),
        (
            Level::Failed,
            "protocol",
            "agents speak another version of it: n2",
        ),
        (
            Level::Warning,
            "features",
            "agents are of an older release: n3",
        ),
        (
            Level::Failed,
            "pools",
            "pool broken: maxUnavailable: \"some\" is neither a number nor a share such as \"10%\"",
        ),
        (Level::Warning, "pools", "these select no node: empty"),
        (
            Level::Failed,
            "pauses",
            "UpdatePause p holds all nodes, since it can't be understood: missing field `scope`",
        ),
        (
            Level::Failed,
            "gates",
            "pool empty: gate quiet: there is no such gate, so it counts as closed",
        ),
        (
            Level::Failed,
            "ledger",
            "the ConfigMap cuo-ledger: not JSON with a version: EOF while parsing an object at line 1 column 1",
        ),
        (Level::Unknown, "rights", "the ledger can't be read"),
    ];
    assert_eq!(found, expected);
    let unclear = checks
        .iter()
        .filter(|check| check.level >= Level::Warning && check.remedy.is_none());
    assert_eq!(unclear.count(), 0);
}

#[test]
fn what_can_not_be_read_is_not_missing() {
    let mut unread = cluster(vec![], "", &[]);
    unread.operator = None;
    unread.operator_unread = true;
    let checks = known::all(&unread).unwrap();
    let operator = checks.iter().find(|check| check.about == "operator");
    let operator = operator.map(|check| (check.level, check.found.as_str()));
    let expected = (Level::Unknown, "its Deployment can't be read");
    assert_eq!(operator, Some(expected));
}
