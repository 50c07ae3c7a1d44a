use serde_json::{Map, Value, json};

use crate::credentials::{Credentials, CredentialsError, flatten};
use crate::double::certificate;

/// What a flat kubeconfig has of its cluster and its user, when these have the fields `cluster` and `user` and `files` are beside it. A
/// client gets the same.
fn flat(cluster: &Value, user: &Value, files: &[(&str, &str)]) -> Result<(Value, Value), String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("kubeconfig");
    let mut fields = Map::from_iter([("server".to_owned(), json!("https://192.0.2.1"))]);
    fields.extend(cluster.as_object().unwrap().clone());
    let kubeconfig = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": fields}],
        "users": [{"name": "u", "user": user}],
    });
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let root = "/".into();
    let credentials = Credentials::File { path, root };
    let here = folder.path().display().to_string();
    let text = flatten(&credentials).map_err(|error| match error {
        CredentialsError::Malformed { message, .. } => message.replace(&here, "."),
        other => other.to_string().replace(&here, "."),
    })?;
    let text: Value = serde_json::from_str(&text).unwrap();
    let user = &text["users"][0]["user"];
    let config = credentials.find().unwrap().config().unwrap();
    assert_eq!(serde_json::to_value(config.auth_info).unwrap(), *user);
    let mut cluster = text["clusters"][0]["cluster"].clone();
    cluster.as_object_mut().unwrap().remove("server");
    let has_authority = !cluster["certificate-authority-data"].is_null();
    assert_eq!(config.root_cert.is_some(), has_authority);
    Ok((cluster, user.clone()))
}

fn base64(text: &str) -> String {
    let text = json!(k8s_openapi::ByteString(text.as_bytes().to_vec()));
    text.as_str().unwrap().to_owned()
}

#[test]
fn of_two_places_for_an_authority_client_go_s_is_taken() {
    let (authority, _) = certificate("ca");
    let data = base64(&authority);
    let files = [
        ("ca.crt", authority.as_str()),
        ("empty", ""),
        ("text", "no PEM"),
    ];
    let taken = |data: &str| json!({"certificate-authority-data": data});
    let key = "certificate-authority";
    let lines = format!("{}\n{}\r\n", &data[..64], &data[64..]);
    for (cluster, expected) in [
        (json!({}), Ok(json!({}))),
        (
            json!({key: "", "certificate-authority-data": ""}),
            Ok(json!({})),
        ),
        (json!({key: "ca.crt"}), Ok(taken(&data))),
        (
            json!({key: "ca.crt", "certificate-authority-data": ""}),
            Ok(taken(&data)),
        ),
        (
            json!({key: "", "certificate-authority-data": data}),
            Ok(taken(&data)),
        ),
        (
            json!({"certificate-authority-data": lines}),
            Ok(taken(&data)),
        ),
        (
            json!({key: "ca.crt", "certificate-authority-data": data}),
            Err(
                "cluster \"k\": has both certificate-authority and certificate-authority-data; leave one of them out, as kubectl asks for too",
            ),
        ),
        (
            json!({"certificate-authority-data": "%"}),
            Err("cluster \"k\": certificate-authority-data is no base64"),
        ),
        (
            json!({key: "empty"}),
            Err("cluster \"k\": certificate-authority has no certificate in PEM"),
        ),
        (
            json!({key: "text"}),
            Err("cluster \"k\": certificate-authority has no certificate in PEM"),
        ),
        (
            json!({key: "gone"}),
            Err(
                "can't read ./gone: not there; let this program's user read it, or name another kubeconfig",
            ),
        ),
    ] {
        let found = flat(&cluster, &json!({}), &files).map(|(cluster, _)| cluster);
        assert_eq!(found, expected.map_err(str::to_owned), "{cluster}");
    }
}

#[test]
fn of_two_places_for_a_certificate_or_key_client_go_s_is_taken() {
    let (cert, key) = certificate("n1");
    let (other, _) = certificate("n2");
    let files = [
        ("c.crt", cert.as_str()),
        ("c.key", key.as_str()),
        ("o.crt", other.as_str()),
    ];
    let (cert64, key64) = (base64(&cert), base64(&key));
    let taken = json!({"client-certificate-data": cert64, "client-key-data": key64});
    for (user, expected) in [
        (
            json!({"client-certificate": "", "client-key-data": ""}),
            Ok(json!({})),
        ),
        (
            json!({"client-certificate": "c.crt", "client-key": "c.key"}),
            Ok(taken.clone()),
        ),
        (
            json!({"client-certificate": "c.crt", "client-certificate-data": "", "client-key": "c.key", "client-key-data": ""}),
            Ok(taken.clone()),
        ),
        (
            json!({"client-certificate": "", "client-certificate-data": cert64, "client-key": "c.key"}),
            Ok(taken),
        ),
        (
            json!({"client-certificate": "o.crt", "client-certificate-data": cert64, "client-key": "c.key"}),
            Err(
                "user \"u\": has both client-certificate and client-certificate-data; leave one of them out, as kubectl asks for too",
            ),
        ),
        (
            json!({"client-certificate": "c.crt", "client-key": "c.key", "client-key-data": key64}),
            Err(
                "user \"u\": has both client-key and client-key-data; leave one of them out, as kubectl asks for too",
            ),
        ),
        (
            json!({"client-certificate": "c.crt"}),
            Err("user \"u\": client-certificate comes without client-key"),
        ),
        (
            json!({"client-key-data": key64}),
            Err("user \"u\": client-key comes without client-certificate"),
        ),
        (
            json!({"client-certificate": "c.key", "client-key": "c.key"}),
            Err("rustls tls error: identity PEM is missing certificate"),
        ),
        (
            json!({"client-certificate": "c.crt", "client-key": "c.crt"}),
            Err(
                "rustls tls error: identity PEM is missing a private key: the key must be PKCS8 or RSA/PKCS1",
            ),
        ),
    ] {
        let found = flat(&json!({}), &user, &files).map(|(_, user)| user);
        assert_eq!(found, expected.map_err(str::to_owned), "{user}");
    }
}

#[test]
fn of_two_tokens_client_go_s_is_taken() {
    let files = [
        ("token", " from-a-file\n"),
        ("empty", " \n"),
        ("two", "a\nb"),
    ];
    let token = |token: &str| Ok(json!({"token": token}));
    for (user, expected) in [
        (json!({"token": "", "tokenFile": ""}), Ok(json!({}))),
        (json!({"tokenFile": "token"}), token("from-a-file")),
        (
            json!({"token": "inside", "tokenFile": "token"}),
            token("from-a-file"),
        ),
        (
            json!({"token": "inside", "tokenFile": "empty"}),
            token("inside"),
        ),
        (
            json!({"token": "inside", "tokenFile": "gone"}),
            token("inside"),
        ),
        (
            json!({"token": "", "tokenFile": "token"}),
            token("from-a-file"),
        ),
        (
            json!({"tokenFile": "gone"}),
            Err(
                "can't read ./gone: not there; let this program's user read it, or name another kubeconfig",
            ),
        ),
        (
            json!({"tokenFile": "empty"}),
            Err("user \"u\": tokenFile ./empty is empty"),
        ),
        (
            json!({"tokenFile": "two"}),
            Err("user \"u\": token has a character that no header can carry, such as a line break"),
        ),
    ] {
        let found = flat(&json!({}), &user, &files).map(|(_, user)| user);
        assert_eq!(found, expected.map_err(str::to_owned), "{user}");
    }
}
