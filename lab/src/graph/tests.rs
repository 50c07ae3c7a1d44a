use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::edges::{edges, wariness};
use super::{Failure, GraphServer, Rollout, Scope, Vertex, releases};
use crate::machine::HostSpec;
use crate::machine::ostree::Release;

const DEADLINE: Duration = Duration::from_secs(20);
const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
const V4: &str = "43.20260401.3.0";
const V5: &str = "43.20260501.3.0";
const ASKS: &str = "basearch=x86_64&stream=stable&rollout_wariness=0.500000";

/// What came: the head, and as much of the body as the server sent before it closed the connection.
async fn get(server: &GraphServer, target: &str, headers: &str) -> (String, Vec<u8>) {
    let address = server.url().replace("http://", "");
    let talk = async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        // A connection that breaks is an end as well.
        let _ = stream.read_to_end(&mut all).await;
        all
    };
    let all = timeout(DEADLINE, talk).await.unwrap();
    let end = all.windows(4).position(|part| part == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&all)));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    (head.to_lowercase(), all[end + 4..].to_vec())
}

async fn status(server: &GraphServer, target: &str) -> String {
    let (head, _) = get(server, target, "").await;
    head.split(' ').nth(1).unwrap().to_owned()
}

async fn graph(server: &GraphServer, query: &str) -> Value {
    let (head, body) = get(server, &format!("/v1/graph?{query}"), "").await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    serde_json::from_slice(&body).unwrap()
}

fn now() -> i64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(passed.as_secs()).unwrap()
}

#[test]
fn edges_skip_no_barrier_and_leave_no_dead_end() {
    let plain = || [V1, V2, V3, V4, V5].map(Vertex::new);
    let told = |releases: &[Vertex]| edges(releases, 0.5, 1_000_000);
    assert_eq!(told(&plain()), []);

    let [one, two, three, four, five] = plain();
    let all = [
        one,
        two,
        three.barrier("keys"),
        four,
        five.clone().rolled_out(),
    ];
    assert_eq!(told(&all), [(2, 4), (3, 4), (0, 2), (1, 2)]);

    // A barrier that is rolled out is both at once, and a dead end is reached but not left.
    let [one, two, three, four, _] = plain();
    let all = [
        one,
        two.barrier("first").deadend("broken"),
        three.barrier("second").rolled_out(),
        four.barrier("third"),
        five.rolled_out(),
    ];
    assert_eq!(told(&all), [(3, 4), (0, 1), (2, 3)]);
}

#[test]
fn a_release_is_offered_to_more_and_more_clients() {
    let begin = 1_000_000;
    let offered = |rollout: Rollout, wariness: f64, now: i64| {
        let all = [Vertex::new(V1), Vertex::new(V2).rollout(rollout)];
        !edges(&all, wariness, now).is_empty()
    };
    let quarter = Rollout {
        start_epoch: Some(begin),
        start_value: Some(0.25),
        duration_minutes: Some(100),
    };
    for (now, last) in [(begin, 0.25), (begin + 3_000, 0.625), (begin + 6_000, 1.0)] {
        assert!(offered(quarter, last, now), "{now}");
        assert!(!offered(quarter, last + 0.01, now), "{now}");
    }
    assert!(offered(quarter, 1.0, begin + 6_001));
    // Who is not wary at all has it before it begins.
    assert!(!offered(quarter, 0.001, begin - 1));
    assert!(offered(quarter, 0.0, begin - 1));
    // Without a duration it stays where it began.
    let stuck = Rollout {
        duration_minutes: None,
        ..quarter
    };
    assert!(offered(stuck, 0.25, i64::MAX) && !offered(stuck, 0.26, i64::MAX));
    assert!(!offered(Rollout::default(), 0.000_001, begin));
    assert!(offered(Rollout::DONE, 1.0, begin));
}

#[test]
fn who_says_nothing_is_as_wary_as_the_id_of_the_node_says() {
    assert_eq!(wariness(Some("0.500000"), Some("a")), 0.5);
    assert_eq!(wariness(Some("7"), None), 1.0);
    assert_eq!(wariness(Some("-1"), None), 0.0);
    let uuid = "e0f3745b108f471cbd4883c6fbed8cdd";
    let derived = wariness(None, Some(uuid));
    assert_eq!(wariness(Some("much"), Some(uuid)), derived);
    assert_eq!(wariness(None, None), wariness(None, Some("")));
    assert!(derived > 0.0 && derived <= 1.0);
    assert_ne!(wariness(None, Some("another")), derived);
}

