use std::sync::Mutex;

use cuo_cluster::ApiError;
use cuo_core::gate::Gate as Found;
use serde_json::{Value, json};

use super::*;
use crate::double::{Api, Reply, Request};

fn object(name: &str, open: bool) -> GateObject {
    GateObject {
        name: name.to_owned(),
        version: "1".into(),
        labels: BTreeMap::new(),
        found: Ok(Found {
            open,
            until: None,
            reason: None,
        }),
    }
}

#[test]
fn only_what_is_different_wakes_the_gates() {
    let all = |gates: &[(&str, bool)]| -> Known {
        let gates = gates.iter().map(|(name, open)| {
            let object = object(name, *open);
            (object.name.clone(), object)
        });
        Some(gates.collect())
    };
    let reset = || Change::Reset(vec![object("a", true)]);
    let lost = || {
        Change::Disconnected(ApiError::Unreachable {
            message: "away".into(),
        })
    };
    // A write has to be of the newest version.
    let newer = GateObject {
        version: "2".into(),
        ..object("a", true)
    };
    let table = [
        (None, lost(), false, None),
        (None, reset(), true, all(&[("a", true)])),
        (None, Change::Reset(vec![]), true, all(&[])),
        (all(&[("a", true)]), reset(), false, all(&[("a", true)])),
        (all(&[("a", true)]), lost(), false, all(&[("a", true)])),
        (
            all(&[("a", true)]),
            Change::Changed(object("a", true)),
            false,
            all(&[("a", true)]),
        ),
        (
            all(&[("a", true)]),
            Change::Changed(object("a", false)),
            true,
            all(&[("a", false)]),
        ),
        (
            all(&[("a", true)]),
            Change::Changed(newer.clone()),
            true,
            Some(BTreeMap::from([("a".to_owned(), newer)])),
        ),
        (
            all(&[("a", true)]),
            Change::Gone("a".into()),
            true,
            all(&[]),
        ),
        (
            all(&[("a", true)]),
            Change::Gone("b".into()),
            false,
            all(&[("a", true)]),
        ),
    ];
    for (known, event, different, after) in table {
        let mut now = known.clone();
        let text = format!("{event:?}");
        assert_eq!(
            (hear(&mut now, event), now),
            (different, after),
            "{known:?} {text}"
        );
    }
}

#[test]
fn a_watch_that_is_lost_says_why_until_it_is_back() {
    let lost = |message: &str| {
        Change::Disconnected(ApiError::Forbidden {
            message: message.into(),
        })
    };
    let why = |message: &str| {
        Some(format!(
            "UpdateGates can't be watched: forbidden: {message}"
        ))
    };
    let table = [
        (None, Change::Reset(vec![]), false, None),
        (None, lost("no role"), true, why("no role")),
        (why("no role"), lost("no role"), false, why("no role")),
        (why("no role"), lost("other"), true, why("other")),
        (why("no role"), Change::Reset(vec![]), true, None),
    ];
    for (before, event, different, after) in table {
        let mut now = before.clone();
        assert_eq!(
            (miss(&mut now, &event), now),
            (different, after),
            "{before:?} {event:?}"
        );
    }
}

#[test]
fn a_gate_that_could_not_be_written_is_settled_soon() {
    let now = Instant::now();
    let (soon, late) = (now + AGAIN / 2, now + AGAIN * 2);
    let table = [
        (Settled::Fine, late, Some(late)),
        (Settled::Failed, late, Some(now + AGAIN)),
        (Settled::Failed, soon, Some(soon)),
        (Settled::Old, late, None),
    ];
    for (settled, next, expected) in table {
        assert_eq!(due(settled, next, now), expected, "{settled:?}");
    }
}

#[test]
fn a_gate_counts_as_open_while_an_operator_takes_it_so() {
    let now = Time::from_second(100);
    let until = |second| GateObject {
        found: Ok(Found {
            open: true,
            until: Some(Time::from_second(second)),
            reason: None,
        }),
        ..object("a", true)
    };
    let unclear = GateObject {
        found: Err("?".into()),
        ..object("a", true)
    };
    let table = [
        (None, false),
        (Some(object("a", true)), true),
        (Some(object("a", false)), false),
        (Some(until(101)), true),
        (Some(until(100)), false),
        (Some(unclear), false),
    ];
    for (known, expected) in table {
        assert_eq!(opens(known.as_ref(), now), expected, "{known:?}");
    }
}

/// A Prometheus without alerts, and an API server that has one gate of the companion's, and fails the first write. The gate stays as it is.
fn cluster() -> impl FnMut(&Request) -> Reply + Send {
    let mut writes = 0;
    move |request| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/api/v1/query") {
            let data = json!({ "resultType": "vector", "result": [] });
            return Reply::json(200, json!({ "status": "success", "data": data }));
        }
        if request.method() == "PATCH" {
            writes += 1;
            return match writes {
                1 => Reply::failure(500, "InternalError", "no"),
                _ => Reply::json(200, json!({})),
            };
        }
        if request.line.contains("watch=true") {
            return Reply::watch([]);
        }
        let labels = json!({ "app.kubernetes.io/managed-by": "cuo-companion" });
        let meta = json!({ "name": "quiet", "resourceVersion": "7", "labels": labels });
        let gate = json!({ "metadata": meta, "spec": { "open": false, "reason": "old" } });
        Reply::json(
            200,
            json!({ "metadata": { "resourceVersion": "9" }, "items": [gate] }),
        )
    }
}

async fn gates(api: &Api) -> Gates {
    Gates {
        source: api.source().await,
        web: Web::new(&crate::web::authorities(None).unwrap()).unwrap(),
        metrics: Arc::new(Metrics::new()),
        lost: watch::Sender::new(None),
    }
}

#[tokio::test]
async fn a_write_that_failed_is_tried_again_long_before_the_next_look() {
    let api = Api::start(cluster()).await;
    let text = format!(
        "gates:\n  - name: quiet\n    every: 1h\n    validFor: 4h\n    alerts: {{prometheusURL: 'http://{}'}}\n",
        api.address
    );
    let config = Config::parse("f", &text).unwrap();
    let gates = gates(&api).await;
    let writes = || {
        let all = api.seen().into_iter();
        let all = all.filter(|request| request.method() == "PATCH");
        all.collect::<Vec<_>>()
    };
    let is = |open: u8| {
        let line = format!("cuo_companion_gate_open{{gate=\"quiet\"}} {open}");
        gates.metrics.text().contains(&line)
    };
    let before = Mutex::new(None);
    let waiting = async {
        // The gate shows in metrics as it is, and not as it is to be.
        while writes().len() < 2 || !is(1) {
            if writes().len() == 1 {
                before.lock().unwrap().get_or_insert(is(0));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = tokio::time::timeout(AGAIN * 6, async {
        tokio::select! {
            () = gates.keep(&config) => {}
            () = waiting => {}
        }
    });
    within.await.unwrap();
    assert_eq!(*before.lock().unwrap(), Some(true));
    for write in writes() {
        let body: Value = serde_json::from_str(&write.body).unwrap();
        assert_eq!(body["metadata"]["resourceVersion"], "7", "{body}");
        assert_eq!(body["spec"]["open"], true, "{body}");
    }
}

#[tokio::test]
async fn without_gates_nothing_is_asked() {
    let api = Api::start(cluster()).await;
    let gates = gates(&api).await;
    let before = api.seen().len();
    let config = Config::default();
    let kept = tokio::time::timeout(Duration::from_millis(300), gates.keep(&config));
    assert!(kept.await.is_err(), "it has no end");
    assert_eq!(api.seen().len(), before);
}
