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
async fn what_a_server_echoes_of_the_request_is_not_shown() {
    let moved = "HTTP/1.1 307 Moved\r\nContent-Length: 26\r\n\r\nMoved to /elsewhere-secret";
    let table = [
        (
            404,
            "Cannot POST /hooks/T0K3NT0K3N?key=s3cr3ts3cr3t",
            ": Cannot POST …?…",
        ),
        (403, "T0K3NT0K3N is not known", ": … is not known"),
        (403, "no key s3cr3ts3cr3t", ": no key …"),
        (401, "Bearer t0 is not known", ": Bearer … is not known"),
        (400, "no hooks here", ": no hooks here"),
    ];
    for (status, body, expected) in table {
        let api = Api::start(move |_| Reply::text(status, body)).await;
        let there = format!("http://{}/hooks/T0K3NT0K3N?key=s3cr3ts3cr3t", api.address);
        let request = web().client().post(there).bearer_auth("t0");
        let refused = WebError::Refused {
            status,
            said: expected.into(),
            wait: None,
        };
        assert_eq!(send(request).await, Err(refused), "{body}");
    }
    let refused = WebError::Refused {
        status: 307,
        said: String::new(),
        wait: None,
    };
    assert_eq!(send(web().client().get(raw(moved))).await, Err(refused));
}

#[test]
fn a_server_that_answers_was_asked() {
    let refused = |status| WebError::Refused {
        status,
        said: String::new(),
        wait: None,
    };
    let table = [
        (WebError::Unreachable("away".into()), true),
        (refused(500), true),
        (refused(503), true),
        (refused(302), false),
        (refused(401), false),
        (refused(403), false),
        (refused(429), false),
        (WebError::TooLong, false),
    ];
    for (error, unasked) in table {
        assert_eq!(error.unasked(), unasked, "{error:?}");
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
