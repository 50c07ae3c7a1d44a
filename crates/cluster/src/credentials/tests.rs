use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::found::under;
use super::*;
use crate::double::{certificate, kubeconfig};

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn host(root: &Path) -> Credentials {
    Credentials::Host {
        root: root.to_owned(),
    }
}

#[test]
fn the_first_place_that_has_a_kubeconfig_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for place in PLACES.iter().rev() {
        let path = under(root, Path::new(place));
        let text = kubeconfig("https://127.0.0.1:1");
        write(
            &path,
            &text.replace(r#""user":{}"#, r#""user":{"token":"t"}"#),
        );
        let found = host(root).find().unwrap();
        assert_eq!(found.origin, path.display().to_string());
        assert_eq!(found.files.len(), 1);
    }
}

#[test]
fn without_any_every_place_is_named() {
    let root = tempfile::tempdir().unwrap();
    let error = host(root.path()).find().unwrap_err();
    let tried = |place: &&str| (under(root.path(), Path::new(place)), "not there".to_owned());
    let expected = CredentialsError::NotFound(PLACES.iter().map(tried).collect());
    assert_eq!(error, expected);
    let said = error.to_string();
    assert!(
        said.contains("/var/lib/kubelet/kubeconfig (not there), "),
        "{said}"
    );
    assert!(
        said.ends_with("; join the node to a cluster or name one with --kubeconfig"),
        "{said}"
    );
}

#[test]
fn an_explicit_file_that_is_not_there_is_named() {
    let explicit = Credentials::File {
        path: "/nonexistent/kubeconfig".into(),
        root: "/".into(),
    };
    let expected = CredentialsError::Unreadable {
        path: "/nonexistent/kubeconfig".into(),
        message: "not there".into(),
    };
    assert_eq!(explicit.find().unwrap_err(), expected);
}

#[test]
fn a_malformed_file_is_named_with_the_line() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/cuo-agent/kubeconfig");
    write(
        &path,
        "apiVersion: v1\nkind: Config\nclusters:\n- name: [\n",
    );
    let Err(CredentialsError::Malformed {
        path: named,
        message,
    }) = host(root.path()).find()
    else {
        panic!("was not found to be malformed");
    };
    assert_eq!(named, path);
    assert!(message.contains("line"), "{message}");
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/cuo-agent/kubeconfig");
    let text = kubeconfig("https://127.0.0.1:1")
        .replace(r#""current-context":"c""#, r#""current-context":"d""#);
    write(&path, &text);
    let error = host(root.path()).find().unwrap_err();
    let message = "there is no context \"d\", the current one".to_owned();
    assert_eq!(error, CredentialsError::Malformed { path, message });
}

/// A kubelet's kubeconfig: one absolute and one relative path, and a certificate behind a link.
fn kubelet(root: &Path) -> PathBuf {
    let path = root.join("var/lib/kubelet/kubeconfig");
    let pki = root.join("var/lib/kubelet/pki");
    let (cert, key) = certificate("n1");
    write(&pki.join("kubelet-client-1.pem"), &format!("{cert}{key}"));
    std::os::unix::fs::symlink(
        "kubelet-client-1.pem",
        pki.join("kubelet-client-current.pem"),
    )
    .unwrap();
    write(&pki.join("ca.crt"), &certificate("ca").0);
    write(
        &path,
        "
apiVersion: v1
kind: Config
current-context: c
contexts:
- {name: c, context: {cluster: c, user: u}}
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:1', certificate-authority: pki/ca.crt}
users:
- name: u
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
",
    );
    path
}

#[test]
fn files_are_found_beside_the_kubeconfig_and_under_the_root() {
    let root = tempfile::tempdir().unwrap();
    let path = kubelet(root.path());
    let found = host(root.path()).find().unwrap();
    let files: Vec<_> = found.files.iter().map(|file| file.path.clone()).collect();
    let pki = root.path().join("var/lib/kubelet/pki");
    let current = pki.join("kubelet-client-current.pem");
    assert_eq!(files, [path, pki.join("ca.crt"), current.clone(), current]);
    assert!(found.files.iter().all(|file| file.file.is_some()));
}

