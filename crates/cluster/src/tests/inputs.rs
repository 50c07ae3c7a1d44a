//! Kubeconfigs by chance: nothing ends the program, and what is understood stays the same when it is written and read again.
//! `PROPTEST_CASES` says how many.

use std::path::Path;
use std::sync::LazyLock;

use http::Uri;
use kube::Client;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::Credentials;
use crate::credentials::{CredentialsError, flatten, passed_over};
use crate::double::{certificate, kubeconfig};

#[path = "../../../core/tests/inputs/mutated.rs"]
mod mutated;
use mutated::{any_or, config};

/// A host with files for kubeconfigs to name.
static HOST: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let host = tempfile::tempdir().unwrap();
    let (cert, key) = certificate("n1");
    for (name, text) in [
        ("ca.crt", &cert),
        ("c.crt", &cert),
        ("c.key", &key),
        ("token", &"a-token\n".to_owned()),
        ("empty", &String::new()),
    ] {
        std::fs::write(host.path().join(name), text).unwrap();
    }
    host
});

/// A kubeconfig with these fields of the cluster and of the user, as YAML has it in lines.
fn in_lines(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: c
contexts:
- name: c
  context:
    cluster: k
    user: u
    namespace: default
clusters:
- name: k
  cluster:
    {cluster}
users:
- name: u
  user:
    {user}
"
    )
}

fn kubeconfigs() -> Vec<String> {
    let files = "certificate-authority: ca.crt\n    server: https://[::1]:6443";
    let (cert, key) = certificate("n1");
    let base64 = |text: String| json!(k8s_openapi::ByteString(text.into_bytes()));
    let mut inside: Value = serde_json::from_str(&kubeconfig("https://192.0.2.1")).unwrap();
    inside["clusters"][0]["cluster"]["proxy-url"] = "http://u:p@proxy:3128".into();
    inside["users"][0]["user"] =
        json!({"client-certificate-data": base64(cert), "client-key-data": base64(key)});
    vec![
        in_lines(files, "client-certificate: c.crt\n    client-key: c.key"),
        in_lines(
            &format!(
                "{files}/path\n    tls-server-name: api.example.com\n    proxy-url: socks5://h"
            ),
            "token: inside\n    tokenFile: token",
        ),
        in_lines(
            &format!(
                "{files}\n    certificate-authority-data: ''\n    insecure-skip-tls-verify: true"
            ),
            "as: x\n    as-groups: [a, b]\n    as-user-extra: {k: [v]}\n    username: u\n    password: p",
        ),
        in_lines(
            files,
            "exec:\n      apiVersion: v1\n      command: echo\n      args: [a]\n      provideClusterInfo: true",
        ),
        in_lines(
            files,
            "auth-provider:\n      name: oidc\n      config:\n        id-token: t",
        ),
        inside.to_string(),
    ]
}

/// What a client is made from, if it is understood; a program is never run here.
fn understood(path: &Path) -> Result<(), TestCaseError> {
    let credentials = Credentials::File {
        path: path.to_owned(),
        root: "/".into(),
    };
    let found = match credentials.find() {
        Ok(found) => found,
        Err(error) => {
            prop_assert!(flatten(&credentials).is_err());
            prop_assert!(!matches!(error, CredentialsError::NotFound(_)), "{}", error);
            return Ok(());
        }
    };
    prop_assert_eq!(&found.files, &credentials.find().unwrap().files);
    let config = found.config().unwrap();
    // As the library puts an address and a path together, which ends the program where it can't be done.
    let server = &config.cluster_url;
    let path_and_query = format!("{}/api/v1/nodes?a=b", server.path().trim_end_matches('/'));
    let whole = Uri::builder()
        .scheme(server.scheme_str().unwrap_or_default())
        .authority(
            server
                .authority()
                .map_or("", |authority| authority.as_str()),
        )
        .path_and_query(path_and_query);
    prop_assert!(whole.build().is_ok());
    let programs = config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some();
    if !programs && config.root_cert.is_some() {
        // It may be refused, with a sentence.
        let _ = Client::try_from(config).map_err(|error| crate::tls::own_in_words(&error));
    }
    let Ok(flat) = flatten(&credentials) else {
        prop_assert!(programs);
        return Ok(());
    };
    let again = HOST.path().join("flat");
    std::fs::write(&again, &flat).unwrap();
    let copy = Credentials::File {
        path: again,
        root: "/".into(),
    };
    prop_assert_eq!(flatten(&copy), Ok(flat));
    Ok(())
}

#[test]
fn the_kubeconfigs_that_are_changed_by_chance_are_understood_as_they_are() {
    let path = HOST.path().join("as-it-is");
    for text in kubeconfigs() {
        std::fs::write(&path, &text).unwrap();
        let root = "/".into();
        let credentials = Credentials::File {
            path: path.clone(),
            root,
        };
        assert!(credentials.find().is_ok(), "{text}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = any_or(kubeconfigs()).prop_map(String::into_bytes);
    // Of another encoding, or of none.
    let start = select(vec![
        vec![],
        vec![0xff, 0xfe],
        vec![0xfe, 0xff],
        vec![0xef, 0xbb, 0xbf],
    ]);
    let other = (start, vec(any::<u8>(), 0..40)).prop_map(|(start, rest)| [start, rest].concat());
    prop_oneof![12 => text, 1 => other]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_in_a_kubeconfig_is_used_or_refused(bytes in bytes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let path = HOST.path().join("kubeconfig");
        std::fs::write(&path, &bytes).unwrap();
        understood(&path)?;
    }

    #[test]
    fn whatever_is_in_the_places_one_is_found_or_it_is_said_why_not(
        texts in vec((any::<Index>(), bytes()), 1..4),
    ) {
        let root = tempfile::tempdir().unwrap();
        let places = crate::credentials::PLACES;
        for (place, text) in &texts {
            let path = root.path().join(places[place.index(places.len())].trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        match passed_over(root.path()) {
            Ok(others) => prop_assert!(others.len() < texts.len()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
