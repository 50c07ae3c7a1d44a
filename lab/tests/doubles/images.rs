//! Digests under a tag, and rebases, as rpm-ostree 2026.2 was seen to do them and as its source and that of ostree-ext 0.15.3 say.

use cuo_lab::machine::ostree::{CachedUpdate, Release, Remote, Sysroot, Trouble};
use cuo_lab::machine::{FCOS_BRANCH, FCOS_IMAGE, HostSpec, Reboot};
use serde_json::Value;

use super::client::{Client, Dictionary, Host, OS, Options, V1, V2, V3, options, text, title};

const TAG: &str = "ostree-unverified-registry:127.0.0.1:8972/fcos:stable";
const IMAGE: &str = "ostree-unverified-registry:127.0.0.1:8972/fcos";
const FCOS: &str = "quay.io/fedora/fedora-coreos";

fn rebase(reference: &str, revision: Option<&str>) -> Options {
    let mut all = options([("set-refspec", reference.to_owned().into())]);
    if let Some(revision) = revision {
        all.insert("set-revision", revision.to_owned().into());
    }
    all
}

async fn outcome(client: &Client, modifiers: Options) -> String {
    let body = (modifiers, Options::new());
    let outcome = client.outcome("UpdateDeployment", &body).await;
    client.wait_free().await;
    outcome
}

/// Versions of all deployments, what the first follows, and what was asked for in place of that.
fn deployed(host: &Host) -> (Vec<String>, String, Option<String>) {
    let all = host.machine.sysroot().unwrap().deployments;
    let first = all[0].clone();
    let versions = all.into_iter().map(|one| one.release.version);
    let origin = first.origin.text().to_owned();
    (versions.collect(), origin, first.override_commit)
}

