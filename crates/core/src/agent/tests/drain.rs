//! From the grant to the moment before the reboot: asking first, the ladder, volumes, the delay; and pods after the boot.

use super::*;
use crate::drain::{AT_ONCE, Claim};
use crate::raw::Cordon;
use crate::selector::Selector;
use crate::values::{DrainMode, OnTimeout, PodMatch, PreflightMode, Treatment};

/// A grant with this policy.
pub(super) fn granted(change: impl Fn(&mut Grant)) -> World {
    let mut world = World::new();
    world.grant();
    change(world.granted());
    world
}

fn with(on_timeout: OnTimeout) -> World {
    let mut world = granted(|grant| grant.drain.on_timeout = on_timeout);
    world.seen.pods = Ok(vec![web()]);
    world
}

fn message(world: &mut World) -> String {
    let reason = world.node().agent.reason.value();
    reason.map_or(String::new(), |reason| reason.message.clone())
}

fn finalizes() -> (Phase, Option<Code>, Act) {
    (Phase::Rebooting, None, Act::Finalize(deployment(NEW, true)))
}

fn waits(phase: Phase, code: Code) -> (Phase, Option<Code>, Act) {
    (phase, Some(code), Act::Wait)
}

fn removes(how: How, grace: Option<u32>) -> Act {
    let pods = vec![web()];
    Act::Evict(Removal { how, grace, pods })
}

/// The API server takes or refuses what the world was about to do.
fn tried(world: &mut World, refused: Option<&str>) {
    let Act::Evict(removal) = world.run().act else {
        panic!("nothing is removed");
    };
    for pod in removal.pods {
        world.seen.evictions.push(EvictionTry {
            uid: pod.uid,
            at: world.clocks().tick,
            how: removal.how,
            answer: answer(refused),
        });
    }
}

#[test]
fn a_drain_that_would_not_get_through_does_not_begin() {
    let owned = RawPod {
        controller: Some("ReplicaSet".into()),
        empty_dir: true,
        ..web()
    };
    type Case = (
        Code,
        &'static str,
        fn(&mut Grant),
        RawPod,
        Option<&'static str>,
    );
    let cases: [Case; 4] = [
        (
            Code::PreflightBlocked,
            "default/web: the budget is used up",
            |grant| grant.drain.preflight = PreflightMode::Require,
            web(),
            Some("the budget is used up"),
        ),
        (
            Code::PreflightBlocked,
            "default/web: its emptyDir volume would be lost",
            |grant| grant.drain.empty_dir = Treatment::Block,
            owned,
            None,
        ),
        (
            Code::PreflightBlocked,
            "default/web: it has no controller that would recreate it",
            |grant| grant.drain.unmanaged = Treatment::Block,
            web(),
            None,
        ),
        (
            Code::BlockingPod,
            "default/web runs on the node",
            |grant| {
                grant.pods.blocking = vec![PodMatch {
                    namespace: Some("default".into()),
                    selector: Selector::default(),
                }];
            },
            web(),
            None,
        ),
    ];
    for (code, text, change, pod, refuses) in cases {
        let mut world = granted(change);
        world.seen.pods = Ok(vec![pod]);
        world.refuses = refuses.map(str::to_owned);
        assert_eq!(world.shows(), waits(Phase::Held, code), "{text}");
        assert_eq!(world.released(), Ok((Outcome::Refused, Some(code))));
        assert!(!world.node().unschedulable, "{text}");
        assert_eq!(message(&mut world), text);
        assert_eq!(world.wakes(), Some(1060), "it is tried again then");

        // Another grant, after the pause, and nothing in the way any more.
        world.now = 1061;
        assert_eq!(world.shows().0, Phase::Waiting, "{text}");
        world.seen.pods = Ok(vec![]);
        world.grant();
        if let Field::Value(grant) = &mut world.node().operator.grant {
            grant.id.seq += 1;
        }
        assert_eq!(world.shows(), finalizes(), "{text}");
    }
}

