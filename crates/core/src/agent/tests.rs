//! Single steps in a small world; the search through all interleavings is in `tests/explore.rs`.

mod again;
mod assigned;
mod drain;
mod health;
mod left;
mod looks;
mod plain;
mod reboots;
mod rivals;
mod rollback;
mod same;
mod staging;
mod transitions;
mod unlocked;
mod unwritable;
mod unwritten;
mod version;

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::state::{Backoff, Retry};
use super::*;
use crate::drain::{Answer, EvictionTry, How, RawPod, Removal};
use crate::host::{Deployment, Host, Inhibitor};
use crate::ids::{GrantId, ReleaseId};
use crate::look::Mode;
use crate::node::SystemLabels;
use crate::node::tests::published::publish;
use crate::raw::RawNode;
use crate::reason::AnyCode;
use crate::survey::{StagedNote, Survey};
use crate::time::Tick;
use crate::values::{
    Cordoned, DrainPolicy, Failure, Failures, Field, Grant, Outcome, RebootResult, Status,
};

const OLD: ReleaseId = ReleaseId::Commit([1; 32]);
const NEW: ReleaseId = ReleaseId::Commit([2; 32]);
const OTHER: ReleaseId = ReleaseId::Commit([3; 32]);
const BOOT: BootId = BootId::from_bytes([1; 16]);
const NEXT: BootId = BootId::from_bytes([2; 16]);
const ID: GrantId = GrantId { seq: 7, salt: 1 };

fn at(second: i64) -> Time {
    Time::from_second(second)
}

/// What the agent's own clock shows at that second, if nobody has set that of the wall.
fn tick(second: i64) -> Tick {
    Tick::after(std::time::Duration::from_secs(second.try_into().unwrap()))
}

/// The API server's answer.
fn answer(refused: Option<&str>) -> Answer {
    refused.map_or(Answer::Accepted, |why| Answer::Refused(why.to_owned()))
}

fn deployment(identity: ReleaseId, staged: bool) -> Deployment {
    Deployment {
        id: format!("os-{}.0", identity.short()),
        identity,
        checksum: identity.short(),
        version: identity.short(),
        staged,
        published: 0,
    }
}

fn settings() -> Settings {
    Settings {
        hold: None,
        mode: Mode::Stage,
        retry: Retry {
            first: SignedDuration::from_secs(60),
            cap: SignedDuration::from_secs(600),
        },
        health: Health {
            units: vec![],
            settle: SignedDuration::ZERO,
            deadline: SignedDuration::from_hours(1),
            rollback: false,
        },
        evict_every: SignedDuration::from_secs(5),
        shutdown: SignedDuration::from_secs(300),
        any_kubelet: false,
        allow_downgrade: false,
        state_unusable: None,
    }
}

/// A host with its Node; writes land at once.
struct World {
    state: State,
    seen: Observation,
    settings: Settings,
    now: i64,
    /// By how much the wall clock was set.
    ahead: i64,
    /// Why the API server would not evict any pod.
    refuses: Option<String>,
    /// The transitions so far.
    ways: BTreeSet<(Place, Place)>,
}

impl World {
    /// `OLD` runs, `NEW` is staged.
    fn new() -> Self {
        let raw = RawNode {
            name: "n1".into(),
            ready: true,
            boot_id: BOOT.to_string(),
            ..RawNode::default()
        };
        Self {
            state: State::default(),
            seen: Observation {
                boot: BOOT,
                uptime: None,
                host: Ok(Host {
                    booted: deployment(OLD, false),
                    pending: Some(deployment(NEW, true)),
                    others: vec![],
                }),
                busy: false,
                node: NodeSeen::Present {
                    view: Box::new(NodeView::parse(&raw).unwrap()),
                    live: false,
                },
                pods: Ok(vec![]),
                preflight: None,
                evictions: vec![],
                volumes: None,
                reported: None,
                inhibitors: Ok(vec![]),
                survey: Ok(Survey::default()),
                system: SystemLabels::default(),
                staging: Staging::Idle,
                check_due: false,
                looked: None,
                skew: None,
                following: None,
                asked: None,
            },
            settings: settings(),
            now: 1000,
            ahead: 0,
            refuses: None,
            ways: BTreeSet::new(),
        }
    }

    /// What the clocks show.
    fn clocks(&self) -> Now {
        Now {
            time: at(self.now),
            tick: tick(self.now - self.ahead),
        }
    }

