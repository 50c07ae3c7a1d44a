use serde_json::json;

use super::*;

#[test]
fn a_gate_is_open_for_a_time_or_closed_with_a_reason() {
    let cases = [
        (json!({"open": true}), None),
        (json!({"open": true, "until": "2026-10-01T22:00:00Z"}), None),
        (
            json!({"open": true, "until": "2026-10-01T21:00:00Z", "reason": "tests"}),
            Some("was open until 2026-10-01T21:00:00Z: tests"),
        ),
        (json!({"open": false}), Some("is closed")),
        (
            json!({"open": false, "reason": "alerts", "until": "2026-10-01T22:00:00Z"}),
            Some("is closed: alerts"),
        ),
    ];
    let now = "2026-10-01T21:00:00Z".parse().unwrap();
    for (spec, expected) in cases {
        let gate: Gate = gate("g", &spec).unwrap();
        assert_eq!(gate.closed(now).as_deref(), expected, "{spec}");
    }
}

#[test]
fn what_makes_no_sense_says_why() {
    for (spec, expected) in [
        (json!(null), "null"),
        (json!({}), "missing field `open`"),
        (json!({"open": "yes"}), "yes"),
        (json!({"open": true, "more": 1}), "unknown field `more`"),
    ] {
        let why = gate("g", &spec).unwrap_err();
        assert!(why.contains(expected), "{spec}: {why}");
    }
}
