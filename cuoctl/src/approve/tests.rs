use serde_json::json;

use super::added;

#[test]
fn a_release_is_added_and_nothing_is_replaced() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let pool = json!({"spec": {"approval": "Manual", "approved": [{"version": "1"}]}});
    let cases = [
        ("2", Some(json!([{"version": "1"}, {"version": "2"}]))),
        (
            digest.as_str(),
            Some(json!([{"version": "1"}, {"identity": digest}])),
        ),
        ("1", None),
    ];
    for (release, expected) in cases {
        let found = added(&pool, release).unwrap();
        assert_eq!(found.map(serde_json::Value::from), expected, "{release}");
    }
    let empty = json!({"spec": {"approval": "Manual"}});
    assert_eq!(
        added(&empty, "1").unwrap(),
        Some(vec![json!({"version": "1"})])
    );
}

#[test]
fn a_pool_that_approves_everything_needs_none() {
    for pool in [json!({}), json!({"spec": {"approval": "Automatic"}})] {
        let error = added(&pool, "1").unwrap_err().to_string();
        assert!(error.contains("wants no approvals"), "{error}");
    }
}