    /// When it is to be stepped again, in seconds of the wall clock.
    fn wakes(&mut self) -> Option<i64> {
        let now = self.now;
        self.run().wake.map(|wake| now + wake.as_secs())
    }

    fn node(&mut self) -> &mut NodeView {
        match &mut self.seen.node {
            NodeSeen::Present { view, .. } => view,
            other => panic!("no node: {other:?}"),
        }
    }

    fn host(&mut self) -> &mut Host {
        self.seen.host.as_mut().unwrap()
    }

    fn grant(&mut self) {
        self.node().operator.grant = Field::Value(Grant {
            id: ID,
            identity: NEW,
            boot: BOOT,
            issued: at(1000),
            deadline: at(1300),
            pods: Default::default(),
            cordoned: Default::default(),
            drain: DrainPolicy {
                timeout_seconds: 600,
                ..DrainPolicy::default()
            },
        });
    }

    /// The grant on the Node.
    fn granted(&mut self) -> &mut Grant {
        match &mut self.node().operator.grant {
            Field::Value(grant) => grant,
            other => panic!("no grant: {other:?}"),
        }
    }

    /// Steps, carrying out what concerns the Node, until something else is to be done.
    fn run(&mut self) -> Step {
        for _ in 0..20 {
            let mut seen = self.seen.clone();
            let node = match &seen.node {
                NodeSeen::Present { view, .. } => Some(&**view),
                NodeSeen::Unknown(_) | NodeSeen::Absent => None,
            };
            if !wants_pods(&self.state, node, &seen.boot, seen.asked.as_ref()) {
                seen.pods = Err(String::new());
            }
            let step = step(&self.state, &seen, &self.settings, self.clocks());
            for way in step.course.windows(2) {
                assert!(way[0].leads_to(way[1]), "{:?}", step.course);
                self.ways.insert((way[0], way[1]));
            }
            self.state = step.state.clone();
            if let NodeSeen::Present { live, .. } = &mut self.seen.node {
                *live = false;
            }
            match &step.act {
                Act::Publish(_, want) => {
                    let found = self.node().agent.reason.value().cloned();
                    if found != want.reason.clone().map(Reason::read) {
                        let blocked = step.drain.blocked.iter();
                        self.seen.reported = Some(Reported {
                            at: self.clocks().tick,
                            reason: want.reason.clone(),
                            blocked: blocked.map(|one| one.pod.clone()).collect(),
                        });
                    }
                    publish(want, self.node());
                }
                Act::Preflight { grant, pods } => self.answers(*grant, pods),
                Act::Confirm => match &mut self.seen.node {
                    NodeSeen::Present { live, .. } => *live = true,
                    other => panic!("no node to confirm: {other:?}"),
                },
                _ => return step,
            }
        }
        panic!("the steps do not settle");
    }

    fn answers(&mut self, grant: GrantId, pods: &[RawPod]) {
        let tick = self.clocks().tick;
        let answers = pods.iter().map(|pod| EvictionTry {
            uid: pod.uid.clone(),
            at: tick,
            how: How::Evict,
            answer: answer(self.refuses.as_deref()),
        });
        let seen = self.seen.preflight.take();
        let before = seen
            .filter(|seen| seen.grant == grant)
            .map(|seen| seen.answers);
        let answers = before
            .unwrap_or_default()
            .into_iter()
            .chain(answers)
            .collect();
        self.seen.preflight = Some(Questions { grant, answers });
    }

    /// Phase, code and act once everything has settled.
    fn shows(&mut self) -> (Phase, Option<Code>, Act) {
        let step = self.run();
        let status = self.node().agent.status.value().map(|status| status.phase);
        assert_eq!(
            status,
            Some(step.phase),
            "the Node shows what the step says"
        );
        (step.phase, step.reason.map(|reason| reason.code), step.act)
    }

    /// To the moment at which the reboot was asked for.
    fn until_reboot(&mut self) {
        self.grant();
        assert_eq!(
            self.shows(),
            (Phase::Rebooting, None, Act::Finalize(deployment(NEW, true)))
        );
    }

    /// A new boot into `booted`, with the kubelet up again.
    fn boots(&mut self, booted: ReleaseId, pending: Option<Deployment>, others: &[ReleaseId]) {
        self.seen.boot = NEXT;
        self.seen.asked = None;
        self.seen.host = Ok(Host {
            booted: deployment(booted, false),
            pending,
            others: others
                .iter()
                .map(|identity| deployment(*identity, false))
                .collect(),
        });
        self.node().kubelet_boot = Some(NEXT);
    }

