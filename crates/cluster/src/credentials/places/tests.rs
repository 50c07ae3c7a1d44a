use serde_json::{Value, json};

use super::*;
use crate::credentials::Credentials;
use crate::double::{certificate_of, kubeconfig};

const FIRST: &str = "var/lib/kubelet/kubeconfig";
const SECOND: &str = "etc/kubernetes/kubelet.conf";
const THIRD: &str = "var/lib/rancher/k3s/agent/kubelet.kubeconfig";
const BALANCED: &str = "run/k0s/nllb/kubeconfig.yaml";
const DIRECT: &str = "var/lib/k0s/kubelet.conf";
const MINE: &str = "etc/cuo-agent/kubeconfig";

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

/// A kubeconfig that can be used, of which nothing tells how long.
fn with_token() -> String {
    with_user(&json!({"token": "t"}))
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
    let sound = with_token();
    let nobody = "has no certificate, token or password, so the API server would not know who asks";
    let anonymous = format!("user \"u\" {nobody}");
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
        (with_user(&json!({})), anonymous.clone()),
        (with_user(&Value::Null), anonymous.clone()),
        (with_user(&json!({"token": " "})), anonymous.clone()),
        (with_user(&json!({"username": "n1"})), anonymous.clone()),
        (
            with_user(&json!({"as": "n1", "client-certificate": "", "tokenFile": ""})),
            anonymous,
        ),
        (
            with_user(&json!({"tokenFile": "token"})),
            "can't read var/lib/kubelet/token: not there".to_owned(),
        ),
        (
            with_user(&json!({"tokenFile": "empty"})),
            "user \"u\": tokenFile var/lib/kubelet/empty is empty".to_owned(),
        ),
        (
            sound.replace(r#""name":"u""#, r#""name":"v""#),
            "there is no user \"u\", which the current context names".to_owned(),
        ),
        (
            sound.replace(r#","user":"u""#, ""),
            format!("the current context names no user, and {nobody}"),
        ),
    ];
    for (text, why) in cases {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "var/lib/kubelet/empty", "\n");
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
    let third = place(THIRD);
    let _socket = std::os::unix::net::UnixListener::bind(third).unwrap();
    let fourth = "var/lib/rancher/rke2/agent/kubelet.kubeconfig";
    std::fs::File::create(place(fourth))
        .unwrap()
        .set_len((4 << 20) + 1)
        .unwrap();
    std::os::unix::fs::symlink("nowhere", place(BALANCED)).unwrap();
    put(root, DIRECT, with_token());
    let others = [
        (FIRST, "Is a directory (os error 21)"),
        (SECOND, "Too many levels of symbolic links (os error 40)"),
        (THIRD, "it is no ordinary file"),
        (fourth, "it is larger than 4 MiB"),
    ];
    let others = others.map(|(path, why)| (path.to_owned(), why.to_owned()));
    assert_eq!(found(root), (DIRECT.to_owned(), others.to_vec()));
}

#[test]
fn the_newest_certificate_that_is_good_is_taken_and_cuo_s_own_kubeconfig_before_all() {
    let old = of_years(2020, 2030);
    let new = of_years(2026, 2027);
    let ended = of_years(2025, 2026);
    let long_ended = of_years(2023, 2024);
    let future = of_years(2027, 2028);
    let token = with_token();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[(FIRST, &old)], FIRST),
        (&[(FIRST, &old), (SECOND, &new)], SECOND),
        (&[(FIRST, &new), (SECOND, &old)], FIRST),
        (&[(FIRST, &new), (SECOND, &new)], FIRST),
        (&[(FIRST, &ended), (SECOND, &old)], SECOND),
        // A clock that is late must not count for more than the order of things.
        (&[(FIRST, &old), (SECOND, &future), (THIRD, &new)], SECOND),
        // What is known to be good comes before what may be.
        (&[(FIRST, &token), (SECOND, &old)], SECOND),
        (&[(FIRST, &old), (SECOND, &token), (THIRD, &new)], THIRD),
        (&[(FIRST, &token), (SECOND, &token)], FIRST),
        (&[(FIRST, &ended), (SECOND, &token)], SECOND),
        // It is better to ask with what has ended than not at all.
        (&[(FIRST, &ended)], FIRST),
        (&[(FIRST, &long_ended), (SECOND, &ended)], SECOND),
        (&[(MINE, &old), (FIRST, &new)], MINE),
        (&[(MINE, &token), (FIRST, &new)], MINE),
        (&[(MINE, &ended), (FIRST, &new)], FIRST),
        (&[(MINE, &ended), (FIRST, &token)], FIRST),
        (&[(MINE, &ended), (FIRST, &long_ended)], MINE),
    ];
    for (index, (kubeconfigs, expected)) in cases.iter().enumerate() {
        let root = tempfile::tempdir().unwrap();
        for (place, text) in *kubeconfigs {
            put(root.path(), place, text);
        }
        assert_eq!(found(root.path()).0, *expected, "case {index}");
    }
}

