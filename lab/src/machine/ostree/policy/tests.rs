use super::{Policy, check_form, check_image};
use crate::machine::ostree::{Origin, Release, Remote, texts};

const VERSION: &str = "42.20260101.3.0";

/// What comes of an unsigned image under a policy with this default and these entries for registries.
fn verdict(default: &str, scopes: &str, image: &str) -> Result<(), String> {
    let text = format!(
        r#"{{"default": [{{"type": "{default}"}}], "transports": {{"docker": {{{scopes}}}}}}}"#
    );
    let policy: Policy = serde_json::from_str(&text).unwrap();
    let mut remote = Remote::new(VERSION);
    remote.unsigned.insert(VERSION.to_owned());
    let image = Origin::parse(image);
    check_form(&policy, &image)?;
    check_image(&policy, &image, &Release::new(VERSION), &remote)
}

#[test]
fn the_narrowest_entry_of_a_policy_counts() {
    let fcos = "ostree-image-signed:docker://quay.io/fedora/fedora-coreos";
    let tag = format!("{fcos}:stable");
    let digest = format!("{fcos}@{}", Release::new(VERSION).digest());
    let signed = r#"[{"type": "signedBy"}]"#;
    let never = r#"[{"type": "reject"}]"#;
    let any = r#"[{"type": "insecureAcceptAnything"}]"#;
    let unsigned = Err(texts::no_signature());
    let rejected = |image: &str| Err(texts::rejected(&Origin::parse(image)));
    for (scopes, image, expected) in [
        (
            format!(r#""quay.io/fedora/fedora-coreos": {signed}"#),
            &tag,
            unsigned.clone(),
        ),
        (
            format!(r#""quay.io/fedora/fedora-coreos": {signed}"#),
            &digest,
            unsigned.clone(),
        ),
        (
            format!(r#""quay.io/fedora": {signed}, "": {any}"#),
            &tag,
            unsigned.clone(),
        ),
        (
            format!(r#""quay.io": {signed}, "": {any}"#),
            &tag,
            unsigned.clone(),
        ),
        (
            format!(r#""*.io": {signed}, "": {any}"#),
            &tag,
            unsigned.clone(),
        ),
        (
            format!(r#""quay.io/fedora/fedora-coreos:stable": {any}, "quay.io": {never}"#),
            &tag,
            Ok(()),
        ),
        (
            format!(r#""quay.io/fedora/fedora-coreos:stable": {any}, "quay.io": {never}"#),
            &digest,
            rejected(&digest),
        ),
        (format!(r#""ghcr.io": {any}"#), &tag, rejected(&tag)),
        (format!(r#""ghcr.io": {never}, "": {any}"#), &tag, Ok(())),
    ] {
        assert_eq!(
            verdict("reject", &scopes, image),
            expected,
            "{scopes} {image}"
        );
    }
}

#[test]
fn a_default_that_accepts_anything_verifies_nothing() {
    let scopes = r#""quay.io/fedora/fedora-coreos": [{"type": "signedBy"}]"#;
    let name = "quay.io/fedora/fedora-coreos:stable";
    let signed = format!("ostree-image-signed:docker://{name}");
    let default = "insecureAcceptAnything";
    assert_eq!(
        verdict(default, scopes, &signed),
        Err(texts::refusing_usage())
    );
    // Who claims nothing is still held to what the policy says.
    let unverified = format!("ostree-unverified-registry:{name}");
    assert_eq!(
        verdict(default, scopes, &unverified),
        Err(texts::no_signature())
    );
    assert_eq!(verdict(default, "", &unverified), Ok(()));
}