    /// The answer, if the Node carries nothing of the attempt any more but its answer.
    fn released(&mut self) -> Result<(Outcome, Option<Code>), String> {
        let agent = self.node().agent.clone();
        let answer = agent.result.value().filter(|answer| answer.id == ID);
        match (agent.progress, agent.owned, answer) {
            (Field::Absent, Field::Absent, Some(answer)) => Ok((answer.outcome, known(answer))),
            other => Err(format!("{other:?}")),
        }
    }

    /// When the reboot was last asked for.
    fn requested(&self) -> Option<Time> {
        let attempt = self.state.attempt.as_ref();
        let request = attempt.and_then(|attempt| attempt.stage.request());
        request.map(|request| request.at)
    }

    fn result(&self) -> Option<(Outcome, Option<Code>)> {
        self.state
            .result
            .as_ref()
            .map(|result| (result.outcome, known(result)))
    }
}

/// The code of an answer.
fn known(result: &RebootResult) -> Option<Code> {
    result.code.as_ref().and_then(AnyCode::known)
}

#[test]
fn an_update_goes_all_the_way() {
    let mut world = World::new();
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.until_reboot();
    assert!(world.node().unschedulable);
    assert_eq!(world.node().agent.owned, Field::Value(ID));
    assert_eq!(world.requested(), Some(at(1000)));
    world.boots(NEW, None, &[OLD]);
    world.now = 1200;
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    assert!(!world.node().unschedulable);
}

/// The process ended after it had written down that it asks, and before it did.
#[test]
fn a_reboot_that_was_about_to_be_asked_for_is_asked_for() {
    let mut world = World::new();
    world.until_reboot();
    assert_eq!(world.seen.asked, None);
    world.until_reboot();
}

/// How an attempt under way ends when the world changes, the cordon being CUO's own.
#[test]
fn a_grant_that_can_not_be_used_any_more_is_given_back() {
    type Change = fn(&mut World);
    let cases: [(Code, Change); 10] = [
        // The disk was full when that was to be written down.
        (Code::DrainBlocked, |world| {
            let progress = world.state.attempt.as_ref().unwrap().grant.progress.clone();
            world.seen.pods = Ok(vec![web()]);
            world
                .state
                .back_off(Code::DrainBlocked.into(), &settings().retry, at(1000));
            world.node().agent.progress = Field::Absent;
            world.node().agent.result = Field::Value(RebootResult {
                id: progress.id,
                outcome: Outcome::Aborted,
                code: Some(Code::DrainBlocked.into()),
                at: at(1000),
            });
        }),
        (Code::OtherDriver, |world| {
            world.seen.survey = rivals::rivalled()
        }),
        (Code::GrantRevoked, |world| {
            world.node().operator.grant = Field::Absent
        }),
        (Code::GrantRevoked, |world| {
            world.node().operator.grant = Field::OtherVersion(2)
        }),
        (Code::Paused, |world| world.node().paused = true),
        (Code::Hold, |world| {
            world.settings.hold = Some(Code::Hold.into())
        }),
        (Code::Uncordoned, |world| world.node().unschedulable = false),
        (Code::PendingChanged, |world| {
            world.host().pending = Some(deployment(OTHER, false))
        }),
        (Code::PendingChanged, |world| world.host().pending = None),
        (Code::DrainBlocked, |world| world.now = 1601),
    ];
    for (code, change) in cases {
        let mut world = World::new();
        world.grant();
        world.seen.pods = Ok(vec![web()]);
        assert_eq!(world.shows(), (Phase::Draining, None, evicts(&[web()])));
        assert!(world.node().unschedulable);
        change(&mut world);
        let before = world.state.clone();
        world.run();
        assert_eq!(
            world.released(),
            Ok((Outcome::Aborted, Some(code))),
            "{code}"
        );
        assert!(before.gives_up(&world.state), "{code}");
        assert!(!world.node().unschedulable, "{code}");
        assert_eq!(
            world
                .state
                .backoff
                .as_ref()
                .map(|backoff| backoff.reason.code),
            Some(code)
        );
    }
}

/// What ostree notes of the staged deployment.
fn noted(locked: bool) -> Result<Survey, String> {
    let id = deployment(NEW, true).id;
    let (_, name) = id.split_once('-').unwrap();
    Ok(Survey {
        staged: Some(StagedNote {
            name: name.to_owned(),
            locked,
        }),
        ..Survey::default()
    })
}