/// A budget that has room once the node is cordoned, a webhook that acts on real evictions alone: what is refused beforehand is reported, and the
/// drain begins.
#[test]
fn what_is_refused_beforehand_is_told_and_tried() {
    let mut world = granted(|_| {});
    world.seen.pods = Ok(vec![web()]);
    world.refuses = Some("the budget is used up".into());
    let step = world.run();
    let shown = (step.phase, step.reason.map(|reason| reason.code), step.act);
    let begins = (
        Phase::Draining,
        Some(Code::PreflightBlocked),
        removes(How::Evict, None),
    );
    assert_eq!(shown, begins);
    assert_eq!(message(&mut world), "default/web: the budget is used up");
    assert!(world.node().unschedulable);
    tried(&mut world, Some("no"));
    assert_eq!(world.shows(), waits(Phase::Draining, Code::Draining));
    assert_eq!(message(&mut world), "blocked: default/web: no.");
    world.seen.pods = Ok(vec![]);
    assert_eq!(world.shows(), finalizes());
}

/// With slow webhooks the answers may take longer than there is to accept the grant.
#[test]
fn questions_hold_a_drain_up_for_half_of_the_time_to_accept_it_at_most() {
    for mode in [PreflightMode::Inform, PreflightMode::Require] {
        let mut world = granted(|grant| grant.drain.preflight = mode);
        world.seen.pods = Ok(vec![web()]);
        world.seen.preflight = Some(Questions {
            grant: ID,
            answers: vec![EvictionTry {
                uid: web().uid,
                at: tick(1000),
                how: How::Evict,
                answer: Answer::Open,
            }],
        });
        assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
        assert_eq!(world.wakes(), Some(1010));
        world.now = 1010;
        assert_eq!(world.shows(), waits(Phase::Waiting, Code::Preflight));
        assert_eq!(message(&mut world), "no answer yet about default/web");
        let goes_on = (mode == PreflightMode::Inform).then_some(1150);
        assert_eq!(world.wakes(), goes_on);
        world.now = 1149;
        assert_eq!(world.shows(), waits(Phase::Waiting, Code::Preflight));
        world.now = 1150;
        let expected = match mode {
            PreflightMode::Inform => (Phase::Draining, None, removes(How::Evict, None)),
            PreflightMode::Require => waits(Phase::Waiting, Code::Preflight),
        };
        assert_eq!(world.shows(), expected, "{mode:?}");
    }
}

/// Where there is nowhere else for the pods.
#[test]
fn without_a_drain_the_node_is_cordoned_and_reboots_with_its_pods() {
    let mut world = granted(|grant| {
        grant.drain.mode = DrainMode::None;
        grant.drain.delay_seconds = 5;
        grant.pods.blocking = vec![PodMatch {
            namespace: Some("other".into()),
            selector: Selector::default(),
        }];
    });
    world.seen.pods = Ok(vec![web()]);
    world.refuses = Some("budget".into());
    world.node().volumes_in_use = ["csi^web".to_owned()].into();
    assert_eq!(world.shows(), waits(Phase::Draining, Code::DrainDelay));
    assert!(world.node().unschedulable);
    assert_eq!(world.seen.preflight, None);
    world.now += 5;
    assert_eq!(world.shows(), finalizes());
    world.boots(NEW, None, &[OLD]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));

    // The agent was away for an hour when the reboot did not come.
    let mut world = granted(|grant| grant.drain.mode = DrainMode::None);
    world.seen.pods = Ok(vec![web()]);
    assert_eq!(world.shows(), finalizes());
    world.now += 3600;
    assert_eq!(world.shows(), finalizes());

    let mut world = granted(|grant| {
        grant.drain.mode = DrainMode::None;
        grant.pods.blocking = vec![PodMatch::default()];
    });
    world.seen.pods = Ok(vec![web()]);
    assert_eq!(world.shows(), waits(Phase::Held, Code::BlockingPod));
}

