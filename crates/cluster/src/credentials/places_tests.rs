use serde_json::{Value, json};

use super::*;
use crate::credentials::Credentials;
use crate::double::{certificate_of, kubeconfig};

const FIRST: &str = "var/lib/kubelet/kubeconfig";
const SECOND: &str = "etc/kubernetes/kubelet.conf";

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn put(root: &Path, place: &str, text: impl AsRef<[u8]>) {
    let path = root.join(place);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A kubeconfig whose user has these fields.
fn with_user(user: &Value) -> String {
    let mut text: Value = serde_json::from_str(&kubeconfig("https://192.0.2.1")).unwrap();
    text["users"][0]["user"] = user.clone();
    text.to_string()
}

/// A kubeconfig with a certificate that is good in these years.
fn of_years(from: i32, to: i32) -> String {
    let (certificate, key) = certificate_of("n1", (from, to));
    let base64 = |text: String| k8s_openapi::ByteString(text.into_bytes());
    with_user(&json!({
        "client-certificate-data": base64(certificate),
        "client-key-data": base64(key),
    }))
}

/// The place that is used, and the others with why not.
fn found(root: &Path) -> (String, Vec<(String, String)>) {
    let (found, others) = discover(root, now()).unwrap();
    let root = root.display().to_string();
    let shown = |text: &str| text.replace(&format!("{root}/"), "");
    let others = others
        .iter()
        .map(|other| (shown(&other.path.display().to_string()), shown(&other.why)));
    (shown(&found.origin), others.collect())
}

#[test]
fn what_can_not_be_used_is_passed_over() {
    let sound = kubeconfig("https://192.0.2.1");
    let plugin = "user \"u\" gets its credentials from the plugin";
    let rest = "which is not run here; name a kubeconfig with a certificate or a token";
    let cases = [
        (String::new(), "is empty".to_owned()),
        (" \n".to_owned(), "is empty".to_owned()),
        ("\u{feff}".to_owned(), "is empty".to_owned()),
        (
            "a text".to_owned(),
            "failed to parse kubeconfig YAML: error: line 1 column 1: expected mapping start"
                .to_owned(),
        ),
        (
            json!({"kind": "Pod"}).to_string(),
            "is no kubeconfig: its kind is \"Pod\"".to_owned(),
        ),
        (
            json!({"kind": "Config"}).to_string(),
            "no current-context, so it is not known which credentials to use".to_owned(),
        ),
        (
            sound.replace(r#""cluster":"c""#, r#""cluster":"d""#),
            "there is no cluster \"d\", which the current context names".to_owned(),
        ),
        (
            sound.replace("https://192.0.2.1", "192.0.2.1"),
            "cluster \"c\": server \"192.0.2.1\" does not begin with https:// or http://"
                .to_owned(),
        ),
        (
            with_user(&json!({"client-certificate": "c.crt", "client-key": "c.key"})),
            "can't read var/lib/kubelet/c.crt: not there".to_owned(),
        ),
        (
            with_user(&json!({"exec": {"command": "aws"}})),
            format!("{plugin} \"aws\", {rest}"),
        ),
        (
            with_user(&json!({"auth-provider": {"name": "gcp"}})),
            format!("{plugin} \"gcp\", {rest}"),
        ),
    ];
    for (text, why) in cases {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), FIRST, text);
        put(root.path(), SECOND, &sound);
        let expected = (SECOND.to_owned(), vec![(FIRST.to_owned(), why)]);
        assert_eq!(found(root.path()), expected);
    }
}

#[test]
fn what_is_no_file_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let place = |place: &str| {
        let path = root.join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    std::fs::create_dir_all(root.join(FIRST)).unwrap();
    let second = place(SECOND);
    std::os::unix::fs::symlink(&second, &second).unwrap();
    let third = place("var/lib/rancher/k3s/agent/kubelet.kubeconfig");
    let _socket = std::os::unix::net::UnixListener::bind(third).unwrap();
    let fourth = "var/lib/rancher/rke2/agent/kubelet.kubeconfig";
    std::fs::File::create(place(fourth))
        .unwrap()
        .set_len((4 << 20) + 1)
        .unwrap();
    let fifth = place("run/k0s/nllb/kubeconfig.yaml");
    std::os::unix::fs::symlink("nowhere", fifth).unwrap();
    let last = "var/lib/k0s/kubelet.conf";
    put(root, last, kubeconfig("https://192.0.2.1"));
    let others = [
        (FIRST, "Is a directory (os error 21)"),
        (SECOND, "Too many levels of symbolic links (os error 40)"),
        (
            "var/lib/rancher/k3s/agent/kubelet.kubeconfig",
            "it is no ordinary file",
        ),
        (fourth, "it is larger than 4 MiB"),
    ];
    let others = others.map(|(path, why)| (path.to_owned(), why.to_owned()));
    assert_eq!(found(root), (last.to_owned(), others.to_vec()));
}

