//! A revision of a branch, as rpm-ostree 2026.2 was seen to deploy one and as its source and that of libostree 2025.2 say.

use cuo_lab::machine::ostree::{Effect, Fault, Layers, Release, Remote, Stage, Trouble};
use cuo_lab::machine::{HostSpec, Reboot};

use super::client::{
    Dictionary, FETCHED, Host, NOTHING_FETCHED, OS, Options, Peer, V1, V2, V3, options, text, title,
};

const BRANCH: &str = "fedora:fedora/stable/x86_64/iot";

/// What leaves the branch aside, with or without looking through it.
fn revision(revision: &str, skip: bool) -> (Options, Options) {
    let revision = options([("set-revision", revision.to_owned().into())]);
    (revision, options([("skip-branch-check", skip.into())]))
}

/// A host at the first version, whose branch is at the third and has the second as well.
async fn host() -> Host {
    let spec = HostSpec {
        newest: Some(V3.to_owned()),
        offered: vec![V2.to_owned()],
        ..HostSpec::ostree(V1)
    };
    Host::new(spec).await
}

#[tokio::test]
async fn a_commit_is_staged_and_the_branch_stays_followed() {
    let mut host = host().await;
    let client = host.client().await;
    let commit = Release::new(V2).commit();
    let modifiers = options([("set-revision", commit.clone().into())]);
    let all = options([
        ("skip-branch-check", true.into()),
        ("allow-downgrade", false.into()),
        ("lock-finalization", true.into()),
        ("register-driver", "lab".into()),
    ]);
    let (signals, end) = client
        .run("UpdateDeployment", &(modifiers.clone(), all.clone()))
        .await;
    assert_eq!(end, "Finished true");
    let expected = [
        &title("deploy"),
        "ProgressEnd",
        FETCHED,
        "ProgressEnd",
        "TaskBegin Staging deployment",
        "TaskEnd done",
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;
    let staged = host.machine.sysroot().unwrap().staged().cloned().unwrap();
    assert!(staged.locked);
    assert_eq!(
        (staged.identity(), staged.origin.text()),
        (commit.clone(), BRANCH)
    );
    assert_eq!(staged.override_commit, Some(commit.clone()));
    let run = host.machine.root().join("run");
    assert!(run.join("rpm-ostree/update-driver.gv").exists());

    // Nothing of that is on the bus, and the cached update is none of it.
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert!(
        default.keys().all(|key| !key.contains("override-commit")),
        "{default:?}"
    );
    let origin = text(&client, OS, "DefaultDeployment", "origin").await;
    assert_eq!(origin.as_deref(), Some(BRANCH));
    let cached: Dictionary = client.property(OS, "CachedUpdate").await;
    assert_eq!(cached.len(), 0);
    // The local branch is where the commit is.
    let pending = text(&client, OS, "BootedDeployment", "pending-base-version").await;
    assert_eq!(pending.as_deref(), Some(V2));

    let line = ("initiating-command-line", "lab deploy".into());
    let all = all.into_iter().chain([line]).collect::<Options>();
    let (signals, end) = client.run("UpdateDeployment", &(modifiers, all)).await;
    assert_eq!(end, "Finished true");
    let expected = [
        &title("lab deploy"),
        "ProgressEnd",
        NOTHING_FETCHED,
        "ProgressEnd",
        "Message No change.",
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;

    // What runs later is left by a plain upgrade, which forgets that anything was asked for.
    let unlock = |sysroot: &mut cuo_lab::machine::ostree::Sysroot| {
        sysroot.deployments[0].locked = false;
    };
    host.machine.root().edit(unlock).unwrap();
    host.machine.reboot(Reboot::Clean).await.unwrap();
    let client = host.client().await;
    assert_eq!(host.machine.booted_identity().unwrap(), commit);
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(outcome, "Finished true");
    let staged = host.machine.sysroot().unwrap().staged().cloned().unwrap();
    assert_eq!(
        (staged.release.version.as_str(), staged.override_commit),
        (V3, None)
    );
}

#[tokio::test]
async fn the_branch_is_looked_through_unless_told_not_to() {
    const FAR: &str = "40.20240401.3.0";
    let [two, far] = [V2, FAR].map(|version| Release::new(version).commit());
    let nobodys = "a".repeat(64);
    let (not_found, head) = (
        |what: &str| format!("{what} not found in {BRANCH}"),
        Some(V3),
    );
    let object = format!("{}/{}", &nobodys[..2], &nobodys[2..]);
    let validating = format!("Message Validating checksum '{two}'");
    let elsewhere = ["fedora/x86_64/coreos/testing", "fedora/x86_64/coreos/next"];
    let none: &[&str] = &[];
    // Revision, whether the branch is left aside, where the last one is had, what comes of it, and where the local branch is then.
    for (asked, skip, places, expected, local) in [
        (two.clone(), false, None, Ok(Some(validating)), Some(V2)),
        (format!("revision={two}"), true, None, Ok(None), Some(V2)),
        (format!("REVISION={two}"), true, None, Ok(None), Some(V2)),
        (
            format!("version={V2}"),
            true,
            None,
            Ok(Some(format!("Message Resolving version '{V2}'"))),
            Some(V2),
        ),
        (
            V2.to_owned(),
            false,
            None,
            Ok(Some(format!("Message Resolving version '{V2}'"))),
            Some(V2),
        ),
        // Nothing leads to it.
        (
            far.clone(),
            false,
            None,
            Err(not_found(&format!("Checksum {far}"))),
            head,
        ),
        (far.clone(), true, None, Ok(None), Some(FAR)),
        (far.clone(), true, Some(none), Ok(None), Some(FAR)),
        (
            FAR.to_owned(),
            true,
            None,
            Err(not_found(&format!("Version {FAR}"))),
            head,
        ),
        (
            far.clone(),
            true,
            Some(&elsewhere[..]),
            Err(format!(
                "While pulling {far}: Commit {far}: Commit has no requested ref ‘fedora/stable/x86_64/iot’ in ref binding metadata \
                 (‘fedora/x86_64/coreos/next’, ‘fedora/x86_64/coreos/testing’)"
            )),
            None,
        ),
        (
            nobodys.clone(),
            false,
            None,
            Err(not_found(&format!("Checksum {nobodys}"))),
            head,
        ),
        (
            nobodys.clone(),
            true,
            None,
            Err(format!(
                "While pulling {nobodys}: While fetching http://127.0.0.1:8971/remote/objects/{object}.commit: Server returned HTTP 404"
            )),
            None,
        ),
        (
            "revision=abc".to_owned(),
            true,
            None,
            Err("Parsing revision 'revision=abc': Invalid rev abc".to_owned()),
            None,
        ),
        (
            "99.9".to_owned(),
            false,
            None,
            Err(not_found("Version 99.9")),
            head,
        ),
    ] {
        let host = host().await;
        let change = |remote: &mut Remote| match places {
            Some(places) => remote.confine(FAR, places),
            None => remote.offer(FAR),
        };
        host.machine.root().edit(change).unwrap();
        let client = host.client().await;
        let (signals, end) = client
            .run("UpdateDeployment", &revision(&asked, skip))
            .await;
        let what = format!("{asked} {skip} {places:?}");
        let sysroot = host.machine.sysroot().unwrap();
        match expected {
            Ok(said) => {
                assert_eq!(end, "Finished true", "{what}");
                let second = said.unwrap_or_else(|| "ProgressEnd".to_owned());
                assert_eq!(signals[1], second, "{what}");
                let staged = sysroot.staged().unwrap();
                assert_eq!(staged.override_commit, Some(staged.identity()), "{what}");
            }
            Err(text) => {
                assert_eq!(end, format!("Finished false {text}"), "{what}");
                assert_eq!(sysroot.staged(), None, "{what}");
            }
        }
        let found = sysroot.local_ref.as_ref().map(|one| one.version.as_str());
        assert_eq!(found, local, "{what}");
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_told_of_what_was_to_be_pulled() {
    let remote = "http://127.0.0.1:8971/remote";
    let two = Release::new(V2).commit();
    let three = Release::new(V3).commit();
    let unsigned = |commit: &str| {
        format!(
            "Commit {commit}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)"
        )
    };
    let full = "No space left on device";
    // Without looking through the branch, and with that.
    for (trouble, alone, looking) in [
        (
            Trouble::Down,
            Some(format!(
                "While fetching {remote}/config: [7] Could not connect to server"
            )),
            format!("While fetching {remote}/summary.sig: [7] Could not connect to server"),
        ),
        (
            Trouble::Status(404),
            Some(format!(
                "While fetching {remote}/config: Server returned HTTP 404"
            )),
            format!(
                "While fetching {remote}/refs/heads/fedora/stable/x86_64/iot: Server returned HTTP 404"
            ),
        ),
        (
            Trouble::Status(500),
            Some(format!(
                "While fetching {remote}/config: Server returned HTTP 500"
            )),
            format!("While fetching {remote}/summary.sig: Server returned HTTP 500"),
        ),
        (
            Trouble::NoSuchBranch,
            None,
            "No such branch 'fedora/stable/x86_64/iot' in repository summary".to_owned(),
        ),
        (Trouble::Unsigned, Some(unsigned(&two)), unsigned(&three)),
        (
            Trouble::DiskFull,
            Some(full.to_owned()),
            format!("While pulling {two}: {full}"),
        ),
    ] {
        for (skip, text) in [
            (
                true,
                alone.map(|text| format!("While pulling {two}: {text}")),
            ),
            (false, Some(looking)),
        ] {
            let host = host().await;
            let change = |remote: &mut Remote| remote.trouble = Some(trouble);
            host.machine.root().edit(change).unwrap();
            let client = host.client().await;
            let outcome = client
                .outcome("UpdateDeployment", &revision(&two, skip))
                .await;
            let expected = text.map_or("Finished true".to_owned(), |text| {
                format!("Finished false {text}")
            });
            assert_eq!(outcome, expected, "{trouble:?} {skip}");
        }
    }
}

#[tokio::test]
async fn an_older_commit_needs_permission() {
    let host = Host::new(HostSpec::ostree(V2)).await;
    host.machine.offer(V1).unwrap();
    let client = host.client().await;
    let (one, two) = (Release::new(V1).commit(), Release::new(V2).commit());
    let outcome = client
        .outcome("UpdateDeployment", &revision(&one, true))
        .await;
    let refused = format!(
        "Finished false While pulling {one}: Upgrade target revision '{one}' with timestamp 'Mon Jan \u{2007}1 10:00:00 2024' is \
         chronologically older than current revision '{two}' with timestamp 'Thu Feb \u{2007}1 10:00:00 2024'; use --allow-downgrade to permit"
    );
    assert_eq!(outcome, refused);
    client.wait_free().await;
    // `Deploy` needs none, unless it is refused.
    let refuse = options([
        ("allow-downgrade", false.into()),
        ("skip-branch-check", true.into()),
    ]);
    let outcome = client.outcome("Deploy", &(one.clone(), refuse)).await;
    assert_eq!(outcome, refused);
    client.wait_free().await;
    let outcome = client.outcome("Deploy", &(one, Options::new())).await;
    assert_eq!(outcome, "Finished true");
}

#[tokio::test]
async fn equal_calls_join_and_others_are_busy() {
    let host = host().await;
    let [two, three] = [V2, V3].map(|version| Release::new(version).commit());
    let (one, other) = (host.client().await, host.client().await);
    let address = one
        .begin("UpdateDeployment", &revision(&two, true))
        .await
        .unwrap();
    let joined = other.begin("UpdateDeployment", &revision(&two, true)).await;
    assert_eq!(joined, Ok(address.clone()));
    for different in [revision(&three, true), revision(&two, false)] {
        let busy = other
            .begin("UpdateDeployment", &different)
            .await
            .unwrap_err();
        assert!(
            busy.contains("Transaction in progress: new-deployment"),
            "{busy}"
        );
    }
    let first = Peer::connect(&address).await;
    assert!(first.start().await);
    let second = Peer::connect(&address).await;
    assert!(!second.start().await);
    assert_eq!(first.until_the_end().await.1, "Finished true");
    assert_eq!(second.until_the_end().await.1, "Finished true");
}

#[tokio::test]
async fn it_is_interrupted_as_any_other_update() {
    let two = Release::new(V2).commit();
    for (stage, effect, end, left) in [
        (Stage::Pull, Effect::Crash, "EOF", None),
        (
            Stage::Deploy,
            Effect::Fail("Out of luck".to_owned()),
            "Finished false Out of luck",
            None,
        ),
        (Stage::Staged, Effect::Crash, "EOF", Some(V2)),
    ] {
        let host = host().await;
        let fault = Fault::once("UpdateDeployment", stage, effect);
        host.machine.inject(fault).unwrap();
        let client = host.client().await;
        let address = client
            .begin("UpdateDeployment", &revision(&two, true))
            .await
            .unwrap();
        let mut peer = Peer::connect(&address).await;
        peer.start_anyhow();
        assert_eq!(peer.finish().await.1, end, "{stage:?}");
        peer.leave().await;
        let sysroot = host.machine.sysroot().unwrap();
        let staged = sysroot.staged().map(|one| one.release.version.as_str());
        assert_eq!(staged, left, "{stage:?}");
        client.wait_free().await;
        let outcome = client
            .outcome("UpdateDeployment", &revision(&two, true))
            .await;
        assert_eq!(outcome, "Finished true", "{stage:?}");
    }

    let host = host().await;
    let slow = |faults: &mut cuo_lab::machine::ostree::Faults| faults.pace.pull = 60_000;
    host.machine.root().edit(slow).unwrap();
    let client = host.client().await;
    let address = client
        .begin("UpdateDeployment", &revision(&two, true))
        .await
        .unwrap();
    let peer = Peer::connect(&address).await;
    assert!(peer.start().await);
    peer.cancel().await;
    let expected = format!("Finished false While pulling {two}: Operation was cancelled");
    assert_eq!(peer.until_the_end().await.1, expected);
}

#[tokio::test]
async fn layered_packages_go_along() {
    let spec = HostSpec {
        offered: vec![V2.to_owned()],
        layered: vec!["lab-layer".to_owned()],
        ..HostSpec::ostree(V1)
    };
    let host = Host::new(spec).await;
    let client = host.client().await;
    let two = Release::new(V2).commit();
    let trouble = |remote: &mut Remote| remote.layers = Some(Layers::NoPackages);
    host.machine.root().edit(trouble).unwrap();
    let outcome = client
        .outcome("UpdateDeployment", &revision(&two, true))
        .await;
    assert_eq!(outcome, "Finished false Packages not found: lab-layer");
    client.wait_free().await;
    let mend = |remote: &mut Remote| remote.layers = None;
    host.machine.root().edit(mend).unwrap();
    let outcome = client
        .outcome("UpdateDeployment", &revision(&two, true))
        .await;
    assert_eq!(outcome, "Finished true");
    let staged = host.machine.sysroot().unwrap().staged().cloned().unwrap();
    assert_eq!(staged.packages, ["lab-layer"]);
    assert_ne!(staged.checksum(), two);
    let base = text(&client, OS, "DefaultDeployment", "base-checksum").await;
    assert_eq!(base, Some(two));
}