fn evicts(pods: &[RawPod]) -> Act {
    Act::Evict(Removal {
        how: How::Evict,
        grace: None,
        pods: pods.to_vec(),
    })
}

fn web() -> RawPod {
    RawPod {
        namespace: "default".into(),
        name: "web".into(),
        uid: "u1".into(),
        ..RawPod::default()
    }
}

#[test]
fn a_grant_is_refused_where_it_does_not_fit() {
    type Change = fn(&mut World);
    let cases: [(Code, Change); 8] = [
        (Code::GrantExpired, |world| world.now = 1301),
        (Code::GrantMismatch, |world| {
            world.host().pending = Some(deployment(OTHER, true))
        }),
        (Code::GrantMismatch, |world| world.host().pending = None),
        (Code::GrantMismatch, |world| {
            world.boots(OLD, Some(deployment(NEW, false)), &[])
        }),
        (Code::Paused, |world| world.node().paused = true),
        (Code::NodeNotReady, |world| world.node().ready = false),
        (Code::Inhibited, |world| {
            world.seen.inhibitors = Ok(vec![Inhibitor {
                who: "dnf".into(),
                why: "writing".into(),
            }]);
        }),
        (Code::IdentityFailed, |world| {
            world.state.failed.add(Failure {
                identity: NEW,
                code: Code::RolledBack.into(),
                at: at(1),
            });
        }),
    ];
    for (code, change) in cases {
        let mut world = World::new();
        world.grant();
        change(&mut world);
        world.run();
        assert_eq!(world.released(), Ok((Outcome::Refused, Some(code))));
        assert!(!world.node().unschedulable, "{code}");
        assert_eq!(world.state.attempt, None);
    }
}

#[test]
fn a_grant_waits_while_the_host_is_not_known_or_being_staged() {
    type Change = fn(&mut World);
    let cases: [Change; 2] = [
        |world| world.seen.host = Err("no answer".into()),
        |world| world.seen.staging = Staging::Begun,
    ];
    for change in cases {
        let mut world = World::new();
        world.grant();
        change(&mut world);
        world.run();
        assert_eq!(
            (world.result(), world.state.attempt.is_none()),
            (None, true)
        );
    }
}

#[test]
fn an_answered_grant_is_never_accepted_again() {
    let mut world = World::new();
    world.grant();
    world.now = 1301;
    world.run();
    world.now = 1200; // the clock went back
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    assert_eq!(
        world.released(),
        Ok((Outcome::Refused, Some(Code::GrantExpired)))
    );
}

#[test]
fn what_booted_decides() {
    let fallback = deployment(NEW, false);
    type Case = (
        ReleaseId,
        Option<Deployment>,
        &'static [ReleaseId],
        bool,
        Outcome,
        Option<Code>,
    );
    let cases: [Case; 8] = [
        (NEW, None, &[OLD], true, Outcome::Done, None),
        (NEW, None, &[OLD], false, Outcome::Done, None),
        (
            OLD,
            Some(fallback),
            &[],
            true,
            Outcome::Failed,
            Some(Code::BootedFallback),
        ),
        (
            OLD,
            None,
            &[NEW],
            true,
            Outcome::Failed,
            Some(Code::RolledBack),
        ),
        (
            OLD,
            None,
            &[],
            true,
            Outcome::Aborted,
            Some(Code::UpdateLost),
        ),
        (
            OLD,
            Some(deployment(NEW, true)),
            &[],
            true,
            Outcome::Aborted,
            Some(Code::UpdateLost),
        ),
        (
            OLD,
            None,
            &[],
            false,
            Outcome::Aborted,
            Some(Code::ForeignReboot),
        ),
        (
            OTHER,
            None,
            &[OLD],
            true,
            Outcome::Aborted,
            Some(Code::ForeignDeployment),
        ),
    ];
    for (booted, pending, others, requested, outcome, code) in cases {
        let mut world = World::new();
        if requested {
            world.until_reboot();
        } else {
            world.grant();
            world.seen.pods = Ok(vec![web()]);
            world.run();
        }
        world.boots(booted, pending, others);
        world.run();
        assert_eq!(world.released(), Ok((outcome, code)));
        let bad = outcome == Outcome::Failed;
        assert_eq!(world.state.failed.find(&NEW).is_some(), bad, "{code:?}");
        assert_eq!(world.node().agent.failed.value().is_some(), bad, "{code:?}");
    }
}

