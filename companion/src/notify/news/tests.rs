use serde_json::json;

use super::*;

fn sink(more: serde_json::Value) -> Sink {
    let mut sink = json!({ "name": "s", "teams": { "url": "https://t" } });
    for (key, value) in more.as_object().unwrap() {
        sink[key] = value.clone();
    }
    serde_json::from_value(sink).unwrap()
}

#[test]
fn a_sink_is_sent_what_it_asks_for() {
    let aborted = News::example(Kind::UpdateAborted);
    let everywhere = News {
        what: Draft::new(Kind::Paused, String::new()),
        ..aborted.clone()
    };
    let table = [
        (json!({}), true, true),
        (json!({ "severity": "Warning" }), true, true),
        (json!({ "severity": "Error" }), false, false),
        (json!({ "pools": ["workers", "other"] }), true, true),
        // What is about all nodes is about each pool.
        (json!({ "pools": ["other"] }), false, true),
        (json!({ "codes": ["DrainBlocked"] }), true, false),
        (json!({ "codes": ["UpdateAborted", "Paused"] }), true, true),
        (json!({ "codes": ["VolumesInUse"] }), false, false),
        (
            json!({ "codes": ["DrainBlocked"], "pools": ["other"] }),
            false,
            false,
        ),
    ];
    for (more, one, other) in table {
        let sink = sink(more.clone());
        assert_eq!(
            (aborted.is_for(&sink), everywhere.is_for(&sink)),
            (one, other),
            "{more}"
        );
    }
}

#[test]
fn each_kind_has_a_headline_and_a_type_of_its_own() {
    let headlines: BTreeSet<_> = Kind::ALL
        .iter()
        .map(|kind| News::example(*kind).headline())
        .collect();
    let events: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.event()).collect();
    assert_eq!(
        (headlines.len(), events.len()),
        (Kind::ALL.len(), Kind::ALL.len())
    );
    let progress = News::example(Kind::RolloutProgress);
    assert_eq!(
        progress.headline(),
        "43.20261020.3.0 rolls out in pool workers (1 of 3 nodes)"
    );
}

#[test]
fn what_one_node_says_is_told_in_part_where_it_is_long() {
    let draft = Draft::new(Kind::NodeNeedsPerson, "ä".repeat(250_000));
    assert_eq!(draft.text, format!("{}…", "ä".repeat(499)));
    let most = "ä".repeat(500);
    assert_eq!(Draft::new(Kind::Paused, most.clone()).text, most);
}