#[test]
fn a_node_that_somebody_else_cordoned_is_left_alone_until_he_uncordons_it() {
    let cordon = |world: &mut World| {
        let node = world.node();
        node.unschedulable = true;
        node.cordon = Some(Cordon {
            by: "kubectl-cordon".into(),
            at: Some(at(900)),
        });
    };
    let text = "cordoned by kubectl-cordon since 1970-01-01T00:15:00Z";
    let mut world = World::new();
    cordon(&mut world);
    assert_eq!(world.shows(), waits(Phase::Waiting, Code::CordonedByOther));
    assert_eq!(message(&mut world), text);

    let mut world = granted(|_| {});
    cordon(&mut world);
    assert_eq!(world.shows(), waits(Phase::Held, Code::CordonedByOther));
    assert_eq!(message(&mut world), text);
    // An operator of the release before would take the code for malformed.
    assert_eq!(world.result(), Some((Outcome::Refused, Some(Code::Paused))));
    world.state = State::from_text(&world.state.to_text().unwrap(), None).unwrap();
    assert_eq!(world.shows(), waits(Phase::Held, Code::CordonedByOther));
    (world.node().unschedulable, world.node().cordon) = (false, None);
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));

    // In the moment before the agent would have.
    let mut world = granted(|_| {});
    world.seen.pods = Ok(vec![web()]);
    let accepted = step(&world.state, &world.seen, &world.settings, world.clocks());
    world.state = accepted.state;
    world.answers(ID, &[web()]);
    let accepted = step(&world.state, &world.seen, &world.settings, world.clocks());
    let Act::Publish(_, want) = accepted.act else {
        panic!("not accepted: {:?}", accepted.act);
    };
    publish(&want, world.node());
    world.state = accepted.state;
    cordon(&mut world);
    assert_eq!(world.shows(), waits(Phase::Held, Code::CordonedByOther));
    assert!(world.node().unschedulable);
}

/// Its own cordon is what the agent gives up with, so that is reported, and the next drain comes later each time.
#[test]
fn a_drain_that_ends_as_the_one_before_is_tried_again_after_a_longer_pause() {
    let mut world = granted(|_| {});
    world.settings.retry.cap = SignedDuration::from_hours(1);
    world.seen.pods = Ok(vec![web()]);
    let gives_up = |world: &mut World, pause: i64| {
        world.run();
        tried(world, Some("budget"));
        world.now += 601;
        assert_eq!(world.shows(), waits(Phase::Held, Code::DrainBlocked));
        assert_eq!(world.wakes(), Some(world.now + pause));
        world.now += pause;
        world.seen.evictions.clear();
        assert_eq!(world.shows().0, Phase::Waiting);
        let seq = world.granted().id.seq + 1;
        world.grant();
        let now = at(world.now);
        let grant = world.granted();
        (grant.id.seq, grant.issued) = (seq, now);
        grant.deadline = now.later(SignedDuration::from_secs(300));
    };
    gives_up(&mut world, 60);
    let once = "1 pods did not leave in time: default/web: budget";
    // Twice as long for the second, and four times for the same pods.
    gives_up(&mut world, 480);
    gives_up(&mut world, 960);
    let reported = world.state.backoff.clone().unwrap().reason.message;
    let way = "give their budgets room, move them, or set `drain.onTimeout: Delete` in the pool";
    assert_eq!(
        reported,
        format!("3 drains in a row ended like this: {way}; {once}")
    );
    world.state = State::from_text(&world.state.to_text().unwrap(), None).unwrap();
    let other = RawPod {
        uid: "u2".into(),
        name: "db".into(),
        ..web()
    };
    world.seen.pods = Ok(vec![other]);
    gives_up(&mut world, 480);
    // One that ends well ends that, too.
    world.seen.pods = Ok(vec![]);
    assert_eq!(world.shows(), finalizes());
    world.boots(NEW, None, &[OLD]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.state.stuck, None);
}

/// An etcd that was broken or moved away long ago is not the update's fault, and the mark of it stays.
#[test]
fn what_of_the_control_plane_was_not_well_before_the_update_is_not_demanded_after_it() {
    let etcd = RawPod {
        namespace: "kube-system".into(),
        name: "etcd-n1".into(),
        uid: "etcd".into(),
        mirror: true,
        ..RawPod::default()
    };
    for pods in [vec![], vec![etcd]] {
        let mut world = granted(|_| {});
        world.node().control_plane = true;
        world.node().agent.control_plane_pods = "etcd,kube-apiserver".parse().unwrap();
        world.seen.pods = Ok(pods);
        assert_eq!(world.shows(), finalizes());
        world.state = State::from_text(&world.state.to_text().unwrap(), None).unwrap();
        world.boots(NEW, None, &[OLD]);
        assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    }
}

