use cuo_core::node::NodeView;
use cuo_core::time::Time;
use cuo_core::values::{Failure, Failures, RetryRequest, to_json};

use super::moment;
use crate::testing::{NOW, idle, new};

/// The node `n1`, on which something failed at `failed`, and which was asked at `asked` to try again.
fn node(failed: Option<&str>, asked: Option<&str>) -> NodeView {
    let mut raw = idle("n1", &[]);
    let mut add = |key: &str, value: String| raw.annotations.insert(key.to_owned(), value);
    if let Some(at) = failed {
        let failures = Failures {
            identities: vec![Failure {
                identity: new(),
                code: cuo_core::reason::Code::RolledBack.into(),
                at: at.parse().unwrap(),
            }],
        };
        add(cuo_core::keys::FAILED, to_json(&failures));
    }
    if let Some(at) = asked {
        let request = RetryRequest {
            at: at.parse().unwrap(),
            by: None,
            identity: None,
        };
        add(cuo_core::keys::RETRY, to_json(&request));
    }
    NodeView::parse(&raw).unwrap()
}

/// The clock of the host may be ahead, and a request in the same second as the last would count as that one.
#[test]
fn a_request_is_newer_than_all_that_it_is_about() {
    let (before, after) = ("2026-10-01T20:00:00Z", "2026-10-01T22:00:00Z");
    let table = [
        (None, None, NOW),
        (Some(before), Some(before), NOW),
        (Some(after), None, after),
        (None, Some(NOW), "2026-10-01T21:00:01Z"),
        (Some(before), Some(after), "2026-10-01T22:00:01Z"),
    ];
    for (failed, asked, expected) in table {
        let now: Time = NOW.parse().unwrap();
        let expected: Time = expected.parse().unwrap();
        let node = node(failed, asked);
        assert_eq!(moment(&node, now), expected, "{failed:?} {asked:?}");
    }
}
