use super::*;
use crate::release::GraphRelease;

const BRANCH: &str = "fedora:fedora/x86_64/coreos/stable";
const IOT: &str = "fedora:fedora/stable/x86_64/iot";
const SIGNED_FCOS: &str = "ostree-image-signed:docker://quay.io/fedora/fedora-coreos:stable";
const REMOTE_FCOS: &str = "ostree-remote-image:fedora:docker://quay.io/fedora/fedora-coreos:stable";
const OWN: &str = "ostree-unverified-registry:ghcr.io/acme/os:prod";
const BOOTED: ReleaseId = ReleaseId::Commit([1; 32]);
const COMMIT: ReleaseId = ReleaseId::Commit([2; 32]);
const IMAGE: ReleaseId = ReleaseId::Image([3; 32]);

fn policy(scope: &str) -> ImagePolicy {
    let text =
        format!(r#"{{"transports": {{"docker": {{"{scope}": [{{"type": "sigstoreSigned"}}]}}}}}}"#);
    ImagePolicy::parse(&text).unwrap()
}

/// What comes of `assigned` on a host that follows `reference`, as a text.
fn comes(reference: &str, preference: &Preference, assigned: &Assigned) -> String {
    let (origin, policy) = (Origin::parse(reference), policy("ghcr.io/signed"));
    let place = Place {
        origin: &origin,
        booted: &BOOTED,
        preference,
        policy: &policy,
    };
    let direction = match place.direction(assigned) {
        Direction::Head => "head".to_owned(),
        Direction::Stay => "stay".to_owned(),
        Direction::Graph(aim) => format!("graph {aim:?}"),
        Direction::Refused(reason) => reason.to_string(),
        Direction::Deploy(deploy) => said(&deploy),
    };
    format!("{}: {direction}", place.source(assigned))
}

fn said(deploy: &Deploy) -> String {
    let revision = match &deploy.revision {
        Some(Revision::Release(identity)) => identity.short(),
        Some(Revision::Version(version)) => version.clone(),
        None => "head".to_owned(),
    };
    let reference = deploy.reference.as_deref().unwrap_or("as it is");
    let older = if deploy.downgrade { ", older too" } else { "" };
    format!("{revision} of {reference}{older}")
}

fn identity(identity: ReleaseId) -> Assigned {
    Assigned {
        identity: Some(identity),
        ..Assigned::default()
    }
}

fn image(name: &str) -> Assigned {
    Assigned {
        declared: true,
        image: Some(name.parse().unwrap()),
        ..Assigned::default()
    }
}

fn version(version: &str) -> Assigned {
    Assigned {
        declared: true,
        version: Some(version.to_owned()),
        ..Assigned::default()
    }
}

#[test]
fn each_host_has_one_source() {
    let auto = Preference::default();
    let none = Assigned::default();
    let only = |source| Preference {
        source: Some(source),
        ..Preference::default()
    };
    let cases = [
        (BRANCH, auto.clone(), none.clone(), "graph: graph Newest"),
        (
            SIGNED_FCOS,
            auto.clone(),
            none.clone(),
            "graph: graph Newest",
        ),
        (
            REMOTE_FCOS,
            auto.clone(),
            none.clone(),
            "graph: graph Newest",
        ),
        (IOT, auto.clone(), none.clone(), "origin: head"),
        (OWN, auto.clone(), none.clone(), "origin: head"),
        ("", auto.clone(), none.clone(), "origin: head"),
        (BRANCH, only(Source::Origin), none.clone(), "origin: head"),
        (
            BRANCH,
            only(Source::Origin),
            version("43.2"),
            "origin: head",
        ),
        (
            IOT,
            only(Source::Graph),
            none.clone(),
            "graph: graph Newest",
        ),
        (
            IOT,
            only(Source::Graph),
            version("43.2"),
            "graph: graph Newest",
        ),
        (IOT, only(Source::Cluster), none.clone(), "cluster: stay"),
        (
            IOT,
            only(Source::Cluster),
            identity(COMMIT),
            "cluster: stay",
        ),
    ];
    for (reference, preference, assigned, expected) in cases {
        let found = comes(reference, &preference, &assigned);
        assert_eq!(found, expected, "{reference} {assigned:?}");
    }
}

#[test]
fn a_candidate_is_a_release_of_the_nodes_own_source() {
    let auto = Preference::default();
    let cases = [
        (IOT, identity(COMMIT), "origin: 020202020202 of as it is"),
        (IOT, identity(BOOTED), "origin: stay"),
        (OWN, identity(IMAGE), "origin: 030303030303 of as it is"),
        (
            OWN,
            identity(COMMIT),
            "origin: ReleaseRefused: 0202020202020202020202020202020202020202020202020202020202020202 is assigned, and the host follows ostree-unverified-registry:ghcr.io/acme/os:prod",
        ),
        (
            BRANCH,
            identity(COMMIT),
            "graph: graph Release(0202020202020202020202020202020202020202020202020202020202020202)",
        ),
    ];
    for (reference, assigned, expected) in cases {
        assert_eq!(comes(reference, &auto, &assigned), expected, "{reference}");
    }
}

#[test]
fn a_declared_release_is_deployed_as_it_is_where_the_host_accepts_it() {
    let digest = IMAGE.to_string();
    let allowing = Preference {
        allow: vec!["quay.io/acme/*".into(), "ghcr.io/signed/os".into()],
        ..Preference::default()
    };
    let declared = |assigned: Assigned| Assigned {
        declared: true,
        ..assigned
    };
    let under = |name: &str| Assigned {
        identity: Some(IMAGE),
        ..image(name)
    };
    let cases = [
        (
            IOT,
            declared(identity(COMMIT)),
            "cluster: 020202020202 of as it is".to_owned(),
        ),
        (IOT, declared(identity(BOOTED)), "cluster: stay".to_owned()),
        (IOT, version("43.2"), "cluster: 43.2 of as it is".to_owned()),
        (
            BRANCH,
            version("43.2"),
            "cluster: graph Version(\"43.2\")".to_owned(),
        ),
        (
            OWN,
            version("43.2"),
            format!(
                "cluster: ReleaseRefused: version 43.2 is assigned, and only branches and update graphs know versions, while the host follows {OWN}"
            ),
        ),
        (
            OWN,
            image("ghcr.io/acme/os:prod"),
            "cluster: head".to_owned(),
        ),
        (
            OWN,
            image("ghcr.io/acme/os:next"),
            "cluster: head of ostree-unverified-registry:ghcr.io/acme/os:next".to_owned(),
        ),
        (
            OWN,
            image(&format!("ghcr.io/acme/os@{digest}")),
            "cluster: 030303030303 of as it is".to_owned(),
        ),
        (
            OWN,
            under("ghcr.io/acme/os:prod"),
            "cluster: 030303030303 of as it is".to_owned(),
        ),
        (
            OWN,
            under("ghcr.io/acme/os:next"),
            "cluster: 030303030303 of ostree-unverified-registry:ghcr.io/acme/os:next".to_owned(),
        ),
        (
            OWN,
            image("quay.io/acme/other:1"),
            "cluster: head of ostree-unverified-registry:quay.io/acme/other:1".to_owned(),
        ),
        (
            OWN,
            image("quay.io/evil/os:1"),
            format!(
                "cluster: ReleaseRefused: quay.io/evil/os:1 is assigned, the host follows {OWN}, and `release.allow` does not name quay.io/evil/os"
            ),
        ),
        (
            IOT,
            under("ghcr.io/signed/os:1"),
            "cluster: 030303030303 of ostree-image-signed:docker://ghcr.io/signed/os:1".to_owned(),
        ),
        (
            IOT,
            under("quay.io/acme/os:1"),
            format!(
                "cluster: ReleaseRefused: quay.io/acme/os:1 is assigned, the host follows {IOT}, and its /etc/containers/policy.json does not verify that image"
            ),
        ),
    ];
    for (reference, assigned, expected) in cases {
        let found = comes(reference, &allowing, &assigned);
        assert_eq!(found, expected, "{reference} {assigned:?}");
    }
}

#[test]
fn both_sides_have_to_allow_an_older_release() {
    for (host, pool, expected) in [
        (false, false, ""),
        (false, true, ""),
        (true, false, ""),
        (true, true, ", older too"),
    ] {
        let preference = Preference {
            allow_downgrade: host,
            ..Preference::default()
        };
        let assigned = Assigned {
            declared: true,
            downgrade: pool,
            ..identity(COMMIT)
        };
        let found = comes(IOT, &preference, &assigned);
        assert_eq!(
            found,
            format!("cluster: 020202020202 of as it is{expected}")
        );
    }
}

/// How a host that follows `reference`, and verifies `verified`, gets to a release of the graph.
fn hop(reference: &str, verified: &str, identity: ReleaseId, repository: Option<&str>) -> String {
    let (origin, preference) = (Origin::parse(reference), Preference::default());
    let place = Place {
        origin: &origin,
        booted: &BOOTED,
        preference: &preference,
        policy: &policy(verified),
    };
    let next = GraphRelease {
        version: "43.2".into(),
        identity: Some(identity),
        repository: repository.map(Into::into),
        age: Some(2),
        dead_end: None,
    };
    match place.hop(&next, "stable") {
        Ok(deploy) => said(&deploy),
        Err(reason) => reason.to_string(),
    }
}

/// Fedora's two migrations: from the branch to the image, and from the signature of its commit to that of the image. Reference by tag, by
/// digest or without either comes to the stream's tag (coreos/fedora-coreos-tracker 2046).
#[test]
fn every_origin_of_fedora_coreos_comes_to_the_signed_image() {
    let fcos = Some(FCOS);
    let remote =
        "030303030303 of ostree-remote-image:fedora:docker://quay.io/fedora/fedora-coreos:stable";
    let signed = "030303030303 of ostree-image-signed:docker://quay.io/fedora/fedora-coreos:stable";
    let same = "030303030303 of as it is";
    let at = |end: &str| {
        format!("ostree-remote-image:fedora:docker://quay.io/fedora/fedora-coreos{end}")
    };
    let digest = format!("@sha256:{}", "05".repeat(32));
    let cases = [
        (BRANCH.to_owned(), "", remote),
        (BRANCH.to_owned(), FCOS, signed),
        (at(":stable"), "", same),
        (at(":stable"), FCOS, signed),
        (at(""), "", remote),
        (at(":42.20251012.3.0"), "", remote),
        (at(&digest), FCOS, signed),
        (
            "ostree-remote-registry:fedora:quay.io/fedora/fedora-coreos:stable".to_owned(),
            FCOS,
            signed,
        ),
        (SIGNED_FCOS.to_owned(), FCOS, same),
        (
            "ostree-image-signed:registry:quay.io/fedora/fedora-coreos:stable".to_owned(),
            FCOS,
            same,
        ),
    ];
    for (reference, verified, expected) in cases {
        let verified = if verified.is_empty() {
            "none"
        } else {
            verified
        };
        assert_eq!(
            hop(&reference, verified, IMAGE, fcos),
            expected,
            "{reference}"
        );
    }
    assert_eq!(
        hop(BRANCH, "none", COMMIT, None),
        "020202020202 of as it is"
    );
}

#[test]
fn a_graph_leads_to_no_image_that_the_host_does_not_follow() {
    let cases = [
        (
            hop(SIGNED_FCOS, FCOS, IMAGE, Some("quay.io/evil/os")),
            format!(
                "ReleaseRefused: quay.io/evil/os:stable is assigned, the host follows {SIGNED_FCOS}, and `release.allow` does not name quay.io/evil/os"
            ),
        ),
        (
            hop(SIGNED_FCOS, FCOS, COMMIT, None),
            format!(
                "GraphInvalid: the update graph has {COMMIT} as 43.2, and the host follows {SIGNED_FCOS}"
            ),
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}
