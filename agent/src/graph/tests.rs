use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use cuo_core::reason::Code;

use super::*;

fn asks() -> Asks {
    Asks {
        stream: "stable".into(),
        version: "43.1".into(),
        checksum: "01".repeat(32),
        images: false,
        platform: Platform {
            basearch: "x86_64".into(),
            name: "metal".into(),
            node_uuid: "1234".into(),
        },
    }
}

fn at(url: &str) -> config::Graph {
    config::Graph {
        url: url.to_owned(),
        ..config::Graph::default()
    }
}

/// As `systemd-id128 machine-id -a de35106b6ec24688b63afddaa156679b` of systemd 252 printed it on a host with this machine id.
#[test]
fn the_id_of_a_host_is_the_one_that_zincati_reports() {
    let machine = "3d1219c7c4c5404aaa1f6d2a48adfda4".parse().unwrap();
    assert_eq!(node_uuid(machine), "975228d46dc94622b9bbe16671e2b58d");
}

#[test]
fn the_address_says_what_runs_and_where() {
    let images = Asks {
        checksum: format!("quay.io/fedora/fedora-coreos@sha256:{}", "02".repeat(32)),
        images: true,
        ..asks()
    };
    let wary = config::Graph {
        rollout_wariness: Some(config::Wariness(0.5)),
        group: "canaries & co".into(),
        node_uuid: Some("me".into()),
        ..at("http://h:8080/${stream}/${basearch}/${group}/${platform}/")
    };
    let commit = "01".repeat(32);
    let digest = "02".repeat(32);
    let cases = [
        (
            asks(),
            at("https://updates.example.com"),
            format!(
                "https://updates.example.com/v1/graph?basearch=x86_64&stream=stable&os_version=43.1&os_checksum={commit}&group=default&node_uuid=1234&platform=metal"
            ),
        ),
        (
            images,
            wary,
            format!(
                "http://h:8080/stable/x86_64/canaries%20&%20co/metal/v1/graph?basearch=x86_64&stream=stable&os_version=43.1&os_checksum=quay.io%2Ffedora%2Ffedora-coreos%40sha256%3A{digest}&group=canaries+%26+co&node_uuid=me&platform=metal&oci=true&rollout_wariness=0.500000"
            ),
        ),
        (
            asks(),
            at("file:///srv/graph.json"),
            "file:///srv/graph.json".into(),
        ),
    ];
    for (asks, config, expected) in cases {
        assert_eq!(asks.url(&config).unwrap().as_str(), expected);
    }
    let wrong = asks().url(&at("ftp://h")).unwrap_err();
    assert_eq!(
        (wrong.code(), wrong.to_string()),
        (
            Code::GraphInvalid,
            "`graph.url` or `graph.proxy` of the configuration can't be used: \"ftp://h\": it begins with none of https:, http: and file:".into()
        )
    );
}

/// A server that answers once with each of `answers`, and what it was asked.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let answered = answers.into_iter().map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![];
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            // Whoever has read enough closes first.
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8(asked).unwrap().to_lowercase()
        });
        answered.collect()
    });
    (url, server)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

async fn fetched(root: &Path, url: &str) -> Result<usize, String> {
    let graph = fetch(root, &at(url), &asks()).await;
    let graph = graph.map_err(|error| format!("{}: {error}", error.code()).replace(url, "URL"));
    Ok(graph?.releases.len())
}

#[tokio::test]
async fn what_is_no_graph_leads_nowhere_and_says_why() {
    let huge = format!("[{}", " ".repeat(LARGEST));
    let refusal = r#"{"kind":"missing_graph","value":"no such\nstream"}"#;
    let cases = [
        (
            answer("200 OK", "", "{}"),
            "GraphInvalid: the answer of URL/v1/graph can't be used: it is no update graph: missing field `nodes` at line 1 column 2",
        ),
        (
            answer("200 OK", "", &huge),
            "GraphInvalid: the update graph at URL/v1/graph has more than 4194304 bytes",
        ),
        (
            answer("400 Bad Request", "", refusal),
            "GraphUnreachable: the server of the update graph at URL/v1/graph answered 400: missing_graph: no such stream",
        ),
        (
            answer("503 Service Unavailable", "", "<html>"),
            "GraphUnreachable: the server of the update graph at URL/v1/graph answered 503",
        ),
    ];
    let root = tempfile::tempdir().unwrap();
    for (answer, expected) in cases {
        let (url, server) = serve(vec![answer]);
        assert_eq!(fetched(root.path(), &url).await, Err(expected.to_owned()));
        server.join().unwrap();
    }
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"nodes\":[".to_owned();
    let (url, server) = serve(vec![cut]);
    let found = fetched(root.path(), &url).await.unwrap_err();
    assert!(
        found.starts_with("GraphUnreachable: the update graph at URL/v1/graph can't be fetched: "),
        "{found}"
    );
    server.join().unwrap();
    // Nobody listens there any more.
    let found = fetched(root.path(), &url).await.unwrap_err();
    assert!(found.contains("onnection refused"), "{found}");
}

#[tokio::test]
async fn a_graph_that_has_not_changed_is_not_sent_again() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("var/lib/cuo-agent")).unwrap();
    let graph = r#"{"nodes":[{"version":"1","payload":"x"}],"edges":[]}"#;
    let (url, server) = serve(vec![
        answer("200 OK", "etag: \"one\"\r\n", graph),
        answer("304 Not Modified", "", ""),
        answer("500 Internal Server Error", "", ""),
    ]);
    assert_eq!(fetched(root.path(), &url).await, Ok(1));
    assert_eq!(fetched(root.path(), &url).await, Ok(1));
    // What is kept leads nowhere while the server is away.
    assert!(fetched(root.path(), &url).await.is_err());
    let asked = server.join().unwrap();
    let conditions = asked
        .iter()
        .map(|asked| asked.contains("if-none-match: \"one\""));
    assert_eq!(conditions.collect::<Vec<_>>(), [false, true, true]);
    assert!(
        asked
            .iter()
            .all(|asked| asked.contains("accept: application/json")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_graph_comes_from_a_file_as_well() {
    let root = tempfile::tempdir().unwrap();
    let missing = fetched(root.path(), "file:///srv/graph.json").await;
    assert!(missing.unwrap_err().starts_with("GraphUnreachable: "));
    std::fs::create_dir(root.path().join("srv")).unwrap();
    std::fs::write(
        root.path().join("srv/graph.json"),
        r#"{"nodes":[],"edges":[]}"#,
    )
    .unwrap();
    assert_eq!(fetched(root.path(), "file:///srv/graph.json").await, Ok(0));
}
