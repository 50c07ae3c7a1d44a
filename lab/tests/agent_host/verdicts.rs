//! What came of a reboot, for everything that a host may come up with: the deployments as they are read after the boot, and what the
//! agent concludes.

use cuo_agent::survey::{self, Further};
use cuo_core::agent::Health;
use cuo_core::agent::state::{
    Accepted, Attempt, Backoff, Baseline, Exact, Request, Retry, Stage, State,
};
use cuo_core::agent::{Asked, NodeSeen, Observation, Settings, Staging, step};
use cuo_core::host::Host;
use cuo_core::ids::{BootId, GrantId};
use cuo_core::look::Mode;
use cuo_core::node::{NodeView, SystemLabels};
use cuo_core::raw::RawNode;
use cuo_core::reason::{Code, Reason};
use cuo_core::time::{Now, Tick, Time};
use cuo_core::values::{Field, Outcome, Progress};
use cuo_lab::machine::systemd::FINALIZER;
use cuo_lab::machine::{HostSpec, Reboot};
use jiff::{SignedDuration, Timestamp};

use crate::bench::{Bench, NEW, NEWER, OLD, branch, image, layered};

/// A host with an update staged by the agent and a grant accepted for it.
struct Granted {
    bench: Bench,
    attempt: Attempt,
}

impl Granted {
    async fn new(spec: HostSpec) -> Self {
        let bench = Bench::new(spec).await;
        bench.client().stage(None, |_| ()).await.unwrap();
        Self::of(bench).await
    }

    /// What is pending there, whoever staged it.
    async fn of(bench: Bench) -> Self {
        let host = bench.client().host().await.unwrap();
        let pending = host.pending.unwrap();
        let now = Time::from(Timestamp::now());
        let progress = Progress {
            id: GrantId { seq: 7, salt: 1 },
            identity: pending.identity,
            boot: bench.machine.boot_id().unwrap(),
            accepted: now,
        };
        let baseline = Baseline {
            between: Some([Exact::from(&host.booted), Exact::from(&pending)]),
            was_there: false,
            ..Baseline::lost(Some(host.booted.identity))
        };
        let attempt = Attempt::new(Accepted::bare(progress), baseline);
        Self { bench, attempt }
    }

    /// The reboot was asked for.
    fn asks(&mut self) {
        let at = self.attempt.grant.progress.accepted;
        self.attempt.stage = Stage::Rebooting {
            request: Request { at, up: None },
            drained: None,
        };
    }

    /// The last step before the reboot.
    async fn finalize(&mut self) {
        let pending = self.bench.client().host().await.unwrap().pending.unwrap();
        self.asks();
        self.bench.finalize(&pending).await.unwrap();
    }

    async fn reboot(&mut self, kind: Reboot) {
        self.bench.machine.reboot(kind).await.unwrap();
    }

    /// What the agent concludes now, with the deployments that it reads.
    async fn verdict(&self) -> (Option<(Outcome, Option<Code>)>, Host, State) {
        let host = self.bench.client().host().await.unwrap();
        let state = State {
            adopted: true,
            attempt: Some(self.attempt.clone()),
            ..State::default()
        };
        let boot = self.bench.machine.boot_id().unwrap();
        let decided = step(
            &state,
            &self.seen(boot, &host).await,
            &settings(),
            Now {
                time: Timestamp::now().into(),
                tick: TICK,
            },
        );
        let result = decided.state.result.as_ref();
        let result = result.map(|result| (result.outcome, result.known()));
        (result, host, decided.state)
    }

    async fn seen(&self, boot: BootId, host: &Host) -> Observation {
        let root = self.bench.machine.root().path();
        let survey = survey::look(root, &self.bench.bus(), Further::default()).await;
        let raw = RawNode {
            name: "n1".into(),
            ready: true,
            boot_id: boot.to_string(),
            ..RawNode::default()
        };
        let mut view = NodeView::parse(&raw).unwrap();
        view.agent.progress = Field::Value(self.attempt.grant.progress.clone());
        Observation {
            boot,
            uptime: None,
            host: Ok(host.clone()),
            busy: false,
            node: NodeSeen::Present {
                view: Box::new(view),
                live: false,
            },
            pods: Err(String::new()),
            preflight: None,
            evictions: vec![],
            volumes: None,
            reported: None,
            inhibitors: Ok(vec![]),
            survey,
            system: SystemLabels::default(),
            staging: Staging::Idle,
            check_due: false,
            looked: None,
            skew: None,
            following: None,
            asked: self.attempt.stage.request().map(|_| Asked {
                id: self.attempt.grant.progress.id,
                at: TICK,
                times: 1,
                unlocked: true,
                again: None,
                refused: None,
                busy: None,
                unheard: false,
            }),
        }
    }
}

