use super::{ALL, PATTERNS, hide};

#[test]
fn what_looks_like_a_secret_is_removed_and_nothing_else() {
    assert_eq!(ALL.len(), PATTERNS.len());
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n-----END EC PRIVATE KEY-----";
    let table = [
        (
            "uses eyJhbGciOiJSUzI1.eyJpc3MiOiJr.c2lnbmF0dXJl now",
            "uses (removed) now",
        ),
        (
            "Authorization: Bearer abcdefgh.ijklmnop",
            "Authorization: (removed) (removed)",
        ),
        (
            r#"{"token":"abcdef","a":1}"#,
            r#"{"token":"(removed)","a":1}"#,
        ),
        (
            r#"patch {\"token\":\"abcdef\",\"a\":1}"#,
            r#"patch {\"token\":\"(removed)\",\"a\":1}"#,
        ),
        (r#"{"password":"ab\\cd\ne"}"#, r#"{"password":"(removed)"}"#),
        ("password=hunter22 next", "password=(removed) next"),
        (
            "https://alice:hunter2@registry.example/v2/",
            "https://(removed)registry.example/v2/",
        ),
        (key, "-----BEGIN EC PRIVATE KEY-----(removed)"),
        (
            "n1: CanaryFirst: n2 runs 42.20260101.3.0 first",
            "n1: CanaryFirst: n2 runs 42.20260101.3.0 first",
        ),
        (
            "quay.io/acme/os@sha256:4c1b70e8d2a63f9b",
            "quay.io/acme/os@sha256:4c1b70e8d2a63f9b",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(hide(text), expected);
    }
}
