use super::*;

const DIGEST: &str = "sha256:4c1b70e8d2a63f9b7c5a1e0d4f8b2c6a9e3d7f1b5c0a8e4d2f6b9c3a7e1d5f80";

fn image(name: &str) -> ImageName {
    name.parse().unwrap()
}

#[test]
fn every_form_of_a_reference_is_read_and_written_as_it_was() {
    let fcos = "quay.io/fedora/fedora-coreos:stable";
    let of = |form, prefix: &str| Origin::Image {
        form,
        prefix: prefix.to_owned(),
        image: image(fcos),
    };
    let remote = || Form::Remote("fedora".to_owned());
    let cases = [
        (Form::Signed, "ostree-image-signed:docker://"),
        (Form::Signed, "ostree-image-signed:registry:"),
        (Form::Unverified, "ostree-unverified-image:docker://"),
        (Form::Unverified, "ostree-unverified-image:registry:"),
        (Form::Unverified, "ostree-unverified-registry:"),
        (remote(), "ostree-remote-image:fedora:docker://"),
        (remote(), "ostree-remote-image:fedora:registry:"),
        (remote(), "ostree-remote-registry:fedora:"),
    ];
    for (form, prefix) in cases {
        let text = format!("{prefix}{fcos}");
        let origin = Origin::parse(&text);
        assert_eq!(origin, of(form, prefix), "{text}");
        assert_eq!(
            (origin.to_string(), origin.stream()),
            (text, Some("stable"))
        );
    }
}

#[test]
fn what_is_in_no_registry_is_neither_branch_nor_image() {
    let branch = Origin::Branch {
        remote: "fedora".into(),
        branch: "fedora/x86_64/coreos/stable".into(),
    };
    let cases = [
        ("fedora:fedora/x86_64/coreos/stable", branch, Some("stable")),
        ("", Origin::Other(String::new()), None),
        (
            "ostree-unverified-image:oci:/run/lab/oci:stable",
            Origin::Other("ostree-unverified-image:oci:/run/lab/oci:stable".into()),
            Some("stable"),
        ),
        (
            "ostree-unverified-registry:q.io/fcos:stable@sha256:8d82de32",
            Origin::Other("ostree-unverified-registry:q.io/fcos:stable@sha256:8d82de32".into()),
            Some("stable"),
        ),
        (
            "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589",
            Origin::Other(
                "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589".into(),
            ),
            None,
        ),
        (
            "ostree-remote-image:fedora",
            Origin::Other("ostree-remote-image:fedora".into()),
            None,
        ),
        (
            "ostree-image-signed:docker://stable",
            Origin::Other("ostree-image-signed:docker://stable".into()),
            None,
        ),
    ];
    for (text, expected, stream) in cases {
        let found = Origin::parse(text);
        assert_eq!(
            (found.stream(), found.to_string()),
            (stream, text.to_owned())
        );
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn image_names_have_a_registry_a_path_and_a_tag_or_a_digest() {
    let digest = |name: &str| format!("{name}@{DIGEST}");
    let cases = [
        ("quay.io/a/b:t".to_owned(), "quay.io/a/b", Some("t"), false),
        (
            "localhost:5000/a".to_owned(),
            "localhost:5000/a",
            None,
            false,
        ),
        (
            "localhost:5000/a:1.2_3-x".to_owned(),
            "localhost:5000/a",
            Some("1.2_3-x"),
            false,
        ),
        (digest("quay.io/a/b"), "quay.io/a/b", None, true),
        (digest("quay.io/a/b:t"), "quay.io/a/b", Some("t"), true),
    ];
    for (text, repository, tag, by_digest) in cases {
        let found = image(&text);
        assert_eq!(found.repository, repository, "{text}");
        assert_eq!(
            (found.tag.as_deref(), found.digest().is_some()),
            (tag, by_digest)
        );
        assert_eq!(image(&found.to_string()), found);
    }
    let wrong = [
        "",
        "stable",
        "quay.io/",
        "/a",
        "quay.io/A/b",
        "quay.io/a b",
        "quay.io/a:",
        "quay.io/a:t/u:",
        "quay.io/a@sha256:12",
        "quay.io/a@md5:00",
        "quay.io/a;reboot",
        "quay.io/a:t\n",
        "-o/a//b",
    ];
    for text in wrong {
        assert!(text.parse::<ImageName>().is_err(), "{text:?}");
    }
    let long = format!("quay.io/{}", "a".repeat(400));
    assert!(long.parse::<ImageName>().is_err());
}