/// All that happens here happens at one moment.
const TICK: Tick = Tick::START;

fn settings() -> Settings {
    Settings {
        hold: None,
        mode: Mode::Stage,
        retry: Retry {
            first: SignedDuration::from_mins(1),
            cap: SignedDuration::from_mins(60),
        },
        health: Health {
            units: vec![],
            settle: SignedDuration::ZERO,
            deadline: SignedDuration::from_mins(30),
            rollback: false,
        },
        evict_every: SignedDuration::from_secs(5),
        shutdown: SignedDuration::from_mins(10),
        any_kubelet: false,
        allow_downgrade: false,
        state_unusable: None,
    }
}

/// Why no reboot is asked for now, and until when, after the only answer so far, which was `code`.
fn pause(granted: &Granted, host: &Host, state: &State, code: Option<Code>) -> Option<Backoff> {
    let (wanted, found) = (
        &granted.attempt.grant.progress.identity,
        &host.booted.identity,
    );
    let code = code?;
    let text = format!("granted {wanted}, booted {found}: {}", code.means());
    Some(Backoff {
        tries: 1,
        until: state
            .result
            .as_ref()?
            .at
            .later(SignedDuration::from_mins(1)),
        reason: Reason::new(code, text),
    })
}

#[tokio::test]
async fn each_way_to_come_up_after_a_finalization_has_its_verdict() {
    for spec in [branch(), layered(branch()), image()] {
        for (kind, outcome, code, booted, bad) in [
            (Reboot::Clean, Outcome::Done, None, NEW, false),
            (
                Reboot::Fallback,
                Outcome::Failed,
                Some(Code::BootedFallback),
                OLD,
                true,
            ),
            (
                Reboot::RolledBack,
                Outcome::Failed,
                Some(Code::RolledBack),
                OLD,
                true,
            ),
            (
                Reboot::FinalizeFailed,
                Outcome::Aborted,
                Some(Code::FinalizationFailed),
                OLD,
                false,
            ),
            (
                Reboot::PowerCut,
                Outcome::Aborted,
                Some(Code::UpdateLost),
                OLD,
                false,
            ),
        ] {
            let mut granted = Granted::new(spec.clone()).await;
            granted.finalize().await;
            assert_eq!(granted.verdict().await.0, None, "not rebooted yet");
            granted.reboot(kind).await;
            let (result, host, state) = granted.verdict().await;
            assert_eq!(result, Some((outcome, code)), "{kind:?} {host:?}");
            assert_eq!(host.booted.version, booted, "{kind:?}");
            assert_eq!(state.backoff, pause(&granted, &host, &state, code));
            assert_eq!(state.attempt, None, "{kind:?}: the slot");
            // What failed is not tried again; what got lost is staged anew.
            let identity = granted.attempt.grant.progress.identity;
            assert_eq!(state.failed.find(&identity).is_some(), bad, "{kind:?}");
        }
    }
}

/// Before it was asked for the reboot, and after that with rpm-ostreed gone before it could unlock anything.
#[tokio::test]
async fn a_reboot_by_somebody_else_drops_what_is_locked() {
    for spec in [branch(), layered(branch()), image()] {
        for (requested, code) in [(false, Code::ForeignReboot), (true, Code::UpdateLost)] {
            let mut granted = Granted::new(spec.clone()).await;
            if requested {
                granted.asks();
            }
            granted.reboot(Reboot::Clean).await;
            let (result, host, state) = granted.verdict().await;
            assert_eq!(result, Some((Outcome::Aborted, Some(code))));
            assert_eq!(state.backoff, pause(&granted, &host, &state, Some(code)));
            let seen = (&host.booted.version[..], host.pending, state.attempt);
            assert_eq!(seen, (OLD, None, None));
            assert_eq!(state.failed.identities, vec![]);
            granted.bench.client().stage(None, |_| ()).await.unwrap();
            assert_eq!(granted.bench.staged(), Some((NEW.to_owned(), true)));
        }
    }
}

