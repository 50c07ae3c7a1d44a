use serde_json::Value;

use super::*;
use crate::double::{Api as Double, Reply, Request, eventually};

/// A Lease store with the API server's rules for versions. `edit` may change what is held before each request.
fn server(
    first: Option<Value>,
    mut edit: impl FnMut(&mut Value, &Request) + Send,
) -> impl FnMut(&Request) -> Reply + Send {
    let mut held = first;
    let mut version = 1;
    move |request| {
        let sent: Value = serde_json::from_str(&request.body).unwrap_or_default();
        if let Some(held) = &mut held {
            edit(held, request);
        }
        match (request.method(), &held) {
            ("GET", None) => return Reply::failure(404, "NotFound", "not found"),
            ("PUT", Some(found))
                if found["metadata"]["resourceVersion"] != sent["metadata"]["resourceVersion"] =>
            {
                return Reply::failure(409, "Conflict", "the object has been modified");
            }
            ("PUT" | "PATCH", _) => {
                let mut next = sent;
                version += 1;
                next["metadata"]["resourceVersion"] = json!(version.to_string());
                held = Some(next);
            }
            _ => {}
        }
        Reply::json(200, held.clone().unwrap_or_default())
    }
}

fn lease(holder: &str, seconds: u32) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": NAME, "namespace": "cuo-system", "resourceVersion": "1"},
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 3,
            "renewTime": "2026-11-23T21:00:00.000000Z",
        },
    })
}

