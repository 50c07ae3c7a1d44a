use super::*;
use crate::double::{
    Api, PROGRAM, Reply, certificate, certificate_of, eventually, kubeconfig, node,
};
use crate::node::{Keep, get_node};

/// A kubeconfig at `dir` whose client certificate is in files beside it.
fn with_certificate(dir: &std::path::Path, server: &str) -> Credentials {
    let user = r#""user":{"client-certificate":"c.pem","client-key":"k.pem"}"#;
    let path = dir.join("kubeconfig");
    std::fs::write(&path, kubeconfig(server).replace(r#""user":{}"#, user)).unwrap();
    let root = "/".into();
    Credentials::File { path, root }
}

fn renew(dir: &std::path::Path) {
    let (cert, key) = certificate("n1");
    std::fs::write(dir.join("c.pem"), cert).unwrap();
    std::fs::write(dir.join("k.pem"), key).unwrap();
}

#[tokio::test]
async fn credentials_may_come_later() {
    let api = Api::start(|_| Reply::json(200, node("n1", "1"))).await;
    let root = tempfile::tempdir().unwrap();
    let credentials = Credentials::Host {
        root: root.path().to_owned(),
    };
    let source = ClientSource::start(credentials, PROGRAM).await;
    let problem = source.status().problem.unwrap();
    assert!(
        matches!(problem, CredentialsError::NotFound(_)),
        "{problem}"
    );
    let called = get_node(&source, "n1", &Keep::default()).await;
    assert_eq!(called, Err(ApiError::Credentials(problem)));

    std::fs::create_dir_all(root.path().join("etc/cuo-agent")).unwrap();
    let path = root.path().join("etc/cuo-agent/kubeconfig");
    let text = kubeconfig(&format!("http://{}", api.address));
    let text = text.replace(r#""user":{}"#, r#""user":{"token":"t"}"#);
    std::fs::write(&path, text).unwrap();
    let seen = source.status();
    let now = source.status_after(&seen).await;
    let origin = Some(path.display().to_string());
    assert_eq!(
        now,
        Status {
            generation: 1,
            origin,
            life: None,
            problem: None
        }
    );
    assert!(
        get_node(&source, "n1", &Keep::default())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_new_certificate_means_a_new_client_and_half_a_one_does_not() {
    let api = Api::start(|_| Reply::json(200, node("n1", "1"))).await;
    let dir = tempfile::tempdir().unwrap();
    renew(dir.path());
    let credentials = with_certificate(dir.path(), &format!("http://{}", api.address));
    let source = ClientSource::start(credentials, PROGRAM).await;
    assert_eq!(source.status().generation, 1, "{:?}", source.status());

    // The certificate is written, its key not yet.
    std::fs::write(dir.path().join("c.pem"), certificate("n1").0).unwrap();
    source.wishes.look.notify_one();
    eventually("the mismatch is seen", || source.status().problem.is_some()).await;
    assert_eq!(source.status().generation, 1);
    assert!(
        get_node(&source, "n1", &Keep::default())
            .await
            .unwrap()
            .is_some()
    );

    renew(dir.path());
    source.wishes.look.notify_one();
    eventually("the new pair is used", || source.status().generation == 2).await;
    assert_eq!(source.status().problem, None);
}

/// Nobody was refused yet, and the next ordinary look is a minute away.
#[tokio::test]
async fn a_certificate_that_ends_has_its_files_looked_at_more_often() {
    let api = Api::start(|_| Reply::json(200, node("n1", "1"))).await;
    let dir = tempfile::tempdir().unwrap();
    let (old, key) = certificate_of("n1", (2020, 2021));
    std::fs::write(dir.path().join("c.pem"), old).unwrap();
    std::fs::write(dir.path().join("k.pem"), key).unwrap();
    let credentials = with_certificate(dir.path(), &format!("http://{}", api.address));
    let source = ClientSource::start(credentials, PROGRAM).await;
    let life = source.status().life.unwrap();
    assert_eq!(life.end.to_string(), "2021-01-01T00:00:00Z");

    renew(dir.path());
    eventually("the new pair is used", || source.status().generation == 2).await;
    let life = source.status().life.unwrap();
    assert!(!life.ends_soon(Timestamp::now()), "{life:?}");
}

#[tokio::test]
async fn a_refusal_renews_the_client_but_not_over_and_over() {
    let api = Api::start(|_| Reply::failure(401, "Unauthorized", "Unauthorized")).await;
    let source = api.source().await;
    let expected = Err(ApiError::Unauthorized {
        message: "Unauthorized".into(),
    });
    let begun = std::time::Instant::now();
    while source.status().generation == 1 {
        assert_eq!(get_node(&source, "n1", &Keep::default()).await, expected);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The first client is given a few seconds before it is renewed from unchanged files.
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(source.status().generation, 2);
}

#[tokio::test]
async fn renewed_files_are_used_as_soon_as_the_old_ones_are_refused() {
    let api = Api::start(|_| Reply::failure(401, "Unauthorized", "Unauthorized")).await;
    let dir = tempfile::tempdir().unwrap();
    renew(dir.path());
    let credentials = with_certificate(dir.path(), &format!("http://{}", api.address));
    let source = ClientSource::start(credentials, PROGRAM).await;
    renew(dir.path());
    let begun = std::time::Instant::now();
    assert!(get_node(&source, "n1", &Keep::default()).await.is_err());
    eventually("the renewed files are used", || {
        source.status().generation == 2
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    std::fs::write(&path, kubeconfig(&format!("http://{free}"))).unwrap();
    let credentials = Credentials::File {
        path,
        root: "/".into(),
    };
    let source = ClientSource::start(credentials, PROGRAM).await;
    let error = get_node(&source, "n1", &Keep::default()).await.unwrap_err();
    let ApiError::Unreachable { message } = error else {
        panic!("{error}");
    };
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_deadline() {
    let api = Api::start(|_| Reply::watch([])).await;
    let source = api.source().await;
    let deadline = Duration::from_millis(200);
    let called = source
        .call_within(deadline, |client| async move {
            let request = http::Request::get("/api/v1/nodes/n1")
                .body(Vec::new())
                .unwrap();
            client.request_text(request).await
        })
        .await;
    assert_eq!(called, Err(ApiError::Timeout { after: deadline }));
}

/// Each of these ended the program, or was found out only by a call.
#[tokio::test]
async fn what_the_library_can_not_bear_is_refused_in_a_sentence() {
    let server = "http://192.0.2.1:1";
    let sound = kubeconfig(server);
    let user = |user: &str| sound.replace(r#""user":{}"#, &format!(r#""user":{{{user}}}"#));
    let utf16: Vec<u8> = [0xff, 0xfe, b'a'].into();
    let cases = [
        (
            sound.replace(server, "192.0.2.1:1").into_bytes(),
            "cluster \"c\": server \"192.0.2.1:1\" does not begin with https:// or http://",
        ),
        (
            user(r#""token":"a-secret\n""#).into_bytes(),
            "user \"u\": token has a character that no header can carry, such as a line break",
        ),
        (
            user(r#""auth-provider":{"name":"oidc","config":{"id-token":"a-secret\n"}}"#)
                .into_bytes(),
            "user \"u\": id-token has a character that no header can carry, such as a line break",
        ),
        (utf16, "is no kubeconfig: it is not text in UTF-8"),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in cases {
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let root = "/".into();
        let credentials = Credentials::File {
            path: path.clone(),
            root,
        };
        let source = ClientSource::start(credentials, PROGRAM).await;
        let called = get_node(&source, "n1", &Keep::default()).await;
        let message = expected.to_owned();
        let expected = CredentialsError::Malformed { path, message };
        assert_eq!(called, Err(ApiError::Credentials(expected)));
    }
}
