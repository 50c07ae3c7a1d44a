use super::*;

const RETRY: Retry = Retry {
    first: SignedDuration::from_mins(1),
    cap: SignedDuration::from_mins(60),
};
const PERIOD: SignedDuration = SignedDuration::from_hours(6);

/// The pauses in minutes after failures of these codes in a row.
fn pauses(looks: &mut Looks, codes: &[Code]) -> Vec<i64> {
    let mut pause = |code: &Code| looks.ended(Err((*code).into()), &RETRY, PERIOD).as_mins();
    codes.iter().map(&mut pause).collect()
}

/// Texts of rpm-ostree 2026.2 and, where marked, of reports about earlier ones.
#[test]
fn failures_are_told_apart_by_their_words() {
    let open = "Preparing import: Fetching manifest: failed to invoke method OpenImage: ";
    let table = [
        (
            Code::NetworkFailed,
            "While pulling fedora/x86_64/coreos/stable: While fetching http://h/summary.sig: [7] Could not connect to server",
        ),
        (
            Code::NetworkFailed,
            "While pulling b: While fetching http://h/summary.sig: Server returned HTTP 500",
        ),
        (
            Code::NetworkFailed,
            "While fetching http://h/config: [6] Could not resolve host: h",
        ),
        (
            Code::NetworkFailed,
            "OPENpinging container registry h: Get \"http://h/v2/\": dial tcp h: connect: connection refused",
        ),
        (
            Code::NetworkFailed,
            "OPENreading manifest stable in h/fcos: received unexpected HTTP status: 500 Internal Server Error",
        ),
        (
            Code::NetworkFailed,
            "OPENreading signatures: Get \"https://h/sigstore/fcos@sha256=1e39/signature-1\": dial tcp: lookup h: no such host",
        ),
        (
            Code::NetworkFailed,
            "Importing GPG keys: While fetching https://h/keys: [7] Could not connect to server",
        ),
        (
            // Packages that are layered come from repositories of their own.
            Code::NetworkFailed,
            "Updating rpm-md repo 'updates': cannot update repo 'updates': Cannot download repomd.xml: All mirrors were tried; Last error: Status code: 404 for https://h/repodata/repomd.xml",
        ),
        (
            Code::SignatureRefused,
            "While pulling b: Commit 1e39: GPG verification enabled, but no signatures found (use gpg-verify=false in remote config to disable)",
        ),
        (
            Code::SignatureRefused,
            "Commit 1e39: Can't check signature: public key not found",
        ),
        (
            Code::SignatureRefused,
            "No detached metadata found for commit 1e39",
        ),
        (
            Code::SignatureRefused,
            "containers-policy.json specifies a default of `insecureAcceptAnything`; refusing usage",
        ),
        (
            Code::SignatureRefused,
            "OPENA signature was required, but no signature exists",
        ),
        (
            Code::SignatureRefused,
            "OPENreading manifest stable in h/fcos: unauthorized: access to the requested resource is not authorized",
        ),
        (
            Code::DiskFull,
            "min-free-space-percent '3%' would be exceeded, at least 12.3 MB requested",
        ),
        (
            Code::DiskFull,
            "Writing content object: No space left on device",
        ),
        (
            Code::LayeringConflict,
            "Could not depsolve transaction; 1 problem detected:\n Problem: conflicting requests",
        ),
        (
            Code::LayeringConflict,
            "Some base packages would be replaced: foo-1-1.noarch",
        ),
        (Code::LayeringConflict, "Packages not found: foo"),
        (
            Code::LayeringConflict,
            "While applying overrides for pkg foo: Could not find package",
        ),
        (
            Code::LayeringConflict,
            "Cannot operate; `LockLayering=true` in configuration.",
        ),
        (
            Code::OlderVersion,
            "While pulling b: Upgrade target revision '92f8' with timestamp 'Sun' is chronologically older than current revision '9b3b'",
        ),
        (
            Code::OriginUnusable,
            "origin unconfigured-state: set up a subscription first",
        ),
        (
            Code::OriginUnusable,
            "Cannot look up version while pinned to commit",
        ),
        (
            Code::OriginUnusable,
            "While pulling b: No such branch 'b' in repository summary",
        ),
        (
            Code::OriginUnusable,
            "OPENreading manifest stable in h/fcos: manifest unknown",
        ),
        (
            Code::OriginUnusable,
            "OPENreading manifest stable in h/fcos: name unknown: repository name not known to registry",
        ),
        // Servers that answer with a status: seen with rpm-ostree 2026.2.
        (
            Code::SignatureRefused,
            "OPENreading manifest stable in h/fcos: authentication required",
        ),
        (
            Code::SignatureRefused,
            "OPENpinging container registry h: StatusCode: 403, \"\"",
        ),
        (
            Code::NetworkFailed,
            "OPENpinging container registry h: received unexpected HTTP status: 500 Internal Server Error",
        ),
        (
            Code::SignatureRefused,
            "While pulling b: While fetching http://h/refs/heads/b: Server returned HTTP 403",
        ),
        (
            Code::NetworkFailed,
            "While pulling b: While fetching http://h/refs/heads/b: Server returned HTTP 404",
        ),
        (
            Code::SignatureRefused,
            "While pulling b: While fetching http://h/summary.sig: Server returned HTTP 401",
        ),
        (
            Code::NetworkFailed,
            "While pulling b: While fetching http://h/summary.sig: Server returned HTTP 503",
        ),
        (
            Code::NetworkFailed,
            "Updating rpm-md repo 'lab': cannot update repo 'lab': Cannot download repomd.xml: Cannot download repodata/repomd.xml: \
             All mirrors were tried; Last error: Status code: 404 for http://h/repodata/repomd.xml (IP: 127.0.0.1)",
        ),
        (Code::DiskFull, "While pulling b: No space left on device"),
        (
            Code::DiskFull,
            "While pulling b: Writing content object: min-free-space-size 921600MB would be exceeded, at least 36.9 kB requested",
        ),
        // What `remote-error` of a deployment says, too.
        (Code::OriginUnusable, "Remote \"fedora\" not found"),
        (Code::StageFailed, "Something that nobody has seen yet"),
    ];
    for (code, text) in table {
        assert_eq!(class(&text.replace("OPEN", open)), code, "{text}");
    }
}