struct Running {
    state: watch::Receiver<Leadership>,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(api: &Double) -> Running {
    let (sender, state) = watch::channel(Leadership::UNKNOWN);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stop_at = async {
        let _ = stopped.await;
    };
    let source = api.source().await;
    let place = Place {
        namespace: "cuo-system".into(),
        name: NAME,
    };
    let campaign = campaign(source, place, "me".into(), sender, stop_at);
    Running {
        state,
        stop,
        task: tokio::spawn(campaign),
    }
}

/// What the last write says.
fn written(api: &Double) -> Value {
    let mut seen = api.seen().into_iter();
    let last = seen
        .rfind(|request| request.method() == "PUT")
        .expect("a write");
    serde_json::from_str(&last.body).unwrap()
}

#[tokio::test]
async fn an_absent_lease_is_made_taken_and_given_back() {
    let api = Double::start(server(None, |_, _| {})).await;
    let running = start(&api).await;
    eventually("it leads", || {
        *running.state.borrow() == Leadership::Leading
    })
    .await;
    let taken = written(&api);
    assert_eq!(taken["spec"]["holderIdentity"], "me");
    assert_eq!(taken["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(taken["spec"]["leaseTransitions"], 1);

    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    assert_eq!(*running.state.borrow(), Leadership::UNKNOWN);
    let back = written(&api);
    assert_eq!(back["spec"].get("holderIdentity"), None);
    assert_eq!(back["spec"]["leaseDurationSeconds"], 1);
    let path = "/apis/coordination.k8s.io/v1/namespaces/cuo-system/leases/cuo-operator";
    let lines: Vec<_> = api.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        [
            format!("GET {path}"),
            format!("PATCH {path}?&fieldManager=cuo-agent"),
            format!("PUT {path}?"),
            format!("GET {path}"),
            format!("PUT {path}?"),
        ]
    );
}

#[tokio::test]
async fn a_silent_holder_is_followed_for_its_time_and_then_replaced() {
    let api = Double::start(server(Some(lease("old", 2)), |_, _| {})).await;
    let begun = Instant::now();
    let running = start(&api).await;
    let following = Leadership::Waiting {
        holder: Some("old".into()),
        error: None,
    };
    eventually("it follows", || *running.state.borrow() == following).await;
    eventually("it leads", || {
        *running.state.borrow() == Leadership::Leading
    })
    .await;
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(written(&api)["spec"]["leaseTransitions"], 4);
}

/// The renewal was done, and its answer is lost: what is written next must not be taken for somebody else's conflict.
#[tokio::test]
async fn a_renewal_without_an_answer_is_no_end() {
    let mut answer = server(Some(lease("", 1)), |_, _| {});
    let mut writes = 0;
    let lossy = move |request: &Request| {
        let reply = answer(request);
        writes += usize::from(request.method() == "PUT");
        match writes {
            2 if request.method() == "PUT" => Reply::failure(504, "Timeout", "no answer"),
            _ => reply,
        }
    };
    let api = Double::start(lossy).await;
    let mut running = start(&api).await;
    eventually("it leads", || {
        *running.state.borrow() == Leadership::Leading
    })
    .await;
    running.state.mark_unchanged();
    let writes = || {
        let seen = api.seen().into_iter();
        seen.filter(|request| request.method() == "PUT").count()
    };
    eventually("it renews twice", || writes() == 3).await;
    let lost = running.state.has_changed().unwrap();
    assert!(!lost, "{:?}", *running.state.borrow());
}

#[tokio::test]
async fn a_lease_taken_by_another_is_lost() {
    let usurp = |held: &mut Value, request: &Request| {
        let mine = held["spec"]["holderIdentity"] == "me";
        if mine && request.method() == "PUT" {
            *held = lease("other", 15);
            held["metadata"]["resourceVersion"] = json!("77");
        }
    };
    let api = Double::start(server(Some(lease("", 1)), usurp)).await;
    let running = start(&api).await;
    eventually("it leads", || {
        *running.state.borrow() == Leadership::Leading
    })
    .await;
    let following = Leadership::Waiting {
        holder: Some("other".into()),
        error: None,
    };
    eventually("it follows", || *running.state.borrow() == following).await;
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    let seen = api.seen();
    assert_eq!(
        seen.last().unwrap().method(),
        "GET",
        "the other's lease is left alone"
    );
}

#[tokio::test]
async fn a_refusal_is_told() {
    let api = Double::start(|_| Reply::failure(403, "Forbidden", "no")).await;
    let running = start(&api).await;
    let expected = Leadership::Waiting {
        holder: None,
        error: Some(ApiError::Forbidden {
            message: "no".into(),
        }),
    };
    eventually("the refusal is reported", || {
        *running.state.borrow() == expected
    })
    .await;
}

/// The watch tells of a lease that is given back, and meanwhile nothing is read.
#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let mut answer = server(Some(lease("old", 15)), |held, request| {
        if request.line.contains("watch=true") {
            *held = lease("", 1);
            held["metadata"]["resourceVersion"] = json!("2");
        }
    });
    let api = Double::start(move |request| {
        let query = request.line.split_once('?');
        let (list, watch) = query.map_or((false, false), |(_, query)| {
            let watch = query.contains("watch=true");
            (query.contains("fieldSelector") && !watch, watch)
        });
        let found = answer(request);
        if list {
            let items = [lease("old", 15)];
            let meta = json!({"resourceVersion": "1"});
            return Reply::json(200, json!({"metadata": meta, "items": items}));
        }
        if watch {
            let mut free = lease("", 1);
            free["metadata"]["resourceVersion"] = json!("2");
            return Reply::watch([("MODIFIED", free)]);
        }
        found
    })
    .await;
    let begun = Instant::now();
    let running = start(&api).await;
    eventually("it leads", || {
        *running.state.borrow() == Leadership::Leading
    })
    .await;
    assert!(begun.elapsed() < RETRY / 2, "{:?}", begun.elapsed());
    let leases = "/apis/coordination.k8s.io/v1/namespaces/cuo-system/leases";
    let seen = api.seen();
    let lines = seen.iter().map(|request| {
        let line = request.line.replace(leases, "");
        line.split('&').next().unwrap_or_default().to_owned()
    });
    let expected = [
        "GET /cuo-operator",
        "GET ?",
        "GET ?watch=true",
        "GET /cuo-operator",
        "PUT /cuo-operator?",
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}
