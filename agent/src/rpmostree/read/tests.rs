use super::*;
use zbus::Variant;

const OLD: &str = "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589";
const NEW: &str = "bd002813cd3096e024e3fd6280a2e9dd8668aad8f287f87cd65d597d46be9820";
const BASE: &str = "51ded472490dfa4c884811b31f4b50278d6ff3da0635fb391ef7e82c050c9405";
const DIGEST: &str = "sha256:8d82de32243f3047b2ceceb6611e31c17ecaeebf132ad753af93e6a972bd8114";

fn dict<'a>(pairs: impl IntoIterator<Item = (&'a str, Variant<'a>)>) -> Dict {
    let owned = |(key, value): (&str, Variant<'_>)| {
        (key.to_owned(), OwnedVariant::try_from(value).unwrap())
    };
    pairs.into_iter().map(owned).collect()
}

/// The keys that every version gives, and some that nobody knows.
fn deployed<'a>(
    checksum: &'a str,
    staged: bool,
    more: impl IntoIterator<Item = (&'a str, Variant<'a>)>,
) -> Dict {
    let id = format!("fedora-coreos-{checksum}.0");
    let mut all = dict([
        ("id", id.into()),
        ("osname", "fedora-coreos".into()),
        ("checksum", checksum.into()),
        ("serial", 0i32.into()),
        ("staged", staged.into()),
        ("base-removals", Vec::<Variant<'_>>::new().into()),
        ("from-the-future", (1u32, "two").into()),
    ]);
    all.extend(dict(more));
    all
}

fn snapshot(os: &[(&str, &Dict)], deployments: &[&Dict]) -> Snapshot {
    let value = |dict: &Dict| {
        let pairs = dict
            .iter()
            .map(|(key, value)| (key.clone(), Variant::from(value.clone())));
        Variant::from(pairs.collect::<HashMap<_, _>>())
    };
    let all: Vec<HashMap<String, Variant<'_>>> = deployments
        .iter()
        .map(|dict| {
            dict.iter()
                .map(|(k, v)| (k.clone(), Variant::from(v.clone())))
                .collect()
        })
        .collect();
    Snapshot {
        os_path: "/os".into(),
        os: dict(os.iter().map(|(key, dict)| (*key, value(dict)))),
        sysroot: dict([("Deployments", Variant::from(all))]),
    }
}

fn expected(checksum: &str, identity: &str, version: &str, staged: bool) -> Deployment {
    Deployment {
        id: format!("fedora-coreos-{checksum}.0"),
        identity: identity.parse().unwrap(),
        checksum: checksum.into(),
        version: version.into(),
        staged,
        published: 0,
    }
}

#[test]
fn a_branch_with_layers_and_another_stateroot() {
    let booted = deployed(
        OLD,
        false,
        [("origin", "fedora:fedora/x86_64/coreos/stable".into())],
    );
    let layered = [
        ("base-checksum", BASE.into()),
        ("base-timestamp", 5_u64.into()),
        ("timestamp", 9_u64.into()),
        ("version", "41.1".into()),
    ];
    let staged = deployed(NEW, true, layered);
    let older = deployed(BASE, false, []);
    let mut foreign = deployed(NEW, false, []);
    foreign.extend(dict([
        ("osname", "other".into()),
        ("id", "other-1.0".into()),
    ]));
    let broken = deployed("nonsense", false, []);
    let os = [
        ("BootedDeployment", &booted),
        ("DefaultDeployment", &staged),
    ];
    let snapshot = snapshot(&os, &[&staged, &booted, &broken, &foreign, &older]);
    assert_eq!(
        snapshot.host(),
        Ok(Host {
            booted: expected(OLD, OLD, "0941d40c0f13", false),
            pending: Some(Deployment {
                published: 5,
                ..expected(NEW, BASE, "41.1", true)
            }),
            others: vec![expected(BASE, BASE, "51ded472490d", false)],
        })
    );
    let reference = "fedora:fedora/x86_64/coreos/stable".to_owned();
    assert_eq!(snapshot.origin(), Origin::parse(&reference));
}

#[test]
fn what_people_requested_is_one_list() {
    let list =
        |names: &[&str]| Variant::from(names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let default = deployed(
        OLD,
        false,
        [
            ("requested-packages", list(&["tmux", "htop"])),
            ("requested-base-removals", list(&["nano"])),
            ("requested-local-packages", list(&[])),
            // What came of the request for htop.
            ("packages", list(&["htop", "tmux"])),
        ],
    );
    let os = [("DefaultDeployment", &default)];
    let found = snapshot(&os, &[]).requested();
    assert_eq!(found, ["htop", "nano", "tmux"]);
}

#[test]
fn an_image_with_nothing_pending() {
    let reference = "ostree-unverified-registry:127.0.0.1:8972/fcos:stable";
    let image = [
        ("container-image-reference", reference.into()),
        ("container-image-reference-digest", DIGEST.into()),
        ("version", "40.20240201.3.0".into()),
    ];
    let booted = deployed(OLD, false, image);
    let os = [
        ("BootedDeployment", &booted),
        ("DefaultDeployment", &booted),
    ];
    let snapshot = snapshot(&os, &[&booted]);
    let booted = expected(OLD, DIGEST, "40.20240201.3.0", false);
    let (pending, others) = (None, vec![]);
    assert_eq!(
        snapshot.host(),
        Ok(Host {
            booted,
            pending,
            others
        })
    );
    assert_eq!(snapshot.origin().to_string(), reference);
}

#[test]
fn a_host_without_deployments_or_with_unreadable_ones_is_an_error() {
    let empty = Dict::new();
    let os = [("BootedDeployment", &empty), ("DefaultDeployment", &empty)];
    assert_eq!(snapshot(&os, &[]).host(), Err(Error::NotBooted));
    assert_eq!(snapshot(&[], &[]).host(), Err(Error::NotBooted));
    let booted = deployed(OLD, false, []);
    let strange = dict([("id", "x.0".into()), ("serial", 0i32.into())]);
    let os = [
        ("BootedDeployment", &booted),
        ("DefaultDeployment", &strange),
    ];
    let what = "the deployment \"x.0\"".to_owned();
    let why = "no text \"checksum\"".to_owned();
    assert_eq!(
        snapshot(&os, &[]).host(),
        Err(Error::Protocol { what, why })
    );
}

#[test]
fn an_update_that_is_known_and_not_staged() {
    let plain = || deployed(OLD, false, [("version", "1".into())]);
    let mut behind = plain();
    behind.extend(dict([
        ("pending-base-checksum", NEW.into()),
        ("pending-base-version", "2".into()),
    ]));
    let nothing = Dict::new;
    let checked = |version| {
        let diff = Variant::from(HashMap::<String, Variant<'_>>::new());
        dict([("manifest-diff", diff), ("version", version)])
    };
    let mut staged = checked("2".into());
    staged.extend(dict([("deployment", "fedora-coreos-1.0".into())]));
    let table = [
        ("nothing", plain(), nothing(), None),
        ("a ref that is ahead", behind, nothing(), Some("2")),
        (
            "a check that found an image",
            plain(),
            checked("2".into()),
            Some("2"),
        ),
        ("an old check", plain(), checked("1".into()), None),
        ("staged by a run", plain(), staged, None),
        // What was pulled through a tag is what every later check reports, whatever is newer.
        (
            "a check that is behind",
            deployed(NEW, true, [("version", "3".into())]),
            checked("2".into()),
            None,
        ),
    ];
    for (what, default, cached, known) in table {
        let booted = plain();
        let os = [
            ("BootedDeployment", &booted),
            ("DefaultDeployment", &default),
            ("CachedUpdate", &cached),
        ];
        assert_eq!(snapshot(&os, &[]).unstaged().as_deref(), known, "{what}");
    }
}
