use super::*;

fn grant() -> Grant {
    Grant {
        id: "17-0f3a9b2c".parse().unwrap(),
        identity: format!("sha256:{}", "ab".repeat(32)).parse().unwrap(),
        boot: "0f3a9b2c-1111-4222-8333-abcdefabcdef".parse().unwrap(),
        issued: "2026-11-23T21:00:00Z".parse().unwrap(),
        deadline: "2026-11-23T21:05:00Z".parse().unwrap(),
        drain: DrainPolicy::default(),
        pods: PodChecks::default(),
        cordoned: Cordoned::Hold,
    }
}

#[test]
fn a_grant_is_written_and_read_back() {
    let text = to_json(&grant());
    let expected = format!(
        "{{\"v\":1,\"id\":\"17-0f3a9b2c\",\"identity\":\"sha256:{}\",\"boot\":\"0f3a9b2c-1111-4222-8333-abcdefabcdef\",\
         \"issued\":\"2026-11-23T21:00:00Z\",\"deadline\":\"2026-11-23T21:05:00Z\",\
         \"drain\":{{\"timeoutSeconds\":600,\"onTimeout\":\"abort\"}}}}",
        "ab".repeat(32)
    );
    assert_eq!(text, expected);
    assert_eq!(Field::<Grant>::json(Some(&text)), Field::Value(grant()));
}

#[test]
fn what_is_not_known_is_never_a_grant() {
    let text = to_json(&grant());
    let cases = [
        (text.replace("\"v\":1", "\"v\":2"), Field::OtherVersion(2)),
        (
            text.replace("\"v\":1,", ""),
            Field::Malformed(String::new()),
        ),
        (
            text.replace("\"drain\":", "\"notBefore\":1,\"drain\":"),
            Field::Malformed(String::new()),
        ),
        (
            text.replace("abort", "ask"),
            Field::Malformed(String::new()),
        ),
        ("true".to_owned(), Field::Malformed(String::new())),
        (String::new(), Field::Malformed(String::new())),
    ];
    for (text, expected) in cases {
        let found = match Field::<Grant>::json(Some(&text)) {
            Field::Malformed(why) => {
                assert!(!why.is_empty());
                Field::Malformed(String::new())
            }
            other => other,
        };
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(Field::<Grant>::json(None), Field::Absent);
}

#[test]
fn the_longest_drain_is_its_whole_ladder_and_the_delay() {
    let longest = |on_timeout, delay_seconds| {
        let policy = DrainPolicy {
            on_timeout,
            delay_seconds,
            ..DrainPolicy::default()
        };
        policy.longest().as_secs()
    };
    assert_eq!(longest(OnTimeout::Abort, 0), 600);
    assert_eq!(longest(OnTimeout::Delete, 30), 1230);
    assert_eq!(longest(OnTimeout::Force, 0), 1260);
}

#[test]
fn a_status_is_one_short_line() {
    let status = Status {
        phase: Phase::Waiting,
        since: "2026-11-23T21:00:00Z".parse().unwrap(),
    };
    assert_eq!(status.to_string(), "waiting since 2026-11-23T21:00:00Z");
    assert_eq!(status.to_string().parse(), Ok(status));
    for text in [
        "",
        "waiting",
        "dancing since 2026-11-23T21:00:00Z",
        "waiting since yesterday",
    ] {
        assert!(text.parse::<Status>().is_err(), "{text}");
    }
}

#[test]
fn failures_are_few_and_each_is_listed_once() {
    let mut failures = Failures::default();
    let failure = |n: u8| Failure {
        identity: ReleaseId::Commit([n; 32]),
        code: Code::RolledBack.into(),
        at: Time::EPOCH,
    };
    for n in 0..10 {
        failures.add(failure(n));
    }
    failures.add(failure(5));
    let kept: Vec<_> = [2, 3, 4, 6, 7, 8, 9, 5].map(failure).into();
    assert_eq!(failures.identities, kept);
    assert_eq!(failures.find(&ReleaseId::Commit([1; 32])), None);
}
