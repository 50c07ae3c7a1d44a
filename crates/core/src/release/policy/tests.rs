use super::*;

#[test]
fn the_most_specific_scope_decides() {
    let policy = r#"{
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                "quay.io/fedora/fedora-coreos": [{"type": "sigstoreSigned", "keyPath": "/etc/pki/x"}],
                "quay.io/fedora": [{"type": "insecureAcceptAnything"}],
                "quay.io": [{"type": "signedBy"}],
                "*.example.com": [{"type": "signedBy"}],
                "": [{"type": "insecureAcceptAnything"}]
            },
            "containers-storage": {"": [{"type": "signedBy"}]}
        }
    }"#;
    let policy = ImagePolicy::parse(policy).unwrap();
    let cases = [
        ("quay.io/fedora/fedora-coreos", true),
        ("quay.io/fedora/fedora-coreos-next", false),
        ("quay.io/acme/os", true),
        ("a.b.example.com/os", true),
        ("example.com/os", false),
        ("ghcr.io/acme/os", false),
    ];
    for (repository, expected) in cases {
        assert_eq!(policy.verifies(repository), expected, "{repository}");
    }
}

#[test]
fn without_scopes_the_default_decides_and_nothing_verifies_nothing() {
    let signed = ImagePolicy::parse(r#"{"default": [{"type": "signedBy"}]}"#).unwrap();
    assert!(signed.verifies("quay.io/a/b"));
    let open = r#"{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {}}}"#;
    assert!(!ImagePolicy::parse(open).unwrap().verifies("quay.io/a/b"));
    assert!(!ImagePolicy::default().verifies("quay.io/a/b"));
    assert!(ImagePolicy::parse(r#"{"default": 1}"#).is_err());
}