/// The acceptance never reached the Node, the grant was taken back, and somebody rebooted the host: the slot may be another node's.
#[test]
fn a_boot_after_a_grant_that_was_taken_back_unaccepted_claims_no_slot() {
    let mut world = World::new();
    world.run();
    world.grant();
    world.state = step(&world.state, &world.seen, &world.settings, world.clocks()).state;
    assert!(world.state.attempt.is_some());
    world.node().operator.grant = Field::Absent;
    world.boots(OLD, None, &[]);
    let next = step(&world.state, &world.seen, &world.settings, world.clocks());
    let Act::Publish(_, want) = next.act else {
        panic!("{:?}", next.act)
    };
    let result = want.result.map(|result| (result.outcome, result.code));
    assert_eq!(
        (want.progress, result),
        (
            None,
            Some((Outcome::Aborted, Some(Code::GrantRevoked.into())))
        )
    );
}

/// What came of boots in a row that do not have the update, up to the one after which no grant is accepted any more.
fn lose(survey: Result<Survey, String>) -> Vec<Option<(Outcome, Option<Code>)>> {
    let mut world = World::new();
    let mut results = vec![];
    for times in 1..20 {
        world.now += 10_000;
        let boot = BootId::from_bytes([u8::try_from(times).unwrap(); 16]);
        world.grant();
        if let Field::Value(value) = &mut world.node().operator.grant {
            value.id.seq += times;
            value.deadline = at(1_000_000);
            value.boot = boot;
        }
        world.seen.boot = boot;
        world.node().kubelet_boot = Some(boot);
        world.host().pending = Some(deployment(NEW, true));
        let act = world.run().act;
        if act == Act::Wait {
            let failed = Some(Code::IdentityFailed);
            assert_eq!(world.shows(), (Phase::Held, failed, act));
            assert_eq!(world.result(), Some((Outcome::Refused, failed)));
            return results;
        }
        assert_eq!(act, Act::Finalize(deployment(NEW, true)));
        world.boots(OLD, None, &[]);
        world.seen.boot = BootId::from_bytes([99; 16]);
        world.node().kubelet_boot = Some(world.seen.boot);
        world.seen.survey = survey.clone();
        world.run();
        world.seen.survey = Ok(Survey::default());
        results.push(world.result());
        let reported = world.node().agent.failed.value().is_some();
        let bad = matches!(world.result(), Some((Outcome::Failed, _)));
        assert_eq!(reported, bad, "a power cut keeps no other node from it");
    }
    panic!("it never ends: {results:?}");
}

#[test]
fn an_update_that_can_not_be_written_three_times_has_failed_and_power_cuts_hold_their_node_alone() {
    let reported = |outcome, code| Some((outcome, Some(code)));
    let failed = |outcome| reported(outcome, Code::FinalizationFailed);
    let (aborted, bad) = (failed(Outcome::Aborted), failed(Outcome::Failed));
    let unit = health::units(&[("ostree-boot-complete.service", "failed")]);
    assert_eq!(lose(unit), vec![aborted, aborted, bad]);
    let cut = reported(Outcome::Aborted, Code::UpdateLost);
    assert_eq!(lose(Ok(Survey::default())), vec![cut; 5]);
}

/// It would be lost by the reboot.
#[test]
fn nothing_reboots_while_nothing_would_write_the_update() {
    let finalizer = |state| health::units(&[("ostree-finalize-staged.service", state)]);
    let inactive = Some(Code::FinalizerInactive);
    let mut world = World::new();
    world.seen.survey = finalizer("inactive");
    assert_eq!(world.shows(), (Phase::Held, inactive, Act::Wait));
    world.seen.survey = finalizer("active");
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world.seen.pods = Ok(vec![]);
    world.seen.survey = finalizer("failed");
    assert_eq!(world.shows(), (Phase::Draining, inactive, Act::Wait));
    world.seen.survey = finalizer("active");
    world.until_reboot();
}

