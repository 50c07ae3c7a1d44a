use super::{Origin, Verifier};

#[test]
fn references_are_taken_apart() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let fcos = "quay.io/fedora/fedora-coreos";
    let own = "127.0.0.1:8972/fcos";
    let signed = format!("ostree-image-signed:docker://{fcos}");
    for (text, name, tag, verifier, shown, stream) in [
        (
            format!("{signed}:stable"),
            format!("{fcos}:stable"),
            Some("stable"),
            Verifier::Policy,
            format!("{signed}:stable"),
            Some("stable"),
        ),
        (
            format!("ostree-image-signed:registry:{fcos}:next"),
            format!("{fcos}:next"),
            Some("next"),
            Verifier::Policy,
            format!("{signed}:next"),
            Some("next"),
        ),
        (
            format!("{signed}@{digest}"),
            format!("{fcos}@{digest}"),
            None,
            Verifier::Policy,
            format!("{signed}@{digest}"),
            Some("stable"),
        ),
        (
            format!("ostree-remote-registry:fedora:{fcos}:stable"),
            format!("{fcos}:stable"),
            Some("stable"),
            Verifier::Remote("fedora"),
            format!("ostree-remote-image:fedora:docker://{fcos}:stable"),
            Some("stable"),
        ),
        (
            format!("ostree-remote-image:fedora:docker://{fcos}"),
            fcos.to_owned(),
            None,
            Verifier::Remote("fedora"),
            format!("ostree-remote-image:fedora:docker://{fcos}"),
            Some("stable"),
        ),
        (
            format!("ostree-unverified-registry:{own}:stable"),
            format!("{own}:stable"),
            Some("stable"),
            Verifier::Nobody,
            format!("ostree-unverified-registry:{own}:stable"),
            None,
        ),
        (
            format!("ostree-unverified-image:docker://{own}"),
            own.to_owned(),
            None,
            Verifier::Nobody,
            format!("ostree-unverified-registry:{own}"),
            None,
        ),
        (
            "fedora:fedora/x86_64/coreos/testing".to_owned(),
            "fedora/x86_64/coreos/testing".to_owned(),
            None,
            Verifier::Nobody,
            "fedora:fedora/x86_64/coreos/testing".to_owned(),
            Some("testing"),
        ),
    ] {
        let origin = Origin::parse(&text);
        assert_eq!(origin.name(), name, "{text}");
        assert_eq!(origin.tag(), tag, "{text}");
        assert_eq!(origin.verifier(), verifier, "{text}");
        assert_eq!(origin.shown(), shown, "{text}");
        assert_eq!(origin.stream(), stream, "{text}");
        if !origin.is_image() {
            continue;
        }
        let repository = if text.contains(own) { own } else { fcos };
        assert_eq!(origin.repository(), repository, "{text}");
        let at = origin.at(&digest);
        assert_eq!(at.name(), format!("{repository}@{digest}"), "{text}");
        assert_eq!(at.verifier(), verifier, "{text}");
        assert_eq!(at.digest(), Some(&*digest), "{text}");
    }
}
