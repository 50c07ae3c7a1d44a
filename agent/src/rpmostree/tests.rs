use super::*;

/// Does not compile if an operation can't run in a task of its own.
#[test]
fn operations_can_be_spawned() {
    fn spawn(_: impl Future<Output: Send> + Send) {}
    let client = Client::new(Bus::system(), Limits::default());
    spawn(client.host());
    spawn(client.origin());
    spawn(client.stage(None, |_| ()));
    spawn(client.check(|_| ()));
    let deployment = deployment("one", true);
    spawn(client.ready());
    async fn ends(ready: Ready, deployment: &Deployment) {
        spawn(ready.finalize(deployment));
        spawn(ready.roll_back(deployment));
    }
    let _ = |ready| spawn(ends(ready, &deployment));
}

fn deployment(id: &str, staged: bool) -> Deployment {
    let commit = "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589";
    Deployment {
        id: id.into(),
        identity: commit.parse().unwrap(),
        checksum: commit.into(),
        version: "v".into(),
        staged,
        published: 0,
    }
}

#[test]
fn the_stream_is_the_last_part_of_the_branch_or_the_tag() {
    let table = [
        ("fedora:fedora/x86_64/coreos/stable", Some("stable")),
        ("fedora:stable", Some("stable")),
        (
            "0941d40c0f136423cd968a12f552d3027dfa43a6e854722eafa4565c4b7c1589",
            None,
        ),
        ("", None),
        (
            "ostree-unverified-registry:127.0.0.1:8972/fcos:testing",
            Some("testing"),
        ),
        (
            "ostree-image-signed:docker://quay.io/fedora/fedora-coreos:next",
            Some("next"),
        ),
        (
            "ostree-image-signed:docker://quay.io/fedora/fedora-coreos",
            None,
        ),
        ("ostree-unverified-registry:127.0.0.1:8972/fcos", None),
        ("ostree-unverified-registry:q.io/fcos@sha256:8d82de32", None),
        (
            "ostree-unverified-registry:q.io/fcos:stable@sha256:8d82de32",
            Some("stable"),
        ),
        (
            "ostree-unverified-image:oci:/run/lab/oci:stable",
            Some("stable"),
        ),
    ];
    for (reference, stream) in table {
        let reference = reference.to_owned();
        let origin = Origin { reference };
        assert_eq!(origin.stream(), stream, "{origin:?}");
    }
}

#[test]
fn only_the_default_deployment_proves_that_something_was_staged() {
    let host = |pending| Host {
        booted: deployment("booted", false),
        pending,
        others: vec![],
    };
    let (one, two) = (
        || Some(deployment("one", true)),
        || Some(deployment("two", true)),
    );
    let new = |replaced| Staged::New {
        deployment: deployment("two", true),
        replaced,
    };
    let same = || Staged::NoUpdate {
        unstaged: Some("2".into()),
    };
    let old = || Some(deployment("old", false));
    let table = [
        (None, two(), new(None)),
        (one(), two(), new(one())),
        (None, None, same()),
        (one(), one(), same()),
        (one(), None, Staged::Foreign { pending: None }),
        (None, old(), Staged::Foreign { pending: old() }),
    ];
    for (before, now, expected) in table {
        let staged = compare(&host(before.clone()), host(now.clone()), Some("2".into()));
        assert_eq!(staged, expected, "{before:?} {now:?}");
    }
}
