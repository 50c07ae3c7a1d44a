//! What rpm-ostree 2026.2 was seen to say when the other end, the disk or a repository of packages is in the way.

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Layers, Release, Remote, Trouble};

use super::client::{Host, Options, V1, V2};

/// What an upgrade of such a host comes to.
async fn says(spec: HostSpec, change: impl FnOnce(&mut Remote)) -> String {
    let host = Host::new(spec).await;
    host.machine.root().edit(change).unwrap();
    let client = host.client().await;
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(host.machine.sysroot().unwrap().staged(), None);
    outcome
}

/// An update is offered, and there is trouble.
async fn fails(spec: HostSpec, trouble: Trouble) -> String {
    let change = |remote: &mut Remote| {
        remote.publish(V2);
        remote.trouble = Some(trouble);
    };
    says(spec, change).await
}

#[tokio::test]
async fn a_branch() {
    let remote = "http://127.0.0.1:8971/remote";
    let branch = "fedora/stable/x86_64/iot";
    let unsigned = Release::new(V2).commit();
    for (trouble, text) in [
        (
            Trouble::Down,
            format!("While fetching {remote}/summary.sig: [7] Could not connect to server"),
        ),
        (
            Trouble::Status(401),
            format!("While fetching {remote}/summary.sig: Server returned HTTP 401"),
        ),
        (
            Trouble::Status(403),
            format!("While fetching {remote}/refs/heads/{branch}: Server returned HTTP 403"),
        ),
        (
            Trouble::Status(404),
            format!("While fetching {remote}/refs/heads/{branch}: Server returned HTTP 404"),
        ),
        (
            Trouble::Status(500),
            format!("While fetching {remote}/summary.sig: Server returned HTTP 500"),
        ),
        (
            Trouble::Status(503),
            format!("While fetching {remote}/summary.sig: Server returned HTTP 503"),
        ),
        (
            Trouble::NoSuchBranch,
            format!("No such branch '{branch}' in repository summary"),
        ),
        (
            Trouble::Unsigned,
            format!(
                "Commit {unsigned}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)"
            ),
        ),
        (Trouble::DiskFull, "No space left on device".to_owned()),
        (
            Trouble::DiskReserved,
            "Writing content object: min-free-space-size 921600MB would be exceeded, at least 36.9 kB requested".to_owned(),
        ),
    ] {
        let said = fails(HostSpec::ostree(V1), trouble).await;
        let expected = format!("Finished false While pulling {branch}: {text}");
        assert_eq!(said, expected, "{trouble:?}");
    }
}

#[tokio::test]
async fn an_image() {
    for (trouble, text) in [
        (
            Trouble::Down,
            "pinging container registry 127.0.0.1:8972: Get \"http://127.0.0.1:8972/v2/\": dial tcp 127.0.0.1:8972: connect: \
             connection refused",
        ),
        (
            Trouble::Status(401),
            "reading manifest stable in 127.0.0.1:8972/fcos: authentication required",
        ),
        (
            Trouble::Status(403),
            "pinging container registry 127.0.0.1:8972: StatusCode: 403, \"\"",
        ),
        (
            Trouble::Status(500),
            "pinging container registry 127.0.0.1:8972: received unexpected HTTP status: 500 Internal Server Error",
        ),
        (
            Trouble::NoSuchBranch,
            "reading manifest stable in 127.0.0.1:8972/fcos: manifest unknown",
        ),
    ] {
        let said = fails(HostSpec::container(V1), trouble).await;
        let open = "Preparing import: Fetching manifest: failed to invoke method OpenImage";
        assert_eq!(
            said,
            format!("Finished false {open}: {text}"),
            "{trouble:?}"
        );
    }
}

/// Also where the base has nothing new; without packages there is nothing to look for.
#[tokio::test]
async fn layered_packages() {
    for (trouble, text) in [
        (
            Layers::NoMetadata,
            "Updating rpm-md repo 'lab': cannot update repo 'lab': Cannot download repomd.xml: Cannot download repodata/repomd.xml: \
             All mirrors were tried; Last error: Status code: 404 for http://127.0.0.1:8973/lab/repodata/repomd.xml (IP: 127.0.0.1)",
        ),
        (Layers::NoPackages, "Packages not found: lab-layer"),
    ] {
        for spec in [HostSpec::ostree(V1), HostSpec::container(V1)] {
            let layered = HostSpec {
                layered: vec!["lab-layer".to_owned()],
                ..spec.clone()
            };
            let failed = format!("Finished false {text}");
            for (spec, newest, expected) in [
                (&layered, V2, &*failed),
                (&layered, V1, &*failed),
                (&spec, V1, "Finished true"),
            ] {
                let change = |remote: &mut Remote| {
                    remote.publish(newest);
                    remote.layers = Some(trouble);
                };
                let said = says(spec.clone(), change).await;
                assert_eq!(said, expected, "{spec:?} {newest}");
            }
        }
    }
}
