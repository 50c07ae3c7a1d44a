use super::*;

/// 2026.1 did so for every image.
#[test]
fn success_without_a_staged_update_is_told() {
    let unstaged = |version: Option<&str>| {
        let unstaged = version.map(str::to_owned);
        reported(Staged::NoUpdate { unstaged })
    };
    let (result, ours) = unstaged(Some("43.1"));
    let reason = result.unwrap();
    assert_eq!((reason.code, ours), (Code::NothingStaged, None));
    assert!(reason.message.contains("43.1"), "{reason}");
    assert_eq!(unstaged(None), (None, None));
    let image = "ostree-unverified-registry:quay.io/os@sha256:aa";
    for (pin, why) in [
        (
            Pin::Commit("Pinned to commit; no upgrade available".into()),
            "rpm-ostree says \"Pinned to commit; no upgrade available\"".to_owned(),
        ),
        (
            Pin::Digest(image.into()),
            format!(
                "the host follows {image}, and what a digest names never changes; `rpm-ostree rebase` to a tag to get updates"
            ),
        ),
    ] {
        let text = format!("there will be no update: {why}");
        let reason = Reason::new(Code::OriginUnusable, text);
        let staged = reported(Staged::Pinned(pin.clone()));
        assert_eq!(staged, (Some(reason.clone()), None));
        assert_eq!(found(Checked::Pinned(pin)), Some(reason));
    }
}

/// Otherwise a host that is pinned would look as if it got its updates.
#[test]
fn a_look_that_finds_no_way_to_updates_is_one_that_failed() {
    let codes = [
        (Code::OriginUnusable, true),
        (Code::NetworkFailed, true),
        (Code::UpdateAvailable, false),
    ];
    for (code, failed) in codes {
        assert_eq!(fails(&code), failed, "{code}");
    }
}
