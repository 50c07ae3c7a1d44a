use serde_json::json;

use super::{line, text};

#[test]
fn events_of_cuo_are_shown_and_no_others() {
    let event = |by: &str, about: &str| {
        serde_json::from_value(json!({
            "metadata": {"name": "x"},
            "eventTime": "2026-10-01T21:00:00.000000Z",
            "reportingController": by,
            "regarding": {"kind": "Node", "name": about},
            "reason": "Grant",
            "note": "may reboot into 2",
        }))
        .unwrap()
    };
    let own = "cuo.coreos.com/cuo-operator";
    let expected = "2026-10-01T21:00:00Z cuo-operator node/n1 Grant: may reboot into 2\n";
    let shown = |by, about, name| line(event(by, about), name).map(|line| text(&line));
    assert_eq!(shown(own, "n1", None).as_deref(), Some(expected));
    assert_eq!(shown(own, "n1", Some("n1")).as_deref(), Some(expected));
    assert_eq!(shown(own, "n1", Some("n2")), None);
    assert_eq!(shown("kubelet", "n1", None), None);
}