/// A soft reboot leaves the kernel and its boot id as they are, and kexec boots what somebody had loaded before.
#[test]
fn nothing_is_cordoned_or_rebooted_while_a_reboot_of_another_kind_is_prepared() {
    let prepared = Some(Code::RebootPrepared);
    let others: [fn(&mut Survey); 2] = [
        |survey| survey.next_root = true,
        |survey| survey.kexec = true,
    ];
    for prepare in others {
        let mut world = World::new();
        prepare(world.seen.survey.as_mut().unwrap());
        assert_eq!(world.shows(), (Phase::Held, prepared, Act::Wait));
        world.seen.survey = Ok(Survey::default());
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
        world.grant();
        world.seen.pods = Ok(vec![web()]);
        world.run();
        world.seen.pods = Ok(vec![]);
        prepare(world.seen.survey.as_mut().unwrap());
        assert_eq!(world.shows(), (Phase::Draining, prepared, Act::Wait));
        world.seen.survey = Ok(Survey::default());
        world.until_reboot();
    }
}

#[test]
fn nothing_is_released_before_the_node_is_back() {
    type Change = fn(&mut World);
    let cases: [(Option<Code>, Change); 3] = [
        (Some(Code::NodeNotReady), |world| world.node().ready = false),
        (Some(Code::NodeNotReady), |world| {
            world.node().kubelet_boot = Some(BOOT)
        }),
        (Some(Code::RpmOstreeUnavailable), |world| {
            world.seen.host = Err("no answer".into())
        }),
    ];
    for (code, change) in cases {
        let mut world = World::new();
        world.until_reboot();
        world.boots(NEW, None, &[OLD]);
        change(&mut world);
        assert_eq!(world.shows(), (Phase::Verifying, code, Act::Wait));
        assert!(world.node().unschedulable && world.result().is_none());
    }
}

#[test]
fn a_cordon_of_somebody_else_stays() {
    let mut world = World::new();
    world.node().unschedulable = true;
    world.grant();
    world.granted().cordoned = Cordoned::Update;
    world.run();
    assert_eq!(world.node().agent.owned, Field::Absent);
    world.boots(NEW, None, &[OLD]);
    world.run();
    assert!(world.node().unschedulable);
}

/// The agent's cordon was taken back while the host was looked at after the boot.
#[test]
fn a_cordon_after_an_uncordon_behind_the_boot_is_somebody_elses() {
    let mut world = World::new();
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.node().ready = false;
    world.run();
    assert_eq!(world.node().agent.owned, Field::Value(ID));
    world.node().unschedulable = false;
    world.run();
    assert_eq!(world.node().agent.owned, Field::Absent);
    world.node().unschedulable = true;
    world.node().ready = true;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
    assert!(world.node().unschedulable);
}

/// Found by the search: the agent has seen the uncordon and given up, but not yet said so when somebody cordons the node for good.
#[test]
fn a_cordon_after_a_seen_uncordon_is_somebody_elses() {
    let mut world = World::new();
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    world.run();
    world.node().unschedulable = false;
    let given_up = step(&world.state, &world.seen, &world.settings, world.clocks());
    world.state = given_up.state;
    world.node().unschedulable = true;
    world.run();
    assert_eq!(
        world.released(),
        Ok((Outcome::Aborted, Some(Code::Uncordoned)))
    );
    assert!(world.node().unschedulable);
}

/// Of the granted version there is an older deployment, of a time at which it was rolled back without being counted.
#[test]
fn which_of_two_deployments_was_rolled_back_is_told_by_their_ids() {
    let number = |serial, staged| Deployment {
        id: format!("os-{}.{serial}", NEW.short()),
        ..deployment(NEW, staged)
    };
    let (older, granted) = (number(0, false), number(1, true));
    let lost = (Outcome::Aborted, Some(Code::UpdateLost));
    let back = (Outcome::Failed, Some(Code::RolledBack));
    for (left, expected) in [
        (vec![older.clone()], lost),
        (vec![number(1, false), older.clone()], back),
        (vec![older.clone(), number(1, false)], back),
    ] {
        let mut world = World::new();
        world.host().pending = Some(granted.clone());
        world.host().others = vec![older.clone()];
        world.grant();
        assert_eq!(world.run().act, Act::Finalize(granted.clone()));
        world.boots(OLD, None, &[]);
        world.host().others = left;
        world.run();
        assert_eq!(world.released(), Ok(expected));
    }
}

/// The file is lost after the Node showed what has booted.
#[test]
fn a_success_that_was_told_halfway_is_a_success() {
    let mut world = World::new();
    world.until_reboot();
    world.boots(NEW, None, &[OLD]);
    world.node().ready = false;
    let waits = (Phase::Verifying, Some(Code::NodeNotReady), Act::Wait);
    assert_eq!(world.shows(), waits);
    world.state = State::default();
    assert_eq!(world.shows(), waits);
    world.node().ready = true;
    world.run();
    assert_eq!(world.released(), Ok((Outcome::Done, None)));
}

