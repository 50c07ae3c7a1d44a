//! Checks, updates and the life of their transactions, as transcripts of rpm-ostree 2026.2 show them.

use cuo_lab::machine::ostree::{Faults, Origin, Release, Remote, texts};
use cuo_lab::machine::{HostSpec, OriginKind, Reboot};

use super::client::{
    Client, Dictionary, FETCHED, FREED, Host, NOTHING_FETCHED, OS, Options, Peer, V1, V2, V3,
    cached, options, text, title,
};

#[tokio::test]
async fn a_branch_is_checked_and_staged() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let client = host.client().await;
    let mut changes = client.watch_properties().await;

    let mut peer = Peer::connect(&client.check().await).await;
    assert_eq!(
        changes.next().await,
        "ActiveTransaction ActiveTransactionPath"
    );
    assert!(peer.start().await);
    let (signals, end) = peer.finish().await;
    let message = "Message 1 metadata, 0 content objects fetched; 907 B transferred in 0 seconds; 0\u{a0}bytes content written";
    assert_eq!(
        signals,
        [&title("upgrade (check only)"), message, "ProgressEnd"]
    );
    assert_eq!(end, "Finished true");
    // The stateroot knows before Finished, the sysroot after it.
    let first = "BootedDeployment CachedUpdate DefaultDeployment HasCachedUpdateRpmDiff";
    assert_eq!(changes.next().await, first);
    assert_eq!(changes.next().await, "Deployments");
    assert_eq!(
        cached(&client, "checksum").await,
        Some(Release::new(V2).commit())
    );
    assert_eq!(cached(&client, "version").await.as_deref(), Some(V2));
    assert_eq!(
        cached(&client, "ref-has-new-commit").await.as_deref(),
        Some("true")
    );
    let pending = text(&client, OS, "BootedDeployment", "pending-base-version").await;
    assert_eq!(pending.as_deref(), Some(V2));
    peer.leave().await;
    assert_eq!(
        changes.next().await,
        "ActiveTransaction ActiveTransactionPath"
    );

    let lock = options([
        ("lock-finalization", true.into()),
        ("initiating-command-line", "lab stage".into()),
    ]);
    let (signals, end) = client
        .run("UpdateDeployment", &(Options::new(), lock))
        .await;
    assert_eq!(end, "Finished true");
    let expected = [
        &title("lab stage"),
        FETCHED,
        "ProgressEnd",
        "TaskBegin Staging deployment",
        "TaskEnd done",
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;
    let default: Dictionary = client.property(OS, "DefaultDeployment").await;
    assert_eq!(default["staged"].to_string(), "true");
    assert!(!default.contains_key("finalization-locked"));
    assert!(host.machine.sysroot().unwrap().staged().unwrap().locked);
    let id = format!("fedora-coreos-{}.0", Release::new(V2).commit());
    assert_eq!(cached(&client, "deployment").await, Some(id));

    // Nothing new: what is staged stays as it is, the branch is only looked at.
    let (signals, end) = client.run("Upgrade", &(Options::new(),)).await;
    assert_eq!(end, "Finished true");
    let expected = [
        &title("upgrade"),
        NOTHING_FETCHED,
        "ProgressEnd",
        "Message No upgrade available.",
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;

    // A later check forgets that something is staged.
    let peer = Peer::connect(&client.check().await).await;
    assert!(peer.start().await);
    assert_eq!(peer.until_the_end().await.1, "Finished true");
    client.wait_free().await;
    client.reload().await;
    assert_eq!(cached(&client, "deployment").await, None);
    assert_eq!(cached(&client, "version").await.as_deref(), Some(V2));

    // A newer one replaces it.
    host.machine.publish(V3).unwrap();
    let (signals, _) = client.run("Upgrade", &(Options::new(),)).await;
    assert_eq!(signals.last().unwrap(), FREED);
    let versions: Vec<_> = host.machine.sysroot().unwrap().deployments;
    let versions: Vec<_> = versions
        .into_iter()
        .map(|one| one.release.version)
        .collect();
    assert_eq!(versions, [V3, V1]);
}

#[tokio::test]
async fn an_image_is_checked_late_and_then_stuck() {
    let host = Host::new(HostSpec::container(V1)).await;
    let (one, two, three) = (Release::new(V1), Release::new(V2), Release::new(V3));
    host.machine.publish(V2).unwrap();
    let client = host.client().await;

    let mut peer = Peer::connect(&client.check().await).await;
    assert!(peer.start().await);
    let (signals, end) = peer.finish().await;
    assert_eq!(signals, [&title("upgrade (check only)"), "ProgressEnd"]);
    assert_eq!(end, "Finished true");
    // Nothing to see while the peer is there, unless asked to reload.
    assert_eq!(cached(&client, "version").await, None);
    client.reload().await;
    assert_eq!(cached(&client, "version").await.as_deref(), Some(V2));
    assert_eq!(client.active().await.0, "AutomaticUpdateTrigger");
    assert_eq!(cached(&client, "checksum").await, Some(one.merge_commit()));
    assert_eq!(
        cached(&client, "ref-has-new-commit").await.as_deref(),
        Some("false")
    );
    let any_digest: Dictionary = client.property(OS, "CachedUpdate").await;
    assert!(
        any_digest
            .values()
            .all(|value| !value.to_string().contains(&two.digest()))
    );
    peer.leave().await;
    client.wait_free().await;

    let (signals, end) = client.run("Upgrade", &(Options::new(),)).await;
    assert_eq!(end, "Finished true");
    let reference = "ostree-unverified-registry:127.0.0.1:8972/fcos:stable";
    let chunk: String = two.merge_commit().chars().take(21).collect();
    let expected = [
        title("upgrade"),
        format!("Message Pulling manifest: {reference}"),
        format!("Message Importing: {reference} (digest: {})", two.digest()),
        "Message ostree chunk layers needed: 1 (1.1\u{a0}MB)".to_owned(),
        format!("TaskBegin [1/1] Fetching ostree chunk {chunk} (1.1\u{a0}MB)"),
        "TaskEnd done".to_owned(),
        "ProgressEnd".to_owned(),
        "TaskBegin Staging deployment".to_owned(),
        "TaskEnd done".to_owned(),
    ];
    assert_eq!(signals, expected);
    client.wait_free().await;
    assert_eq!(cached(&client, "version").await, None);
    assert_eq!(cached(&client, "checksum").await, Some(two.merge_commit()));
    let digest = text(
        &client,
        OS,
        "DefaultDeployment",
        "container-image-reference-digest",
    )
    .await;
    assert_eq!(digest, Some(two.digest()));

    // The tag moves on, the check does not; Upgrade does.
    host.machine.publish(V3).unwrap();
    let peer = Peer::connect(&client.check().await).await;
    assert!(peer.start().await);
    assert_eq!(peer.until_the_end().await.1, "Finished true");
    client.wait_free().await;
    client.reload().await;
    assert_eq!(cached(&client, "version").await.as_deref(), Some(V2));
    assert_eq!(
        client.outcome("Upgrade", &(Options::new(),)).await,
        "Finished true"
    );
    client.wait_free().await;
    let staged = host.machine.sysroot().unwrap().staged().cloned().unwrap();
    assert_eq!(staged.identity(), three.digest());
}

#[tokio::test]
async fn a_deployment_is_picked_by_revision() {
    let (two, nothing) = (Release::new(V2), "a".repeat(64));
    let ostree = Origin::parse("fedora:fedora/stable/x86_64/iot");
    let image = Origin::parse("ostree-unverified-registry:127.0.0.1:8972/fcos:stable");
    let digest = format!("sha256:{nothing}");
    let failed = |text: String| format!("Finished false {text}");
    let done = "Finished true".to_owned();
    let cases = [
        (HostSpec::ostree(V1), two.commit(), done.clone()),
        (
            HostSpec::ostree(V1),
            format!("revision={}", two.commit()),
            done.clone(),
        ),
        (HostSpec::ostree(V1), format!("version={V2}"), done.clone()),
        (HostSpec::ostree(V1), V2.to_owned(), done.clone()),
        (
            HostSpec::ostree(V1),
            nothing.clone(),
            failed(texts::commit_not_found(&nothing, &ostree)),
        ),
        (
            HostSpec::ostree(V1),
            "99.9".to_owned(),
            failed(texts::version_not_found("99.9", &ostree)),
        ),
        (HostSpec::container(V1), two.digest(), done),
        (
            HostSpec::container(V1),
            digest.clone(),
            failed(texts::manifest_unknown(&digest, &image)),
        ),
        (
            HostSpec::container(V1),
            V2.to_owned(),
            failed(texts::invalid_reference()),
        ),
    ];
    for (spec, revision, expected) in cases {
        let host = Host::new(spec).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        let outcome = client
            .outcome("Deploy", &(revision.clone(), Options::new()))
            .await;
        assert_eq!(outcome, expected, "{revision}");
        let staged = host
            .machine
            .sysroot()
            .unwrap()
            .staged()
            .map(|one| one.release.version.clone());
        let staged_it = outcome == "Finished true";
        assert_eq!(staged, staged_it.then(|| V2.to_owned()), "{revision}");
        // Only a stage by branch or tag writes it.
        assert_eq!(cached(&client, "deployment").await, None);
    }
}

/// What runs, what is staged, and what a check leaves to be seen.
async fn looks(host: &Host, client: &Client) -> (String, Option<String>, Option<String>) {
    let peer = Peer::connect(&client.check().await).await;
    assert!(peer.start().await);
    let (signals, end) = peer.until_the_end().await;
    assert_eq!(signals, [&title("upgrade (check only)"), "ProgressEnd"]);
    assert_eq!(end, "Finished true");
    client.wait_free().await;
    client.reload().await;
    let sysroot = host.machine.sysroot().unwrap();
    let staged = sysroot.staged().map(|one| one.release.version.clone());
    let booted = sysroot.booted().unwrap().release.version.clone();
    (booted, staged, cached(client, "version").await)
}

#[tokio::test]
async fn an_origin_by_digest_has_nothing_newer_and_says_nothing() {
    let mut host = Host::new(HostSpec::container(V1)).await;
    host.machine.publish(V2).unwrap();
    let image = "ostree-unverified-registry:127.0.0.1:8972/fcos";
    let pinned = format!("{image}@{}", Release::new(V2).digest());
    let client = host.client().await;
    let rebase = options([("set-refspec", pinned.clone().into())]);
    let rebase = (rebase, Options::new());
    let outcome = client.outcome("UpdateDeployment", &rebase).await;
    assert_eq!(outcome, "Finished true");
    client.wait_free().await;
    host.machine.reboot(Reboot::Clean).await.unwrap();
    let client = host.client().await;
    let key = "container-image-reference";
    let reference = text(&client, OS, "BootedDeployment", key).await;
    assert_eq!(reference, Some(pinned.clone()));

    // Newer, and then gone from where the host never looks.
    let nothing = (V2.to_owned(), None, None);
    for version in [V2, V3] {
        host.machine.publish(version).unwrap();
        assert_eq!(looks(&host, &client).await, nothing);
        let (signals, end) = client.run("Upgrade", &(Options::new(),)).await;
        let pulled = format!("Message Pulling manifest: {pinned}");
        let same = "Message No upgrade available.";
        assert_eq!(signals, [&title("upgrade"), &*pulled, "ProgressEnd", same]);
        assert_eq!(end, "Finished true");
        client.wait_free().await;
    }
    assert_eq!(looks(&host, &client).await, nothing);
    let gone = |remote: &mut Remote| remote.releases.retain(|one| one.version == V3);
    host.machine.root().edit(gone).unwrap();
    let unknown = texts::manifest_unknown(&Release::new(V2).digest(), &Origin::parse(&pinned));
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(outcome, format!("Finished false {unknown}"));
}

#[tokio::test]
async fn a_deployment_by_digest_is_left_by_the_next_upgrade() {
    let mut host = Host::new(HostSpec::container(V1)).await;
    host.machine.publish(V2).unwrap();
    host.machine.publish(V3).unwrap();
    let client = host.client().await;
    let deploy = (Release::new(V2).digest(), Options::new());
    assert_eq!(client.outcome("Deploy", &deploy).await, "Finished true");
    client.wait_free().await;
    host.machine.reboot(Reboot::Clean).await.unwrap();
    let client = host.client().await;
    let key = "container-image-reference";
    let reference = text(&client, OS, "BootedDeployment", key).await;
    let tag = "ostree-unverified-registry:127.0.0.1:8972/fcos:stable";
    assert_eq!(reference.as_deref(), Some(tag));

    let found = (V2.to_owned(), None, Some(V3.to_owned()));
    assert_eq!(looks(&host, &client).await, found);
    let outcome = client.outcome("Upgrade", &(Options::new(),)).await;
    assert_eq!(outcome, "Finished true");
    let order: Vec<_> = host.machine.sysroot().unwrap().deployments;
    let order = order.into_iter().map(|one| one.release.version);
    assert_eq!(order.collect::<Vec<_>>(), [V3, V2, V1]);
}

/// Of an image it is noticed once it was fetched.
#[tokio::test]
async fn going_back_needs_permission() {
    let (one, two) = (Release::new(V1), Release::new(V2));
    for (spec, prefix, [old, new], revision) in [
        (
            HostSpec::ostree(V2),
            "While pulling fedora/stable/x86_64/iot",
            [one.commit(), two.commit()],
            one.commit(),
        ),
        (
            HostSpec::container(V2),
            "While checking against deployment timestamp",
            [one.merge_commit(), two.merge_commit()],
            one.digest(),
        ),
    ] {
        let image = spec.origin == OriginKind::Container;
        let host = Host::new(spec).await;
        host.machine.publish(V1).unwrap();
        let client = host.client().await;
        let refused = format!(
            "Finished false {prefix}: Upgrade target revision '{old}' with timestamp 'Mon Jan \u{2007}1 10:00:00 2024' is chronologically \
             older than current revision '{new}' with timestamp 'Thu Feb \u{2007}1 10:00:00 2024'; use --allow-downgrade to permit"
        );
        let allow = options([("allow-downgrade", true.into())]);
        let revision = options([("set-revision", revision.into())]);
        let (signals, end) = client.run("Upgrade", &(Options::new(),)).await;
        assert_eq!(end, refused);
        let last = if image {
            "TaskEnd done"
        } else {
            &title("upgrade")
        };
        assert_eq!(signals.last().unwrap(), last);
        client.wait_free().await;
        let modified = (revision.clone(), Options::new());
        let outcome = client.outcome("UpdateDeployment", &modified).await;
        // A commit that is asked for is what is pulled.
        let asked = refused.replace(
            "pulling fedora/stable/x86_64/iot",
            &format!("pulling {old}"),
        );
        assert_eq!(outcome, asked);
        client.wait_free().await;
        assert_eq!(host.machine.sysroot().unwrap().staged(), None);

        // A check of an image looks at no time.
        let peer = Peer::connect(&client.check().await).await;
        assert!(peer.start().await);
        let end = peer.until_the_end().await.1;
        assert_eq!(end, if image { "Finished true" } else { &refused });
        client.wait_free().await;
        let outcome = client.outcome("UpdateDeployment", &(revision, allow)).await;
        assert_eq!(outcome, "Finished true");
    }
}

#[tokio::test]
async fn modes_and_drivers() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let trigger = async |mode: &'static str| {
        let mode = options([("mode", mode.into())]);
        client
            .call::<_, (bool, String)>(OS, "AutomaticUpdateTrigger", &(mode,))
            .await
    };
    assert_eq!(trigger("none").await, Ok((false, String::new())));
    assert_eq!(trigger("auto").await, Ok((false, String::new())));
    let bogus = format!(
        "{}: Invalid value for AutomaticUpdatePolicy: 'bogus'",
        texts::FAILED
    );
    assert_eq!(trigger("bogus").await, Err(bogus));

    let driver = options([("register-driver", "lab".into())]);
    let (signals, end) = client.run("Deploy", &("", driver.clone())).await;
    assert_eq!(end, "Finished true");
    assert_eq!(
        signals.last().unwrap(),
        "Message Empty string revision found; registering update driver only"
    );
    let path = host.machine.root().join("run/rpm-ostree/update-driver.gv");
    let content = std::fs::read(path).unwrap();
    assert!(
        content
            .windows(17)
            .any(|window| window == b"cuo-agent.service")
    );
    client.wait_free().await;
    host.machine
        .root()
        .edit(|faults: &mut Faults| faults.caller_unit = None)
        .unwrap();
    let end = client.outcome("Deploy", &("", driver)).await;
    assert_eq!(end, "Finished false could not find caller systemd unit");
}