#[test]
fn a_link_to_another_file_is_a_change_and_reading_is_none() {
    let root = tempfile::tempdir().unwrap();
    kubelet(root.path());
    let before = host(root.path()).find().unwrap().files;
    assert_eq!(host(root.path()).find().unwrap().files, before);

    let pki = root.path().join("var/lib/kubelet/pki");
    std::fs::copy(
        pki.join("kubelet-client-1.pem"),
        pki.join("kubelet-client-2.pem"),
    )
    .unwrap();
    std::os::unix::fs::symlink("kubelet-client-2.pem", pki.join("new")).unwrap();
    std::fs::rename(pki.join("new"), pki.join("kubelet-client-current.pem")).unwrap();
    let after = host(root.path()).find().unwrap().files;
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
}

#[test]
fn a_flat_kubeconfig_needs_no_other_file() {
    let root = tempfile::tempdir().unwrap();
    kubelet(root.path());
    let flat = flatten(&host(root.path())).unwrap();
    let read =
        |name: &str| std::fs::read(root.path().join("var/lib/kubelet/pki").join(name)).unwrap();
    let value: Value = serde_json::from_str(&flat).unwrap();
    let client = json!(k8s_openapi::ByteString(read("kubelet-client-current.pem")));
    let expected = json!({"client-certificate-data": client, "client-key-data": client});
    assert_eq!(value["users"][0]["user"], expected);

    let other = tempfile::tempdir().unwrap();
    write(&other.path().join("etc/cuo-agent/kubeconfig"), &flat);
    let found = host(other.path()).find().unwrap();
    assert_eq!(found.files.len(), 1);
    let config = found.config().unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:1/");
    assert_eq!(config.root_cert.map(|certs| certs.len()), Some(1));
}

#[test]
fn a_token_is_taken_along_too() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/cuo-agent/kubeconfig");
    let text = kubeconfig("https://127.0.0.1:1")
        .replace(r#""user":{}"#, r#""user":{"tokenFile":"token"}"#);
    write(&path, &text);
    write(&path.with_file_name("token"), "secret\n");
    let value: BTreeMap<String, Value> =
        serde_json::from_str(&flatten(&host(root.path())).unwrap()).unwrap();
    assert_eq!(value["users"][0]["user"], json!({"token": "secret"}));
}

#[test]
fn only_what_the_current_context_names_is_copied() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("etc/cuo-agent/kubeconfig");
    let other =
        json!({"name": "other", "user": {"token": "not this one", "exec": {"command": "x"}}});
    let mut value: Value = serde_json::from_str(&kubeconfig("https://127.0.0.1:1")).unwrap();
    let cluster = value["clusters"][0].clone();
    let user = json!({"name": "u", "user": {"token": "secret"}});
    value["users"] = json!([other, user]);
    let context = json!({"name": "d", "context": {"cluster": "d", "user": "other"}});
    value["contexts"] = json!([value["contexts"][0], context]);
    let unused = json!({"name": "d", "cluster": {"server": "https://127.0.0.1:2"}});
    value["clusters"] = json!([cluster, unused]);
    write(&path, &value.to_string());
    let flat: Value = serde_json::from_str(&flatten(&host(root.path())).unwrap()).unwrap();
    let expected = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [cluster],
        "users": [user],
    });
    assert_eq!(flat, expected);

    for (change, expected) in [
        (json!("e"), "there is no context \"e\", the current one"),
        (
            Value::Null,
            "no current-context, so it is not known which credentials to use",
        ),
        (
            json!("d"),
            "user \"other\" gets its credentials from the plugin \"x\", which is not run here; name a kubeconfig with a certificate or a token",
        ),
    ] {
        value["current-context"] = change;
        write(&path, &value.to_string());
        let message = expected.to_owned();
        let path = path.clone();
        assert_eq!(
            flatten(&host(root.path())).unwrap_err(),
            CredentialsError::Malformed { path, message }
        );
    }
}