#[test]
fn the_newest_certificate_that_is_good_is_taken_and_cuo_s_own_kubeconfig_before_all() {
    let life = |begin: &str, end: &str| Life {
        begin: format!("{begin}-01-01T00:00:00Z").parse().unwrap(),
        end: format!("{end}-01-01T00:00:00Z").parse().unwrap(),
    };
    let (old, new, ended, future) = (
        (false, Some(life("2020", "2030"))),
        (false, Some(life("2026", "2027"))),
        (false, Some(life("2025", "2026"))),
        (false, Some(life("2027", "2028"))),
    );
    let unknown = (false, None);
    let own = (true, old.1);
    for (lives, expected) in [
        (vec![], None),
        (vec![old], Some(0)),
        (vec![old, new], Some(1)),
        (vec![new, old], Some(0)),
        (vec![new, new], Some(0)),
        (vec![ended, old], Some(1)),
        // A clock that is late must not count for more than the order of things.
        (vec![old, future, new], Some(1)),
        // It is better to ask with what has ended than not at all.
        (vec![ended], Some(0)),
        (vec![(false, Some(life("2023", "2024"))), ended], Some(1)),
        (vec![unknown, new], Some(0)),
        (vec![old, unknown, new], Some(2)),
        (vec![ended, unknown], Some(1)),
        (vec![own, new], Some(0)),
        (vec![(true, ended.1), new], Some(0)),
    ] {
        assert_eq!(best(&lives, now()), expected, "{lives:?}");
    }
}

#[test]
fn what_another_distribution_left_behind_does_not_win() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (third, fourth) = (
        "var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    );
    put(root, FIRST, of_years(2024, 2025));
    put(root, SECOND, of_years(2025, 2030));
    put(root, third, of_years(2026, 2030));
    put(root, fourth, of_years(2026, 2030));
    let others = [
        (
            FIRST,
            "its client certificate ended at 2025-01-01T00:00:00Z".to_owned(),
        ),
        (
            SECOND,
            format!(
                "its client certificate is from 2025-01-01T00:00:00Z, and that of {third} from 2026-01-01T00:00:00Z"
            ),
        ),
        (fourth, format!("{third} comes before it")),
    ];
    let others = others.map(|(path, why)| (path.to_owned(), why));
    assert_eq!(found(root), (third.to_owned(), others.to_vec()));

    let own = "etc/cuo-agent/kubeconfig";
    put(root, own, of_years(2020, 2030));
    assert_eq!(found(root).0, own);
    put(root, own, "");
    let (used, others) = found(root);
    let expected = (own.to_owned(), "is empty".to_owned());
    assert_eq!((used.as_str(), &others[0]), (third, &expected));
}

#[test]
fn the_kubeconfig_that_the_kubelet_of_k0s_uses_is_preferred() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (balanced, direct) = ("run/k0s/nllb/kubeconfig.yaml", "var/lib/k0s/kubelet.conf");
    let text = of_years(2026, 2030);
    put(root, direct, &text);
    assert_eq!(found(root), (direct.to_owned(), vec![]));
    put(root, balanced, &text);
    let others = vec![(direct.to_owned(), format!("{balanced} comes before it"))];
    assert_eq!(found(root), (balanced.to_owned(), others));
}

#[test]
fn without_any_that_can_be_used_each_is_named_with_why_not() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    put(root, FIRST, "");
    let host = Credentials::Host {
        root: root.to_owned(),
    };
    // What is wrong with the only one is all that matters.
    let path = root.join(FIRST);
    let message = "is empty".to_owned();
    let expected = CredentialsError::Malformed { path, message };
    assert_eq!(host.find().unwrap_err(), expected);

    put(root, SECOND, "");
    let all = PLACES.iter().map(|place| {
        let there = [FIRST, SECOND].contains(&place.trim_start_matches('/'));
        let why = if there { "is empty" } else { "not there" };
        (under(root, Path::new(place)), why.to_owned())
    });
    let error = host.find().unwrap_err();
    assert_eq!(error, CredentialsError::NotFound(all.collect()));
    let start = "no kubeconfig on this host can be used; tried ";
    assert!(error.to_string().starts_with(start), "{error}");
}

#[test]
fn a_kubeconfig_that_is_named_is_never_passed_over() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), SECOND, kubeconfig("https://192.0.2.1"));
    put(root.path(), FIRST, "");
    let path = root.path().join(FIRST);
    let named = Credentials::File {
        path: path.clone(),
        root: root.path().to_owned(),
    };
    let message = "is empty".to_owned();
    let expected = CredentialsError::Malformed { path, message };
    assert_eq!(named.find().unwrap_err(), expected);
}
