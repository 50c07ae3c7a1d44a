use super::*;

fn call(second: f64, verb: &str, subresource: &str, name: &str, uri: &str) -> AuditEntry {
    let at = Timestamp::from_millisecond((second * 1000.0) as i64).unwrap();
    AuditEntry {
        received: at.to_string(),
        verb: verb.into(),
        user: "system:node:n1".into(),
        resource: if subresource.is_empty() {
            "nodes"
        } else {
            "pods"
        }
        .into(),
        subresource: subresource.into(),
        namespace: "d".into(),
        name: name.into(),
        code: 201,
        user_agent: "cuo-agent/0".into(),
        uri: uri.into(),
    }
}

fn evictions(seconds: &[f64]) -> Vec<AuditEntry> {
    let call = |second: &f64| call(*second, "create", "eviction", "web", "/x");
    seconds.iter().map(call).collect()
}

fn questions(count: u64) -> Vec<AuditEntry> {
    let call = |n| call(n as f64, "create", "eviction", "web", "/x?dryRun=All");
    (0..count).map(call).collect()
}

fn writes(count: u64, every: f64) -> Vec<AuditEntry> {
    let call = |n| call(n as f64 * every, "patch", "", "n1", "/n1");
    (0..count).map(call).collect()
}

#[test]
fn each_kind_of_calls_has_its_budget() {
    let course = Course {
        starts: [("n1".to_owned(), 1)].into(),
        grants: [("n1".to_owned(), 1)].into(),
        operators: 1,
        strange: BTreeSet::new(),
    };
    let cases = [
        (evictions(&[0.0, 1.0, 2.1]), None),
        (
            evictions(&[0.0, 0.4, 0.9]),
            Some("eviction of d/web: 3 times, at most 1"),
        ),
        (questions(1), None),
        (questions(2), Some("(dry run) of d/web: 2 times, at most 1")),
        (writes(46, 1.0), None),
        (writes(47, 1.0), Some("patch nodes: 47 times, at most 46")),
        (
            writes(31, 0.3),
            Some("patch nodes within 10 s: 31 times, at most 30"),
        ),
    ];
    for (entries, expected) in cases {
        let found = exceeded(&entries, &course);
        match expected {
            None => assert_eq!(found, Vec::<String>::new()),
            Some(expected) => {
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].contains(expected), "{found:?}");
            }
        }
    }
    let asked_by_doctor: Vec<_> = writes(31, 0.1)
        .into_iter()
        .map(|call| AuditEntry {
            resource: "selfsubjectaccessreviews".into(),
            ..call
        })
        .collect();
    assert_eq!(exceeded(&asked_by_doctor, &course), Vec::<String>::new());
    let strange = Course {
        strange: ["n1".to_owned()].into(),
        ..course
    };
    assert_eq!(exceeded(&questions(2), &strange), Vec::<String>::new());
    assert!(table(&questions(2)).contains("2 in all, 2 within 10 s, 2 about one object"));
}