#[test]
fn of_one_distribution_s_kubeconfigs_the_order_tells_however_new_they_are() {
    let old = of_years(2020, 2030);
    let new = of_years(2026, 2027);
    let ended = of_years(2025, 2026);
    let between = of_years(2024, 2030);
    let token = with_token();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[(BALANCED, &old), (DIRECT, &new)], BALANCED),
        (&[(BALANCED, &token), (DIRECT, &token)], BALANCED),
        (&[(BALANCED, &ended), (DIRECT, &old)], DIRECT),
        (&[(BALANCED, &token), (DIRECT, &old)], DIRECT),
        // The distribution counts by the newest that it has.
        (
            &[(THIRD, &between), (BALANCED, &old), (DIRECT, &new)],
            BALANCED,
        ),
        (
            &[(THIRD, &new), (BALANCED, &old), (DIRECT, &between)],
            THIRD,
        ),
    ];
    for (index, (kubeconfigs, expected)) in cases.iter().enumerate() {
        let root = tempfile::tempdir().unwrap();
        for (place, text) in *kubeconfigs {
            put(root.path(), place, text);
        }
        assert_eq!(found(root.path()).0, *expected, "case {index}");
    }
}

#[test]
fn each_that_is_not_used_is_told_why() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    put(root, FIRST, with_token());
    put(root, SECOND, of_years(2026, 2030));
    put(root, BALANCED, of_years(2020, 2030));
    put(root, DIRECT, of_years(2025, 2026));
    put(root, MINE, of_years(2024, 2025));
    let began = |place: &str| {
        format!(
            "its client certificate is from 2020-01-01T00:00:00Z, and that of {place} from 2026-01-01T00:00:00Z"
        )
    };
    let ended = |year: u16| format!("its client certificate ended at {year}-01-01T00:00:00Z");
    let unknown = |place: &str| {
        format!("it has no client certificate whose end is known, and {place} has one")
    };
    let reported = |others: &[(&str, String)]| -> Vec<_> {
        let owned = |(place, why): &(&str, String)| ((*place).to_owned(), why.clone());
        others.iter().map(owned).collect()
    };
    let others = reported(&[
        (MINE, ended(2025)),
        (FIRST, unknown(SECOND)),
        (BALANCED, began(SECOND)),
        (DIRECT, ended(2026)),
    ]);
    assert_eq!(found(root), (SECOND.to_owned(), others));

    // One's own comes first, whatever its age.
    put(root, MINE, of_years(2021, 2030));
    let before = format!("{MINE} comes before it");
    let others = reported(&[
        (FIRST, before.clone()),
        (SECOND, before.clone()),
        (BALANCED, before),
        (DIRECT, ended(2026)),
    ]);
    assert_eq!(found(root), (MINE.to_owned(), others));
}

#[test]
fn what_another_distribution_left_behind_does_not_win() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let (third, fourth) = (THIRD, "var/lib/rancher/rke2/agent/kubelet.kubeconfig");
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

    let own = MINE;
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
    let (balanced, direct) = (BALANCED, DIRECT);
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
    put(root.path(), SECOND, of_years(2026, 2030));
    let path = root.path().join(FIRST);
    let origin = path.display().to_string();
    let named = Credentials::File {
        path: path.clone(),
        root: root.path().to_owned(),
    };
    for text in [of_years(2020, 2021), with_user(&json!({}))] {
        put(root.path(), FIRST, text);
        assert_eq!(named.find().unwrap().origin, origin);
    }
    put(root.path(), FIRST, "");
    let message = "is empty".to_owned();
    let expected = CredentialsError::Malformed { path, message };
    assert_eq!(named.find().unwrap_err(), expected);
}