#[tokio::test]
async fn nodes_have_the_metadata_and_payloads_of_the_real_ones() {
    let server = GraphServer::start().await.unwrap();
    let rollout = Rollout {
        start_epoch: Some(1_700_000_000),
        start_value: Some(0.0),
        duration_minutes: Some(2880),
    };
    let all = vec![
        Vertex::new(V1).deadend(""),
        Vertex::new(V2).barrier("keys"),
        Vertex::new(V3).rollout(rollout),
    ];
    server.serve(Scope::commits("stable"), all.clone());
    server.serve(Scope::images("stable"), all);
    let key = |name: &str| format!("org.fedoraproject.coreos.{name}");
    for oci in [false, true] {
        let payload = |version| {
            let release = Release::new(version);
            match oci {
                true => format!("quay.io/fedora/fedora-coreos@{}", release.digest()),
                false => release.commit(),
            }
        };
        let scheme = if oci { "oci" } else { "checksum" };
        let meta = |age: &str, more: &[(&str, &str)]| {
            let both = [("releases.age_index", age), ("scheme", scheme)];
            let all = both.iter().chain(more);
            let all = all.map(|(name, value)| (key(name), Value::from(*value)));
            Value::Object(all.collect())
        };
        let dead = [
            ("updates.deadend", "true"),
            ("updates.deadend_reason", "generic"),
        ];
        let barrier = [
            ("updates.barrier", "true"),
            ("updates.barrier_reason", "keys"),
        ];
        let rolling = [
            ("updates.rollout", "true"),
            ("updates.start_epoch", "1700000000"),
            ("updates.start_value", "0"),
            ("updates.duration_minutes", "2880"),
        ];
        let expected = json!({
            "nodes": [
                {"version": V1, "payload": payload(V1), "metadata": meta("0", &dead)},
                {"version": V2, "payload": payload(V2), "metadata": meta("1", &barrier)},
                {"version": V3, "payload": payload(V3), "metadata": meta("2", &rolling)},
            ],
            "edges": [[1, 2]],
        });
        assert_eq!(graph(&server, &format!("{ASKS}&oci={oci}")).await, expected);
    }
}

#[tokio::test]
async fn a_hosts_releases_are_those_of_its_remote() {
    let spec = HostSpec {
        newest: Some(V3.to_owned()),
        offered: vec![V2.to_owned()],
        ..HostSpec::fcos_image(V1)
    };
    assert_eq!(spec.versions(), [V1, V2, V3]);
    let remote = spec.remote();
    let known: Vec<_> = remote
        .releases
        .iter()
        .map(|one| one.version.as_str())
        .collect();
    assert_eq!(known, [V1, V2, V3]);
    assert_eq!(remote.head().unwrap().version, V3);
    let expected = [
        Vertex::new(V1),
        Vertex::new(V2),
        Vertex::new(V3).rolled_out(),
    ];
    assert_eq!(releases(&spec), expected);
}

#[tokio::test]
async fn requests_are_kept_and_those_that_say_too_little_are_refused() {
    let server = GraphServer::start().await.unwrap();
    server.serve(Scope::commits("stable"), vec![Vertex::new(V1)]);
    let target = |query: &str| format!("/v1/graph?{query}");
    for (target, expected) in [
        (target("stream=stable&basearch=x86_64"), "200"),
        (target("stream=stable&basearch=x86_64&oci=false"), "200"),
        (target("stream=stable"), "400"),
        (target("stream=&basearch=x86_64"), "400"),
        (target("stream=stable&basearch=x86_64&oci=yes"), "400"),
        (target("stream=stable&basearch=x86_64&oci=true"), "500"),
        (target("stream=testing&basearch=x86_64"), "500"),
        ("/v2/graph".to_owned(), "404"),
    ] {
        assert_eq!(status(&server, &target).await, expected, "{target}");
    }
    let query = "os_checksum=quay.io%2Ffedora%40sha256%3Aab&group=a+b&node_uuid=&x";
    get(&server, &target(query), "Accept: application/json\r\n").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 9);
    let last = requests.last().unwrap();
    assert_eq!(last.path, "/v1/graph");
    let expected = [
        ("group", "a b"),
        ("node_uuid", ""),
        ("os_checksum", "quay.io/fedora@sha256:ab"),
        ("x", ""),
    ];
    let found: Vec<_> = last.query.iter().map(|(a, b)| (&**a, &**b)).collect();
    assert_eq!(found, expected);
    assert_eq!(last.headers["accept"], "application/json");
}