#[test]
fn what_passes_is_tried_again_soon_and_what_lasts_once_a_period() {
    let period = PERIOD.as_mins();
    for code in [
        Code::SignatureRefused,
        Code::OlderVersion,
        Code::LayeringConflict,
        Code::OriginUnusable,
        Code::RpmOstreeDenied,
    ] {
        let mut looks = Looks::default();
        assert_eq!(pauses(&mut looks, &[code; 3]), [period; 3], "{code}");
        assert!(looks.failed());
    }
    for code in [
        Code::NetworkFailed,
        Code::DiskFull,
        Code::StageFailed,
        Code::RpmOstreeUnavailable,
        Code::RpmOstreeBusy,
    ] {
        let mut looks = Looks::default();
        let expected = [1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(pauses(&mut looks, &[code; 8]), expected, "{code}");
        assert_eq!(looks.told().map(|told| told.code), Some(code));
        let told = Some(Reason::from(Code::NothingStaged));
        assert_eq!(looks.ended(Ok(told.clone()), &RETRY, PERIOD), PERIOD);
        assert_eq!(looks.told(), told.as_ref());
        assert!(!looks.failed());
        assert_eq!(pauses(&mut looks, &[code]), [1], "{code} after a success");
    }
}

#[test]
fn a_short_period_bounds_every_pause() {
    let (mut looks, period) = (Looks::default(), SignedDuration::from_secs(90));
    for code in [
        Code::NetworkFailed,
        Code::NetworkFailed,
        Code::OriginUnusable,
    ] {
        assert!(looks.ended(Err(code.into()), &RETRY, period) <= period);
    }
}

#[test]
fn a_daemon_that_dies_of_it_again_and_again_is_left_alone() {
    let mut looks = Looks::default();
    let died = Code::RpmOstreeDied;
    assert_eq!(
        pauses(&mut looks, &[died, died, died, died]),
        [1, 2, 360, 360]
    );
    let mut looks = Looks::default();
    let other = Code::NetworkFailed;
    assert_eq!(pauses(&mut looks, &[died, died, other, died]), [1, 2, 4, 8]);
}

/// Half an hour in simulated time.
#[test]
fn somebody_else_at_work_for_half_an_hour_is_waited_for_and_told() {
    let (mut looks, mut minute, mut tries, mut told) = (Looks::default(), 0, 0, None);
    while minute < 30 {
        minute += looks
            .ended(Err(Code::RpmOstreeBusy.into()), &RETRY, PERIOD)
            .as_mins();
        tries += 1;
        told = told.or(looks.told().map(|_| tries));
    }
    assert_eq!((minute, tries, told), (31, 5, Some(3)));
    assert_eq!(looks.ended(Ok(None), &RETRY, PERIOD), PERIOD);
    assert_eq!(looks.told(), None);
}

#[test]
fn the_first_look_comes_after_the_boot_has_settled() {
    let seconds = SignedDuration::from_secs;
    let table = [
        (Some(0), 0.0, 60),
        (Some(20), 0.0, 40),
        (Some(20), 0.5, 70),
        (Some(59), 1.0, 61),
        (Some(60), 1.0, 0),
        (Some(100_000), 0.5, 0),
        (None, 0.5, 0),
    ];
    for (uptime, chance, expected) in table {
        let pause = first(seconds(60), uptime.map(seconds), chance);
        assert_eq!(pause, seconds(expected), "{uptime:?} {chance}");
    }
}

#[test]
fn a_period_is_spread_by_chance_and_by_no_more_than_the_jitter() {
    let (period, jitter) = (SignedDuration::from_hours(6), SignedDuration::from_mins(30));
    let minutes = |chance| spread(period, jitter, chance).as_mins();
    assert_eq!([0.0, 0.5, 1.0].map(minutes), [360, 375, 390]);
    assert_eq!([-1.0, 7.0].map(minutes), [360, 390]);
    let most = spread(SignedDuration::MAX, SignedDuration::MAX, 1.0);
    assert_eq!(most, SignedDuration::MAX);
}

#[test]
fn another_process_goes_on_with_the_pause_of_the_last() {
    let now: Time = "2026-05-01T12:00:00Z".parse().unwrap();
    let longest = SignedDuration::from_hours(6);
    for (next, left) in [
        ("2026-05-01T11:59:59Z", None),
        ("2026-05-01T12:00:00Z", None),
        ("2026-05-01T12:10:00Z", Some(10)),
        ("2026-05-01T18:00:00Z", Some(360)),
        // The clock went back, or the period is shorter now.
        ("2026-05-01T18:00:01Z", None),
    ] {
        let found = resumed(next.parse().unwrap(), now, longest);
        assert_eq!(found, left.map(SignedDuration::from_mins), "{next}");
    }
}
