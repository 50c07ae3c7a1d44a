use std::collections::BTreeMap;

use cuo_cluster::watch::Change;

use super::{UNANSWERED, framed, hear, later, news};
use crate::cluster::Cluster;
use crate::status::Status;
use crate::testing::{NOW, cluster, idle, waiting};

#[test]
fn elsewhere_than_on_a_terminal_each_change_is_a_line() {
    let status = |nodes| Status::of(&cluster(nodes, "", &["--paused"]), &[]).unwrap();
    let mut shown = BTreeMap::new();
    let both = status(vec![idle("n1", &[]), waiting("n2", &[])]);
    let expected = format!(
        "{NOW} n1 idle runs 1\n{NOW} n2 waiting runs 1, next 2: ClusterPaused: All reboots are paused.\n"
    );
    assert_eq!(news(&both, &mut shown), expected);
    assert_eq!(news(&both, &mut shown), "");
    let expected = format!("{NOW} n2 idle runs 1\n{NOW} n1 is gone\n");
    assert_eq!(news(&status(vec![idle("n2", &[])]), &mut shown), expected);
}

/// Where something may not be read, that is how it is; where nothing answers, what was known goes on to be shown.
#[test]
fn what_was_known_outlives_an_outage() {
    let before = cluster(vec![], "", &["--paused"]);
    for (unanswered, expected, unknown) in [
        (true, before.operator.clone(), UNANSWERED),
        (false, None, "why"),
    ] {
        let read = Cluster {
            operator: None,
            unknown: vec!["why".to_owned()],
            unanswered,
            ..before.clone()
        };
        let after = later(before.clone(), read);
        assert_eq!(
            (after.operator, after.unknown),
            (expected, vec![unknown.to_owned()])
        );
    }
}

/// Everything else of the cluster is read again only where something is new.
#[test]
fn heartbeats_are_no_news() {
    let node = |version: &str| {
        let mut node = idle("n1", &[]);
        node.resource_version = version.to_owned();
        node
    };
    let mut other = node("4");
    other.ready = false;
    let mut known = None;
    let events = [
        (Change::Reset(vec![node("1")]), true),
        (Change::Changed(node("2")), false),
        (Change::Changed(node("3")), false),
        (Change::Changed(other.clone()), true),
        (Change::Changed(waiting("n2", &[])), true),
        (Change::Gone("n2".to_owned()), true),
        (Change::Gone("n2".to_owned()), false),
    ];
    for (event, news) in events {
        assert_eq!(hear(&mut known, event.clone()), news, "{event:?}");
    }
    assert_eq!(known, Some(BTreeMap::from([("n1".to_owned(), other)])));
}

#[test]
fn a_frame_is_never_higher_than_the_screen() {
    let text = "a\nb\nc\n";
    let shown = |height| {
        let frame = framed(text, height);
        let bare = frame.replace("\u{1b}[H", "").replace("\u{1b}[K", "");
        bare.replace("\u{1b}[J", "")
    };
    assert_eq!(shown(24), text);
    assert_eq!(shown(4), text);
    assert_eq!(shown(3), "a\n… and 2 more lines\n");
    for height in 0..6 {
        assert!(shown(height).lines().count() < height.max(2), "{height}");
    }
}
