//! Looking for updates: when, what a failure is, and when to try again.

use jiff::SignedDuration;

use crate::agent::state::Retry;
use crate::reason::{Code, Reason};

/// What to do about updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Download and stage them.
    #[default]
    Stage,
    /// Tell of them. What somebody else deploys is announced and booted as usual.
    Check,
}

/// The class of a failure, by the words in which rpm-ostree tells of it: it has neither codes nor names for what goes wrong in a
/// transaction.
pub fn class(text: &str) -> Code {
    let text = text.to_lowercase();
    let classes = CLASSES.iter();
    let found = classes
        .filter(|(_, words)| words.iter().any(|word| text.contains(word)))
        .map(|(code, _)| *code)
        .next();
    found.unwrap_or(Code::StageFailed)
}

/// In this order, for what can't be fetched quotes much else.
const CLASSES: &[(Code, &[&str])] = &[
    (
        Code::DiskFull,
        &[
            "min-free-space",
            "no space left on device",
            "disk quota exceeded",
        ],
    ),
    (
        Code::OlderVersion,
        &[
            "chronologically older",
            "while checking against deployment timestamp",
        ],
    ),
    (
        Code::LayeringConflict,
        &[
            "could not depsolve",
            "base packages would be replaced",
            "packages not found",
            "while applying overrides",
            "locklayering",
        ],
    ),
    (
        Code::SignatureRefused,
        &[
            "gpg",
            "public key not found",
            "signature",
            "no detached metadata",
            "refusing usage",
            "rejected by policy",
            "unauthorized",
            "authentication required",
            "access to the resource is denied",
            "http 401",
            "http 403",
            "status: 401",
            "status: 403",
        ],
    ),
    (
        Code::OriginUnusable,
        &[
            "unconfigured-state",
            "pinned to commit",
            "no such branch",
            "manifest unknown",
            "invalid reference format",
            "not found in ",
            "no such remote",
        ],
    ),
    (
        Code::NetworkFailed,
        &[
            "connect to server",
            "connection refused",
            "connection reset",
            "connection timed out",
            "resolve host",
            "no such host",
            "no route to host",
            "network is unreachable",
            "temporary failure",
            "timed out",
            "timeout",
            "unexpected eof",
            "returned http",
            "http status",
            "while fetching",
            "fetching manifest",
            "pinging container registry",
            "tls",
        ],
    ),
];

/// What waits for a person, the remote or the configuration: trying again soon would only burden the remote.
pub fn lasts(code: Code) -> bool {
    matches!(
        code,
        Code::SignatureRefused
            | Code::OlderVersion
            | Code::LayeringConflict
            | Code::OriginUnusable
            | Code::RpmOstreeDenied
    )
}

/// How often rpm-ostreed may die of one thing in a row before it is left alone for a period.
const DEATHS: u32 = 3;
/// How often in a row somebody else may be at work before it is told: most work of others is over within a minute.
const PATIENCE: u32 = 3;

/// The looks so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looks {
    failures: u32,
    /// How many of the last failures are of the same code.
    alike: u32,
    last: Option<Reason>,
}

impl Looks {
    /// Takes the end of a look in: `Ok` with what is to be told though nothing failed, or `Err` with what failed. Gives the pause until
    /// the next, where `period` is what would be due.
    pub fn ended(
        &mut self,
        result: Result<Option<Reason>, Reason>,
        retry: &Retry,
        period: SignedDuration,
    ) -> SignedDuration {
        match result {
            Ok(told) => {
                (self.failures, self.alike, self.last) = (0, 0, told);
                period
            }
            Err(reason) => {
                let alike = self.failures > 0
                    && self
                        .last
                        .as_ref()
                        .is_some_and(|last| last.code == reason.code);
                self.alike = if alike {
                    self.alike.saturating_add(1)
                } else {
                    1
                };
                self.failures = self.failures.saturating_add(1);
                let died = reason.code == Code::RpmOstreeDied && self.alike >= DEATHS;
                let rests = died || lasts(reason.code);
                self.last = Some(reason);
                if rests {
                    return period;
                }
                retry.pause(self.failures).min(period)
            }
        }
    }

    /// What is to be told.
    pub fn told(&self) -> Option<&Reason> {
        let busy = |reason: &Reason| reason.code == Code::RpmOstreeBusy && self.alike < PATIENCE;
        self.last.as_ref().filter(|last| !busy(last))
    }

    /// The last look failed, so something that changed on the host is worth another one at once.
    pub fn failed(&self) -> bool {
        self.failures > 0
    }
}

/// The pause before the first look, on a host that has been up for `uptime`: `start` after the boot, and at most as much again, by
/// `chance` between 0 and 1, so that hosts that are switched on together do not ask all at once.
pub fn first(start: SignedDuration, uptime: Option<SignedDuration>, chance: f64) -> SignedDuration {
    let Some(uptime) = uptime.filter(|uptime| *uptime < start) else {
        return SignedDuration::ZERO;
    };
    let more = start.unsigned_abs().mul_f64(chance.clamp(0.0, 1.0));
    let more = SignedDuration::try_from(more).unwrap_or(SignedDuration::ZERO);
    start.saturating_add(more).saturating_sub(uptime)
}

#[cfg(test)]
mod tests {
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
}
