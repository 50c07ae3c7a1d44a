use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::double::{Api, Reply, certificate};

fn web() -> Web {
    Web::new(&authorities(None).unwrap()).unwrap()
}

/// The address of a server that answers one request with these bytes.
fn raw(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = [0; 1024];
        assert!(stream.read(&mut read).unwrap() > 0);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    format!("http://{address}/secret-path")
}

#[tokio::test]
async fn what_a_server_answers_is_told_apart() {
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let busy =
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\nslow\ndown";
    let failed = "HTTP/1.1 500 Oops\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n";
    let refused = |status, said: &str, wait| WebError::Refused {
        status,
        said: said.into(),
        wait,
    };
    let table = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Ok("ok".to_owned()),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok(String::new())),
        // A token is not taken elsewhere.
        (redirect, Err(refused(302, "", None))),
        (
            busy,
            Err(refused(429, ": slow down", Some(Duration::from_secs(17)))),
        ),
        (failed, Err(refused(500, "", None))),
    ];
    for (answer, expected) in table {
        let found = send(web().client().get(raw(answer))).await;
        assert_eq!(found, expected, "{answer}");
    }
}

#[tokio::test]
async fn no_error_has_the_address_in_it() {
    let api = Api::start(|_| Reply::json(200, serde_json::json!({})).then_break()).await;
    let there = format!("http://{}/secret-path", api.address);
    let broken = send(web().client().get(there)).await.unwrap_err();
    let away = send(web().client().get("http://127.0.0.1:1/secret-path"))
        .await
        .unwrap_err();
    for error in [broken, away] {
        let text = error.to_string();
        assert!(
            text.starts_with("the server can't be reached: ") && !text.contains("secret"),
            "{text}"
        );
    }
}

#[test]
fn the_file_with_authorities_has_to_hold_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let said = |path: &Path| authorities(Some(path)).unwrap_err().to_string();
    assert!(said(&path).starts_with(&format!("caFile: {}: ", path.display())));
    std::fs::write(&path, "nothing").unwrap();
    assert!(said(&path).contains("there is no certificate in it"));
    let (own, _) = certificate("ca");
    std::fs::write(&path, own).unwrap();
    let usual = authorities(None).unwrap().len();
    assert_eq!(authorities(Some(&path)).unwrap().len(), usual + 1);
}