#[test]
fn a_lost_state_is_rebuilt_from_the_node() {
    for (reboot, expected) in [
        (
            false,
            (Phase::Rebooting, None, Act::Finalize(deployment(NEW, true))),
        ),
        (true, (Phase::Idle, None, Act::Wait)),
    ] {
        let mut world = World::new();
        world.until_reboot();
        world.state = State::default();
        if reboot {
            world.boots(NEW, None, &[OLD]);
        }
        assert_eq!(world.shows(), expected);
        assert_eq!(world.result(), reboot.then_some((Outcome::Done, None)));
    }
    let mut world = World::new();
    world.node().agent.failed = Field::Value(Failures {
        identities: vec![Failure {
            identity: NEW,
            code: Code::RolledBack.into(),
            at: at(1),
        }],
    });
    assert_eq!(
        world.shows(),
        (Phase::Held, Some(Code::IdentityFailed), Act::Wait)
    );
}

#[test]
fn nothing_reboots_while_the_api_server_does_not_answer() {
    let mut world = World::new();
    world.grant();
    let mut view = None;
    // Every stage of the way, cut off from there on.
    for _ in 0..10 {
        let next = step(&world.state, &world.seen, &world.settings, world.clocks());
        let mut cut = world.seen.clone();
        cut.node = NodeSeen::Unknown("refused".into());
        let act = step(&next.state, &cut, &world.settings, world.clocks()).act;
        assert_eq!(act, Act::Wait);
        world.state = next.state;
        match next.act {
            Act::Publish(_, want) => publish(&want, world.node()),
            Act::Confirm => {
                view = Some(());
                world.seen.node = NodeSeen::Present {
                    view: Box::new(world.node().clone()),
                    live: true,
                };
            }
            Act::Finalize(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(view, Some(()));
}

#[test]
fn only_what_the_agent_staged_itself_is_replaced_and_only_while_nobody_counts_on_it() {
    type Change = fn(&mut World);
    let ours: Change = |world| world.state.ours = Some(deployment(NEW, true).id);
    let cases: [(&str, bool, Vec<Change>); 11] = [
        (
            "nothing pending",
            true,
            vec![|world| world.host().pending = None],
        ),
        ("ours", true, vec![ours]),
        ("an administrator's", false, vec![]),
        (
            "ours, but reserved",
            false,
            vec![ours, |world| {
                world.node().operator.reserved = Field::Malformed(String::new());
            }],
        ),
        (
            "ours, but on hold",
            false,
            vec![ours, |world| world.settings.hold = Some(Code::Hold.into())],
        ),
        (
            "ours, but being staged",
            false,
            vec![ours, |world| world.seen.staging = Staging::Begun],
        ),
        (
            "ours, but the Node is not known",
            false,
            vec![ours, |world| {
                world.seen.node = NodeSeen::Unknown(String::new());
            }],
        ),
        (
            "ours and paused",
            true,
            vec![ours, |world| world.node().paused = true],
        ),
        (
            "not due",
            false,
            vec![ours, |world| world.seen.check_due = false],
        ),
        ("ours, on a metered network", false, vec![ours, on_metered]),
        (
            "once ours, and somebody went back to it",
            false,
            vec![ours, |world| {
                world.host().pending = Some(deployment(NEW, false));
            }],
        ),
    ];
    for (what, expected, changes) in cases {
        let mut world = World::new();
        world.seen.check_due = true;
        for change in changes {
            change(&mut world);
        }
        assert_eq!(world.run().act == Act::Stage, expected, "{what}");
    }
}

/// rpm-ostree does not follow a branch or a tag that is moved back, and the agent does not rely on that. What a person deploys is that
/// person's wish.
#[test]
fn a_version_older_than_the_booted_one_is_not_asked_for_unless_a_person_deployed_it() {
    let older = Some(Code::OlderVersion);
    // What the agent once staged and a person has gone back to is not staged any more.
    for (published, ours, staged, phase, code) in [
        (11, true, true, Phase::Waiting, None),
        (10, true, true, Phase::Waiting, None),
        (9, true, true, Phase::Held, older),
        (9, false, true, Phase::Waiting, None),
        (9, true, false, Phase::Waiting, None),
    ] {
        let mut world = World::new();
        let host = world.seen.host.as_mut().unwrap();
        host.booted.published = 10;
        let pending = host.pending.as_mut().unwrap();
        (pending.published, pending.staged) = (published, staged);
        world.state.ours = ours.then(|| pending.id.clone());
        let step = world.run();
        let found = step.reason.map(|reason| reason.code);
        assert_eq!(
            (step.phase, found),
            (phase, code),
            "{published} {ours} {staged}"
        );
    }
}

fn on_metered(world: &mut World) {
    world.seen.survey.as_mut().unwrap().metered = true;
}

#[test]
fn that_a_look_is_put_off_is_told_while_it_is_due() {
    for (due, expected) in [(true, Some(Code::Metered)), (false, None)] {
        let mut world = World::new();
        world.seen.host.as_mut().unwrap().pending = None;
        world.seen.check_due = due;
        on_metered(&mut world);
        let step = world.run();
        let code = step.reason.map(|reason| reason.code);
        assert_eq!((step.phase, code), (Phase::Idle, expected), "{due}");
        assert!(!matches!(step.act, Act::Stage | Act::Check));
    }
}

/// No check comes that could take the failure back while an administrator's deployment is pending.
#[test]
fn a_failed_check_is_told_as_long_as_it_is_tried_again() {
    type Change = fn(&mut World);
    let failed = Some(Code::StageFailed);
    let cases: [(&str, Change, _); 3] = [
        (
            "ours",
            |world| world.state.ours = Some(deployment(NEW, true).id),
            (Phase::Waiting, failed, Act::Wait),
        ),
        (
            "an administrator's",
            |_| {},
            (Phase::Waiting, None, Act::Wait),
        ),
        (
            "nothing pending",
            |world| world.host().pending = None,
            (Phase::Idle, failed, Act::Wait),
        ),
    ];
    for (what, change, expected) in cases {
        let mut world = World::new();
        world.seen.looked = Some(Code::StageFailed.into());
        change(&mut world);
        assert_eq!(world.shows(), expected, "{what}");
    }
}

#[test]
fn only_a_run_that_lasts_is_told() {
    let cases = [
        (true, Staging::Begun, Phase::Waiting),
        (true, Staging::Lasting, Phase::Staged),
        (false, Staging::Begun, Phase::Idle),
        (false, Staging::Lasting, Phase::Staging),
    ];
    for (pending, staging, phase) in cases {
        let mut world = World::new();
        if !pending {
            world.host().pending = None;
        }
        world.seen.staging = staging;
        assert_eq!(world.shows(), (phase, None, Act::Wait));
    }
}

#[test]
fn garbage_of_the_operator_is_a_reason_and_no_grant() {
    let cases = [
        (
            Field::Malformed("not JSON".into()),
            Code::MalformedAnnotation,
        ),
        (Field::OtherVersion(2), Code::ProtocolUnknown),
    ];
    for (grant, code) in cases {
        let mut world = World::new();
        world.node().operator.grant = grant;
        assert_eq!(world.shows(), (Phase::Held, Some(code), Act::Wait));
        assert_eq!(world.result(), None);
    }
}

#[test]
fn an_unusable_state_touches_nothing_but_says_so() {
    let mut world = World::new();
    world.until_reboot();
    let before = (
        world.node().agent.progress.clone(),
        world.node().agent.owned.clone(),
    );
    world.state = State::default();
    world.settings.state_unusable = Some(StateTrouble::Unreadable("state.json: version 2".into()));
    assert_eq!(
        world.shows(),
        (Phase::Held, Some(Code::StateUnreadable), Act::Wait)
    );
    assert_eq!(
        (
            world.node().agent.progress.clone(),
            world.node().agent.owned.clone()
        ),
        before
    );
    assert!(world.node().unschedulable);
}

#[test]
fn a_pause_ends_even_if_the_clock_was_ahead_when_it_began() {
    let mut world = World::new();
    let reason = Reason::from(Code::DrainBlocked);
    world.state.backoff = Some(Backoff {
        tries: 1,
        until: at(90_000),
        reason,
    });
    assert_eq!(
        world.shows(),
        (Phase::Held, Some(Code::DrainBlocked), Act::Wait)
    );
    world.now += 601;
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
}

#[test]
fn since_is_when_the_phase_began() {
    let mut world = World::new();
    world.run();
    world.now = 5000;
    world.run();
    let expected = Status {
        phase: Phase::Waiting,
        since: at(1000),
    };
    assert_eq!(world.node().agent.status, Field::Value(expected));
}