/// Until then the pods are looked at: a write that was refused or came too late would leave the node a worker.
#[test]
fn the_pods_are_looked_at_until_the_node_shows_what_it_is() {
    let mut world = World::new();
    let etcd = RawPod {
        namespace: "kube-system".into(),
        name: "etcd-n1".into(),
        mirror: true,
        ..RawPod::default()
    };
    let shown = |world: &mut World, marked: &str| {
        world.node().agent.control_plane_pods = marked.parse().unwrap();
        world.seen.marked()
    };
    world.seen.pods = Err(String::new());
    assert!(!shown(&mut world, ""));
    world.seen.pods = Ok(vec![etcd]);
    assert!(!shown(&mut world, ""));
    assert!(shown(&mut world, "etcd"));
    world.seen.node = NodeSeen::Unknown(String::new());
    assert!(!world.seen.marked());
}

/// Static pods show that the node is of the control plane, though nobody had said so: its grant may be beside another one's.
#[test]
fn a_node_that_turns_out_to_be_of_the_control_plane_is_granted_anew() {
    let mirror = |ready| RawPod {
        namespace: "kube-system".into(),
        name: "etcd-n1".into(),
        uid: "etcd".into(),
        mirror: true,
        ready,
        ..RawPod::default()
    };
    let mut world = granted(|_| {});
    world.seen.pods = Ok(vec![mirror(true)]);
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    assert_eq!(
        world.result(),
        Some((Outcome::Refused, Some(Code::GrantMismatch)))
    );
    let marked = world.node().agent.control_plane_pods.to_string();
    assert_eq!(marked, "etcd");

    // The operator sees the mark, and grants it as such.
    world.node().control_plane = true;
    world.granted().id.seq += 1;
    assert_eq!(world.shows(), finalizes());
    world.boots(NEW, None, &[OLD]);
    let verifying = waits(Phase::Verifying, Code::ControlPlaneNotReady);
    for pods in [Err(String::new()), Ok(vec![]), Ok(vec![mirror(false)])] {
        world.seen.pods = pods;
        assert_eq!(world.shows(), verifying);
    }
    assert_eq!(message(&mut world), "etcd-n1");
    world.seen.pods = Ok(vec![mirror(true)]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    // What was seen once stays reported.
    world.seen.pods = Ok(vec![]);
    world.run();
    let marked = world.node().agent.control_plane_pods.to_string();
    assert_eq!(marked, "etcd");
}

/// Whatever else holds is noticed between two questions.
#[test]
fn the_api_server_is_asked_about_a_few_pods_at_a_time() {
    let mut world = granted(|_| {});
    let pods = (0..20).map(|number| RawPod {
        uid: format!("u{number}"),
        name: format!("web-{number}"),
        ..web()
    });
    world.seen.pods = Ok(pods.collect());
    let mut counts = Vec::new();
    for _ in 0..20 {
        let next = step(&world.state, &world.seen, &world.settings, world.clocks());
        world.state = next.state;
        match next.act {
            Act::Publish(_, want) => publish(&want, world.node()),
            Act::Preflight { grant, pods } => {
                assert_eq!(next.phase, Phase::Waiting);
                counts.push(pods.len());
                world.answers(grant, &pods);
            }
            _ => break,
        }
    }
    assert_eq!(counts, [16, 4]);

    // Answers for another grant count for nothing.
    let mut world = granted(|grant| grant.drain.preflight = PreflightMode::Require);
    world.seen.pods = Ok(vec![web()]);
    world.seen.preflight = Some(Questions {
        grant: GrantId { seq: 6, salt: 1 },
        answers: vec![],
    });
    world.refuses = Some("no".into());
    assert_eq!(world.shows(), waits(Phase::Held, Code::PreflightBlocked));
}

#[test]
fn a_grant_waits_until_the_pods_are_known() {
    let mut world = granted(|_| {});
    world.seen.pods = Err(String::new());
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.seen.pods = Err("forbidden".into());
    assert_eq!(world.shows(), waits(Phase::Waiting, Code::PreflightBlocked));
    assert_eq!(world.result(), None);
    world.seen.pods = Ok(vec![]);
    assert_eq!(world.shows(), finalizes());
}

/// At which second what is done about a pod that does not leave.
#[test]
fn the_ladder_goes_as_far_as_the_policy_says() {
    let gives_up = waits(Phase::Held, Code::DrainBlocked);
    for (on_timeout, deletes) in [
        (OnTimeout::Abort, false),
        (OnTimeout::Delete, true),
        (OnTimeout::Force, true),
    ] {
        let mut world = with(on_timeout);
        // What is deleted in the end is not asked about at the beginning.
        world.refuses = deletes.then(|| "budget".into());
        assert_eq!(world.run().act, removes(How::Evict, None));
        tried(&mut world, Some("budget"));
        world.now = 1600;
        assert_eq!(world.run().act, removes(How::Evict, None));
        tried(&mut world, Some("budget"));
        world.now = 1601;
        if !deletes {
            assert_eq!(world.shows(), gives_up);
            continue;
        }
        assert_eq!(world.run().act, removes(How::Delete, None));
        tried(&mut world, None);
        assert_eq!(world.shows(), waits(Phase::Draining, Code::Draining));
        world.now = 2201;
        if on_timeout == OnTimeout::Delete {
            assert_eq!(world.shows(), gives_up);
            assert!(!world.node().unschedulable);
            continue;
        }
        assert_eq!(world.run().act, removes(How::Kill, Some(0)));
        // Gone or not, allowed or not.
        tried(&mut world, Some("forbidden"));
        assert_eq!(world.shows(), finalizes());
    }
}

/// More pods than are killed at once, and an API server that takes its time.
#[test]
fn what_is_forced_is_forced_however_long_the_answers_take() {
    let mut world = with(OnTimeout::Force);
    let pods = (0..AT_ONCE + 1).map(|number| RawPod {
        uid: format!("u{number:02}"),
        ..web()
    });
    let pods: Vec<_> = pods.collect();
    world.seen.pods = Ok(pods.clone());
    world.run();
    world.now = 2201;
    let kills = |pods: &[RawPod]| {
        Act::Evict(Removal {
            how: How::Kill,
            grace: Some(0),
            pods: pods.to_vec(),
        })
    };
    assert_eq!(world.run().act, kills(&pods[..AT_ONCE]));
    tried(&mut world, None);
    for tried in &mut world.seen.evictions {
        tried.answer = Answer::Open;
    }
    world.now = 2300;
    assert_eq!(
        world.shows(),
        (Phase::Draining, Some(Code::Draining), Act::Wait)
    );
    assert_eq!(world.wakes(), Some(2301));
    for tried in &mut world.seen.evictions {
        tried.answer = Answer::Accepted;
    }
    assert_eq!(world.run().act, kills(&pods[AT_ONCE..]));
    tried(&mut world, None);
    assert_eq!(world.shows(), finalizes());
}

/// The pod ends in the second half of the time.
#[test]
fn a_drain_that_ends_on_a_later_rung_ends_in_a_reboot() {
    for on_timeout in [OnTimeout::Delete, OnTimeout::Force] {
        let mut world = with(on_timeout);
        world.run();
        world.now = 2199;
        world.seen.pods = Ok(vec![]);
        assert_eq!(world.shows(), finalizes());
    }
}

/// What the policy says not to touch came when the drain was on already.
#[test]
fn what_is_left_alone_is_so_to_the_end_whatever_the_policy_forces() {
    let mut world = granted(|grant| {
        grant.drain.on_timeout = OnTimeout::Force;
        grant.drain.unmanaged = Treatment::Block;
    });
    let managed = RawPod {
        controller: Some("Job".into()),
        ..web()
    };
    world.seen.pods = Ok(vec![managed]);
    world.run();
    world.seen.pods = Ok(vec![web()]);
    for now in [1001, 1700] {
        world.now = now;
        assert_eq!(world.shows(), waits(Phase::Draining, Code::Draining));
    }
    world.now = 2201;
    assert_eq!(world.shows(), waits(Phase::Held, Code::DrainBlocked));
}

#[test]
fn a_time_to_end_is_given_to_each_pod() {
    let mut world = granted(|grant| {
        grant.drain.grace_period_seconds = Some(7);
        grant.drain.on_timeout = OnTimeout::Force;
    });
    world.seen.pods = Ok(vec![web()]);
    for (now, how, grace) in [
        (1000, How::Evict, 7),
        (1601, How::Delete, 7),
        (2201, How::Kill, 0),
    ] {
        world.now = now;
        assert_eq!(world.run().act, removes(how, Some(grace)));
    }
}

#[test]
fn volumes_of_pods_that_left_are_waited_for() {
    let claim = Claim {
        namespace: "default".into(),
        name: "logs".into(),
    };
    let log = RawPod {
        controller: Some("DaemonSet".into()),
        claims: ["logs".to_owned()].into(),
        ..web()
    };
    let used = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut world = granted(|_| {});
    world.node().volumes_in_use = used(&["csi^web"]);
    assert_eq!(world.shows(), waits(Phase::Draining, Code::VolumesInUse));
    assert_eq!(message(&mut world), "csi^web");
    world.node().volumes_in_use = used(&[]);
    assert_eq!(world.shows(), finalizes());

    // One that a pod has which stays is no hindrance.
    let mut world = granted(|_| {});
    world.seen.pods = Ok(vec![log.clone()]);
    world.node().volumes_in_use = used(&["csi^log", "csi^web"]);
    let claims: BTreeSet<_> = [claim].into();
    assert_eq!(world.run().act, Act::FindVolumes(claims.clone()));
    world.seen.volumes = Some(VolumesSeen {
        claims: claims.clone(),
        volumes: Err("forbidden".into()),
        at: tick(1000),
    });
    assert_eq!(world.shows(), waits(Phase::Draining, Code::VolumesInUse));
    assert!(message(&mut world).contains("forbidden"));
    world.now = 1005;
    assert_eq!(world.run().act, Act::FindVolumes(claims.clone()));
    world.seen.volumes = Some(VolumesSeen {
        claims,
        volumes: Ok(used(&["csi^log"])),
        at: tick(1005),
    });
    assert_eq!(world.shows(), waits(Phase::Draining, Code::VolumesInUse));
    assert_eq!(message(&mut world), "csi^web");
    world.node().volumes_in_use = used(&["csi^log"]);
    assert_eq!(world.shows(), finalizes());

    // At the end of the time it is as with pods; and who does not want to wait does not.
    let cases = [
        (
            OnTimeout::Abort,
            1601,
            waits(Phase::Held, Code::VolumesInUse),
        ),
        (
            OnTimeout::Delete,
            2201,
            waits(Phase::Held, Code::VolumesInUse),
        ),
        (OnTimeout::Force, 2201, finalizes()),
    ];
    for (on_timeout, late, expected) in cases {
        let mut world = granted(|grant| grant.drain.on_timeout = on_timeout);
        world.node().volumes_in_use = used(&["csi^web"]);
        world.run();
        world.now = late - 1;
        assert_eq!(world.shows(), waits(Phase::Draining, Code::VolumesInUse));
        world.now = late;
        assert_eq!(world.shows(), expected, "{on_timeout:?}");
    }
    let mut world = granted(|grant| grant.drain.wait_for_volumes = false);
    world.node().volumes_in_use = used(&["csi^web"]);
    assert_eq!(world.shows(), finalizes());
}

#[test]
fn the_delay_counts_from_the_end_of_the_drain_and_survives_the_agent() {
    let mut world = granted(|grant| grant.drain.delay_seconds = 30);
    world.seen.pods = Ok(vec![web()]);
    world.run();
    // The last moment at which the drain may end.
    world.now = 1600;
    world.seen.pods = Ok(vec![]);
    assert_eq!(world.shows(), waits(Phase::Draining, Code::DrainDelay));
    assert_eq!(world.wakes(), Some(1630));
    assert!(message(&mut world).contains("1970-01-01T00:27:10Z"));
    world.state = State::from_text(&world.state.to_text().unwrap(), None).unwrap();
    world.now = 1629;
    assert_eq!(world.shows(), waits(Phase::Draining, Code::DrainDelay));
    world.now = 1630;
    assert_eq!(world.shows(), finalizes());

    // A pod that comes in the meantime has to leave, and the delay starts again; after the time-out it is too late for both.
    let mut world = granted(|grant| grant.drain.delay_seconds = 30);
    world.now = 1010;
    assert_eq!(world.shows().1, Some(Code::DrainDelay));
    world.seen.pods = Ok(vec![web()]);
    assert_eq!(world.run().act, removes(How::Evict, None));
    world.seen.pods = Ok(vec![]);
    world.now = 1020;
    assert_eq!(world.wakes(), Some(1050));
    world.seen.pods = Ok(vec![web()]);
    world.now = 1620;
    assert_eq!(world.shows(), waits(Phase::Held, Code::DrainBlocked));
}

#[test]
fn progress_is_told_now_and_then_and_what_blocks_at_once() {
    let pod = |name: &str| RawPod {
        name: name.into(),
        uid: name.into(),
        terminating: true,
        ..web()
    };
    let mut world = granted(|_| {});
    world.seen.pods = Ok(vec![pod("a"), pod("b")]);
    assert_eq!(world.shows(), (Phase::Draining, None, Act::Wait));
    assert_eq!(world.wakes(), Some(1010));
    world.now = 1009;
    assert_eq!(world.shows(), (Phase::Draining, None, Act::Wait));
    world.now = 1010;
    let reported = |world: &mut World| {
        assert_eq!(world.shows().1, Some(Code::Draining));
        message(world)
    };
    let both = "2 pods are leaving: default/a is ending; default/b is ending.";
    let one = "1 pod is leaving: default/a is ending.";
    assert_eq!(reported(&mut world), both);
    world.seen.pods = Ok(vec![pod("a")]);
    world.now = 1019;
    assert_eq!(reported(&mut world), both);
    assert_eq!(world.wakes(), Some(1020));
    world.now = 1020;
    assert_eq!(reported(&mut world), one);
    world.seen.pods = Ok(vec![pod("a"), web()]);
    world.now = 1021;
    tried(&mut world, Some("budget"));
    assert_eq!(
        reported(&mut world),
        format!("blocked: default/web: budget. {one}")
    );
    world.seen.pods = Ok(vec![web()]);
    assert!(reported(&mut world).ends_with(one), "too soon");
    world.seen.pods = Ok(vec![pod("a")]);
    assert_eq!(reported(&mut world), one, "it is no longer blocked");
}

/// The cordon was an administrator's before the grant came.
#[test]
fn who_uncordons_a_node_that_he_had_cordoned_wants_to_keep_it() {
    let mut world = granted(|grant| grant.cordoned = Cordoned::Update);
    world.node().unschedulable = true;
    world.seen.pods = Ok(vec![web()]);
    assert_eq!(world.run().act, removes(How::Evict, None));
    assert_eq!(world.node().agent.owned, Field::Absent);
    world.node().unschedulable = false;
    assert_eq!(world.shows(), waits(Phase::Held, Code::Uncordoned));
    assert_eq!(
        world.released(),
        Ok((Outcome::Aborted, Some(Code::Uncordoned)))
    );
    assert!(!world.node().unschedulable);
}

/// Found by the search: a cordon that is made then could arrive after the agent was restarted and gave up.
#[test]
fn a_foreign_cordon_that_is_taken_back_is_not_made_again_while_the_host_goes_down() {
    let mut world = granted(|grant| grant.cordoned = Cordoned::Update);
    world.node().unschedulable = true;
    assert_eq!(world.shows(), finalizes());
    world.seen.asked = Some(Asked {
        id: ID,
        at: tick(1000),
        times: 1,
        unlocked: true,
        again: None,
        refused: None,
        busy: None,
        unheard: false,
    });
    world.node().unschedulable = false;
    assert_eq!(world.shows(), (Phase::Rebooting, None, Act::Wait));
    assert!(!world.node().unschedulable);
    assert_eq!(world.node().agent.owned, Field::Absent);
}

#[test]
fn the_slot_is_given_back_once_the_pods_of_daemon_sets_are_ready() {
    let daemon = |ready| RawPod {
        controller: Some("DaemonSet".into()),
        ready,
        ..web()
    };
    let mut world = granted(|grant| grant.pods.daemon_sets_ready = true);
    world.run();
    world.boots(NEW, None, &[OLD]);
    let verifying = waits(Phase::Verifying, Code::DaemonSetsNotReady);
    world.seen.pods = Err(String::new());
    assert_eq!(world.shows(), verifying);
    world.seen.pods = Ok(vec![daemon(false)]);
    assert_eq!(world.shows(), verifying);
    assert_eq!(message(&mut world), "default/web");
    world.seen.pods = Ok(vec![daemon(true), web()]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
    assert_eq!(world.released(), Ok((Outcome::Done, None)));

    // Who did not ask for it does not wait for it.
    let mut world = granted(|_| {});
    world.run();
    world.boots(NEW, None, &[OLD]);
    world.seen.pods = Ok(vec![daemon(false)]);
    assert_eq!(world.shows(), (Phase::Idle, None, Act::Wait));
}