#[tokio::test]
async fn a_digest_is_staged_and_the_tag_stays_followed() {
    let spec = HostSpec {
        newest: Some(V3.to_owned()),
        offered: vec![V2.to_owned()],
        ..HostSpec::container(V1)
    };
    let mut host = Host::new(spec).await;
    let old = CachedUpdate {
        update_sha256: Release::new(V1).merge_commit(),
        checksum: Release::new(V1).merge_commit(),
        version: Some("old".to_owned()),
        origin: TAG.to_owned(),
        timestamp: 7,
        ref_has_new_commit: false,
        deployment: None,
        gpg_enabled: None,
        manifest_diff: true,
    };
    let remember = |sysroot: &mut Sysroot| sysroot.cached_update = Some(old.clone());
    host.machine.root().edit(remember).unwrap();
    let client = host.client().await;
    let two = Release::new(V2);
    let at = format!("{IMAGE}@{}", two.digest());
    let chunk: String = two.merge_commit().chars().take(21).collect();
    let body = (
        options([("set-revision", two.digest().into())]),
        options([("lock-finalization", true.into())]),
    );
    let (signals, end) = client.run("UpdateDeployment", &body).await;
    assert_eq!(end, "Finished true");
    let expected = [
        title("deploy"),
        "ProgressEnd".to_owned(),
        format!("Message Pulling manifest: {at}"),
        format!("Message Importing: {at} (digest: {})", two.digest()),
        "Message ostree chunk layers needed: 1 (1.1\u{a0}MB)".to_owned(),
        format!("TaskBegin [1/1] Fetching ostree chunk {chunk} (1.1\u{a0}MB)"),
        "TaskEnd done".to_owned(),
        "ProgressEnd".to_owned(),
        "TaskBegin Staging deployment".to_owned(),
        "TaskEnd done".to_owned(),
        // What was fetched by digest is kept under no name.
        "Message Pruned images: 0 (layers: 1)".to_owned(),
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;
    let expected = (
        vec![V2.to_owned(), V1.to_owned()],
        TAG.to_owned(),
        Some(two.digest()),
    );
    assert_eq!(deployed(&host), expected);
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert!(
        default.keys().all(|key| !key.contains("override-commit")),
        "{default:?}"
    );
    let key = "container-image-reference";
    let shown = text(&client, OS, "DefaultDeployment", key).await;
    assert_eq!(shown.as_deref(), Some(TAG));
    let key = "container-image-reference-digest";
    let shown = text(&client, OS, "DefaultDeployment", key).await;
    assert_eq!(shown, Some(two.digest()));
    let sysroot = host.machine.sysroot().unwrap();
    assert_eq!(sysroot.cached_update, Some(old));
    assert_eq!(sysroot.image_pulled, None);

    // Once more: nothing is kept under the digest, and there is nothing left to fetch.
    let (signals, end) = client.run("UpdateDeployment", &body).await;
    assert_eq!(end, "Finished true");
    let expected = [
        title("deploy"),
        "ProgressEnd".to_owned(),
        format!("Message Pulling manifest: {at}"),
        format!("Message Importing: {at} (digest: {})", two.digest()),
        "Message ostree chunk layers already present: 1".to_owned(),
        "ProgressEnd".to_owned(),
        "Message No change.".to_owned(),
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;

    let unlock = |sysroot: &mut Sysroot| sysroot.deployments[0].locked = false;
    host.machine.root().edit(unlock).unwrap();
    host.machine.reboot(Reboot::Clean).await.unwrap();
    let client = host.client().await;
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(outcome, "Finished true");
    let versions = [V3, V2, V1].map(str::to_owned).to_vec();
    assert_eq!(deployed(&host), (versions, TAG.to_owned(), None));
}

/// Of several architectures under one digest.
#[tokio::test]
async fn of_a_list_the_digest_of_the_hosts_own_image_is_shown() {
    let host = Host::new(HostSpec::container(V1)).await;
    host.machine.offer(V2).unwrap();
    let client = host.client().await;
    let two = Release::new(V2);
    let list = options([("set-revision", two.list_digest().into())]);
    assert_eq!(outcome(&client, list).await, "Finished true");
    let key = "container-image-reference-digest";
    let shown = text(&client, OS, "DefaultDeployment", key).await;
    assert_eq!(shown, Some(two.digest()));
    let versions = vec![V2.to_owned(), V1.to_owned()];
    let expected = (versions, TAG.to_owned(), Some(two.list_digest()));
    assert_eq!(deployed(&host), expected);
}

#[tokio::test]
async fn a_rebase_goes_to_a_tag_with_or_without_a_digest() {
    let spec = HostSpec {
        newest: Some(V3.to_owned()),
        offered: vec![V2.to_owned()],
        ..HostSpec::container(V1)
    };
    let testing = format!("{IMAGE}:testing");
    let digest = Release::new(V2).digest();
    let pinned = format!("{IMAGE}@{digest}");
    for (reference, revision, version) in [
        (&testing, None, V3),
        (&testing, Some(&digest), V2),
        (&pinned, None, V2),
        // The same base under another name is deployed as well.
        (&testing, Some(&Release::new(V1).digest()), V1),
    ] {
        let host = Host::new(spec.clone()).await;
        let client = host.client().await;
        let body = (
            rebase(reference, revision.map(String::as_str)),
            Options::new(),
        );
        let (signals, end) = client.run("UpdateDeployment", &body).await;
        assert_eq!(end, "Finished true", "{reference} {revision:?}");
        assert_eq!(signals[0], title("rebase"));
        let versions = vec![version.to_owned(), V1.to_owned()];
        let expected = (versions, reference.clone(), revision.cloned());
        assert_eq!(deployed(&host), expected);
        let cached: Dictionary = client.property(OS, "CachedUpdate").await;
        assert_eq!(cached.len(), 0);
    }
    let host = Host::new(spec).await;
    let client = host.client().await;
    for revision in [None, Some(&*digest)] {
        let same = outcome(&client, rebase(TAG, revision)).await;
        assert_eq!(
            same,
            format!("Finished false Old and new refs are equal: {TAG}")
        );
    }
}

#[tokio::test]
async fn a_branch_is_left_for_an_image_and_back() {
    let host = Host::new(HostSpec::fcos_branch(V2)).await;
    let move_on = |remote: &mut Remote| {
        // Where branches are published no more.
        remote.point("fedora/x86_64/coreos/stable", V2);
        remote.publish(V3);
        remote.offer(V1);
    };
    host.machine.root().edit(move_on).unwrap();
    let client = host.client().await;
    let outcome_of_upgrade = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(outcome_of_upgrade, "Finished true");
    assert_eq!(host.machine.sysroot().unwrap().staged(), None);
    client.wait_free().await;

    // An older one may be rebased to, unless it is refused.
    let remote = format!("ostree-remote-image:fedora:docker://{FCOS}:stable");
    let one = Release::new(V1);
    let refuse = options([("allow-downgrade", false.into())]);
    let body = (rebase(&remote, Some(&one.digest())), refuse);
    let older = client.outcome("UpdateDeployment", &body).await;
    let expected = format!(
        "Finished false While checking against deployment timestamp: Upgrade target revision '{}' with timestamp 'Mon Jan \u{2007}1 10:00:00 \
         2024' is chronologically older than current revision '{}' with timestamp 'Thu Feb \u{2007}1 10:00:00 2024'; use --allow-downgrade \
         to permit",
        one.merge_commit(),
        Release::new(V2).commit(),
    );
    assert_eq!(older, expected);
    client.wait_free().await;
    let done = outcome(&client, rebase(&remote, Some(&one.digest()))).await;
    assert_eq!(done, "Finished true");
    // The same version as image is another base.
    let done = outcome(&client, rebase(&remote.replace("stable", "next"), None)).await;
    assert_eq!(done, "Finished true");
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert!(!default.contains_key("origin") && !default.contains_key("pending-base-version"));
    // The local branch is gone.
    let booted: Dictionary = client.property(OS, "BootedDeployment").await;
    assert!(!booted.contains_key("pending-base-version"));
    let done = outcome(&client, rebase(FCOS_BRANCH, None)).await;
    assert_eq!(done, "Finished true");
    let versions = vec![V2.to_owned(), V2.to_owned()];
    assert_eq!(deployed(&host), (versions, FCOS_BRANCH.to_owned(), None));
}

#[tokio::test]
async fn what_a_repository_does_not_have_is_unknown_there() {
    let host = Host::new(HostSpec::container(V1)).await;
    let elsewhere = |remote: &mut Remote| {
        remote.confine(V2, &["127.0.0.1:8972/other"]);
        remote.retire("127.0.0.1:8972/fcos:gone");
    };
    host.machine.root().edit(elsewhere).unwrap();
    let client = host.client().await;
    let two = Release::new(V2).digest();
    let open =
        "Finished false Preparing import: Fetching manifest: failed to invoke method OpenImage";
    let unknown = |named: &str, image: &str| {
        format!("{open}: reading manifest {named} in {image}: manifest unknown")
    };
    let fcos = "127.0.0.1:8972/fcos";
    let revision = |text: &str| options([("set-revision", text.to_owned().into())]);
    let invalid = format!("{open}: invalid reference format");
    for (modifiers, expected) in [
        (revision(&two), unknown(&two, fcos)),
        (
            rebase(&format!("{IMAGE}:gone"), None),
            unknown("gone", fcos),
        ),
        (
            rebase(&format!("{IMAGE}:gone"), Some(&two)),
            unknown(&two, fcos),
        ),
        // Only a digest takes the place of a tag, without anything before it.
        (revision(V2), invalid.clone()),
        (revision(&format!("revision={two}")), invalid),
        (
            rebase(
                "ostree-unverified-registry:127.0.0.1:8972/other:stable",
                Some(&two),
            ),
            "Finished true".to_owned(),
        ),
    ] {
        let what = format!("{modifiers:?}");
        assert_eq!(outcome(&client, modifiers).await, expected, "{what}");
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_told_of_the_digest() {
    let two = Release::new(V2).digest();
    for (spec, trouble, expected) in [
        (
            HostSpec::container(V1),
            Trouble::Down,
            "pinging container registry 127.0.0.1:8972: Get \"http://127.0.0.1:8972/v2/\": dial tcp 127.0.0.1:8972: connect: \
             connection refused"
                .to_owned(),
        ),
        (
            HostSpec::fcos_image(V1),
            Trouble::Down,
            "pinging container registry quay.io: Get \"https://quay.io/v2/\": dial tcp 203.0.113.8:443: connect: connection refused"
                .to_owned(),
        ),
        (
            HostSpec::container(V1),
            Trouble::Status(401),
            format!("reading manifest {two} in 127.0.0.1:8972/fcos: authentication required"),
        ),
    ] {
        let host = Host::new(spec).await;
        let change = |remote: &mut Remote| {
            remote.offer(V2);
            remote.trouble = Some(trouble);
        };
        host.machine.root().edit(change).unwrap();
        let client = host.client().await;
        let revision = options([("set-revision", two.clone().into())]);
        let open = "Finished false Preparing import: Fetching manifest: failed to invoke method OpenImage";
        assert_eq!(outcome(&client, revision).await, format!("{open}: {expected}"));
    }
}

/// What says which stream a host is of: the text, or the JSON text that it is in.
async fn stream(host: &Host, key: &str, pointer: &str) -> Option<String> {
    let client = host.client().await;
    let deployment: Dictionary = client.property(OS, "BootedDeployment").await;
    let meta: Dictionary = deployment["base-commit-meta"]
        .try_clone()
        .unwrap()
        .try_into()
        .unwrap();
    let found: String = meta.get(key)?.try_clone().unwrap().try_into().unwrap();
    if pointer.is_empty() {
        return Some(found);
    }
    let found: Value = serde_json::from_str(&found).unwrap();
    found
        .pointer(pointer)
        .map(|text| text.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn hosts_of_fedora_coreos_show_their_stream() {
    let commit = ("fedora-coreos.stream", "");
    let manifest = ("ostree.manifest", "/annotations/fedora-coreos.stream");
    let config = (
        "ostree.container.image-config",
        "/config/Labels/com.coreos.stream",
    );
    let next = FCOS_IMAGE.replace("stable", "next");
    let stable = || Some("stable".to_owned());
    for (spec, expected) in [
        (HostSpec::fcos_branch(V1), [stable(), None, None]),
        (HostSpec::fcos_image(V1), [None, stable(), stable()]),
        (
            HostSpec::following(&next, V1),
            [None, Some("next".to_owned()), Some("next".to_owned())],
        ),
        (HostSpec::ostree(V1), [None, None, None]),
        (HostSpec::container(V1), [None, None, None]),
    ] {
        let what = format!("{spec:?}");
        let host = Host::new(spec).await;
        for ((key, pointer), expected) in [commit, manifest, config].into_iter().zip(expected) {
            assert_eq!(stream(&host, key, pointer).await, expected, "{what} {key}");
        }
    }
}