#[tokio::test]
async fn it_fails_as_it_is_told_to() {
    let server = GraphServer::start().await.unwrap();
    server.serve(Scope::commits("stable"), vec![Vertex::new(V1)]);
    let target = format!("/v1/graph?{ASKS}");
    let whole = get(&server, &target, "").await;
    let length = whole.1.len();

    let failure = Failure::Status(503, "busy".to_owned(), "later".to_owned());
    server.fail(failure);
    for _ in 0..2 {
        let (head, body) = get(&server, &target, "").await;
        assert!(head.starts_with("http/1.1 503 "), "{head}");
        assert_eq!(body, br#"{"kind":"busy","value":"later"}"#);
    }
    server.fail(Failure::Bare(400));
    let (head, body) = get(&server, &target, "").await;
    assert!(
        head.starts_with("http/1.1 400 ") && body.is_empty(),
        "{head}"
    );
    server.fail(Failure::Garbage);
    let (head, body) = get(&server, &target, "").await;
    assert!(
        head.starts_with("http/1.1 200 ") && body.starts_with(b"<html>"),
        "{head}"
    );
    server.fail(Failure::Text("{\"nodes\":7}".to_owned()));
    assert_eq!(get(&server, &target, "").await.1, br#"{"nodes":7}"#);
    server.fail(Failure::Truncated);
    let (head, body) = get(&server, &target, "").await;
    assert!(
        head.contains(&format!("content-length: {length}")),
        "{head}"
    );
    assert_eq!(body, whole.1[..length / 2]);
    server.fail(Failure::Large(10 << 20));
    let body = get(&server, &target, "").await.1;
    assert_eq!(body.len(), 10 << 20);
    assert_eq!(body[..length], whole.1);
    let pause = Duration::from_millis(300);
    for failure in [Failure::Slow(pause), Failure::Halting(pause)] {
        server.fail(failure.clone());
        let begun = Instant::now();
        assert_eq!(get(&server, &target, "").await.1, whole.1, "{failure:?}");
        assert!(begun.elapsed() >= pause, "{failure:?}");
    }
    server.fail(Failure::Silent);
    let asked = timeout(pause, get(&server, &target, ""));
    assert!(asked.await.is_err());
    server.heal();
    assert_eq!(get(&server, &target, "").await.1, whole.1);

    server.fail_times(Failure::Bare(500), 2);
    for expected in ["500", "500", "200"] {
        assert_eq!(status(&server, &target).await, expected);
    }
}

#[tokio::test]
async fn it_stops_and_comes_back_on_the_same_port() {
    let mut server = GraphServer::start().await.unwrap();
    server.serve(Scope::commits("stable"), vec![Vertex::new(V1)]);
    let url = server.url();
    // Somebody is connected, and waits.
    let mut waiting = TcpStream::connect(&url["http://".len()..]).await.unwrap();
    server.stop().await.unwrap();
    let mut rest = Vec::new();
    let end = timeout(DEADLINE, waiting.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.is_empty(), "{end:?}");
    let refused = TcpStream::connect(&url["http://".len()..])
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(graph(&server, ASKS).await["nodes"][0]["version"], V1);
}

#[tokio::test]
async fn answers_have_a_tag_if_wanted() {
    let server = GraphServer::start().await.unwrap();
    server.serve(Scope::commits("stable"), vec![Vertex::new(V1)]);
    let target = format!("/v1/graph?{ASKS}");
    let (head, _) = get(&server, &target, "").await;
    assert!(!head.contains("etag"), "{head}");
    server.tag(true);
    let (head, _) = get(&server, &target, "").await;
    let tag = head.split("etag: ").nth(1).unwrap();
    let tag = tag.split("\r\n").next().unwrap().to_owned();
    let has = format!("If-None-Match: {tag}\r\n");
    let (head, body) = get(&server, &target, &has).await;
    assert!(
        head.starts_with("http/1.1 304 ") && body.is_empty(),
        "{head}"
    );
    server.serve(Scope::commits("stable"), vec![Vertex::new(V2)]);
    let (head, body) = get(&server, &target, &has).await;
    assert!(
        head.starts_with("http/1.1 200 ") && !body.is_empty(),
        "{head}"
    );
}

#[tokio::test]
async fn graphs_are_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graphs.json");
    let rollout = json!({"start_epoch": now() + 3_600, "start_value": 0.0, "duration_minutes": 60});
    let releases = json!([{"version": V1}, {"version": V2, "rollout": rollout}]);
    let scope = json!({"stream": "stable", "basearch": "x86_64"});
    std::fs::write(&path, json!([[scope, releases]]).to_string()).unwrap();
    let server = GraphServer::start().await.unwrap();
    server.serve_file(&path).unwrap();
    let found = graph(&server, ASKS).await;
    assert_eq!(found["edges"], json!([]));
    assert_eq!(found["nodes"][1]["payload"], Release::new(V2).commit());
    server.forget(&Scope::commits("stable"));
    assert_eq!(status(&server, &format!("/v1/graph?{ASKS}")).await, "500");
    std::fs::write(&path, "{}").unwrap();
    let error = server.serve_file(&path).unwrap_err();
    assert!(error.to_string().starts_with("parse "), "{error:#}");
}