#[tokio::test]
async fn what_was_lost_and_staged_again_is_no_fallback() {
    for spec in [branch(), image()] {
        let mut granted = Granted::new(spec).await;
        granted.finalize().await;
        granted.reboot(Reboot::PowerCut).await;
        granted.bench.client().stage(None, |_| ()).await.unwrap();
        let (result, host, _) = granted.verdict().await;
        assert_eq!(result, Some((Outcome::Aborted, Some(Code::UpdateLost))));
        let pending = host.pending.unwrap();
        assert!(pending.staged && pending.id.ends_with(".1"), "{pending:?}");
    }
}

/// Somebody removes what is staged when the reboot is under way.
#[tokio::test]
async fn what_was_removed_before_the_shutdown_is_lost() {
    for spec in [branch(), image()] {
        let mut granted = Granted::new(spec).await;
        granted.finalize().await;
        granted.bench.set_sysroot(|sysroot| {
            sysroot.deployments.retain(|one| !one.staged);
        });
        granted.reboot(Reboot::Clean).await;
        let (result, host, state) = granted.verdict().await;
        let lost = Some(Code::UpdateLost);
        assert_eq!(result, Some((Outcome::Aborted, lost)));
        assert_eq!(state.backoff, pause(&granted, &host, &state, lost));
    }
}

/// ostree tidies up after it has written the update, and may fail at that.
#[tokio::test]
async fn what_runs_counts_for_more_than_what_ostree_says_of_the_shutdown() {
    for spec in [branch(), image()] {
        let mut granted = Granted::new(spec).await;
        granted.finalize().await;
        granted.reboot(Reboot::Clean).await;
        let unit = "ostree-boot-complete.service";
        granted.bench.set_unit(unit, "failed");
        let (result, host, state) = granted.verdict().await;
        assert_eq!(result, Some((Outcome::Done, None)));
        assert_eq!((&host.booted.version[..], state.backoff), (NEW, None));
    }
}

#[tokio::test]
async fn what_somebody_else_deployed_and_booted_is_taken_over() {
    for spec in [branch(), image()] {
        let mut granted = Granted::new(spec).await;
        granted.bench.publish(NEWER);
        granted.bench.machine.admin_upgrade().await.unwrap();
        granted.reboot(Reboot::Clean).await;
        let (result, host, state) = granted.verdict().await;
        assert_eq!(
            result,
            Some((Outcome::Aborted, Some(Code::ForeignDeployment)))
        );
        assert_eq!(host.booted.version, NEWER);
        assert!(state.failed.identities.is_empty());
    }
}

/// Packages that are layered on what runs, so that the version stays the same.
#[tokio::test]
async fn an_update_of_the_same_version_is_told_from_what_ran_before() {
    for (kind, outcome, code) in [
        (Reboot::Clean, Outcome::Done, None),
        (
            Reboot::Fallback,
            Outcome::Failed,
            Some(Code::BootedFallback),
        ),
        (Reboot::RolledBack, Outcome::Failed, Some(Code::RolledBack)),
        (Reboot::PowerCut, Outcome::Aborted, Some(Code::UpdateLost)),
    ] {
        let spec = HostSpec {
            newest: None,
            ..branch()
        };
        let bench = Bench::new(spec).await;
        bench.set_sysroot(|sysroot| {
            let booted = sysroot.booted().unwrap();
            let (release, origin) = (booted.release.clone(), booted.origin.clone());
            sysroot.stage(release, origin, true);
            sysroot.deployments[0].packages = vec!["htop".into()];
        });
        bench.set_unit(FINALIZER, "active");
        let mut granted = Granted::of(bench).await;
        granted.finalize().await;
        granted.reboot(kind).await;
        let (result, host, state) = granted.verdict().await;
        assert_eq!(result, Some((outcome, code)), "{kind:?} {host:?}");
        assert_eq!(state.failed.identities, vec![], "{kind:?}");
    }
}
