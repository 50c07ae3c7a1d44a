//! What pools do: each rule alone, and with time.

use super::*;
use crate::pool::{Canary, CanaryWho, Order, OrderBy, Release};
use crate::selector::Selector;
use crate::values::{DrainMode, Names, OnTimeout};

/// What a pool asks for, changed.
pub(super) type Ask = fn(&mut Pool);

pub(super) fn selector(text: &str) -> Selector {
    let labels = text.split(',').filter_map(|one| one.split_once('='));
    Selector {
        match_labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        match_expressions: vec![],
    }
}

/// A pool of its own for nodes with the label `NAME=yes`.
pub(super) fn pool(text: &str) -> Pool {
    Pool {
        name: Some(text.parse().unwrap()),
        selector: selector(&format!("{text}=yes")),
        ..Pool::default()
    }
}

/// Nodes as `NAME=POOL+POOL`, and these pools.
pub(super) fn world(nodes: &[&str], pools: Vec<Pool>) -> World {
    let split = |text: &&str| -> (String, Vec<String>) {
        let (name, pools) = text.split_once('=').unwrap_or((text, ""));
        let pools = pools.split('+').filter(|pool| !pool.is_empty());
        (name.to_owned(), pools.map(str::to_owned).collect())
    };
    let nodes: Vec<_> = nodes.iter().map(split).collect();
    let names: Vec<_> = nodes.iter().map(|(name, _)| name.as_str()).collect();
    let mut world = World::new(&names);
    for (name, pools) in &nodes {
        let labels = pools.iter().map(|pool| (pool.clone(), "yes".to_owned()));
        world.node(name).labels.extend(labels);
    }
    let found = pools.into_iter().map(|pool| FoundPool::Valid(pool.into()));
    world.seen.pools = found.collect();
    world
}

pub(super) fn edit(world: &mut World, place: usize, change: impl FnOnce(&mut Pool)) {
    match &mut world.seen.pools[place] {
        FoundPool::Valid(pool) => change(pool),
        FoundPool::Invalid { .. } => panic!("the pool is invalid"),
    }
}

/// The node came to run `identity` through a grant that is done since `second`.
pub(super) fn runs(world: &mut World, text: &str, identity: ReleaseId, second: i64) {
    let node = world.node(text);
    node.agent.needed = Field::Absent;
    node.agent.booted = Field::Value(Booted {
        identity,
        version: "2".into(),
        boot: NEXT,
        since: at(second),
    });
    node.kubelet_boot = Some(NEXT);
    node.agent.result = Field::Value(RebootResult {
        id: id(1),
        outcome: Outcome::Done,
        code: None,
        at: at(second),
    });
    phase(node, Phase::Idle);
}

pub(super) fn verdict(world: &World, text: &str) -> String {
    world.plan().verdicts[&name(text)].to_string()
}

/// The plain drain is what the pool was made to keep from the node.
#[test]
fn a_node_whose_agent_does_not_know_what_its_pool_asks_for_is_held() {
    let mut edge = pool("edge");
    edge.drain.mode = DrainMode::None;
    let mut world = world(&["e1=edge"], vec![edge]);
    world.node("e1").agent.features = Names::default();
    let reported = "AgentTooOld: pool edge: its agent does not know `drain.mode`";
    assert_eq!(verdict(&world, "e1"), reported);
    world.node("e1").agent.features = "drain-mode".parse().unwrap();
    assert_eq!(world.granted("e1").drain.mode, DrainMode::None);
}

#[test]
fn each_rule_of_a_pool_holds_its_nodes_and_says_which_pool_it_is() {
    let cases: [(&str, Ask); 8] = [
        ("PoolPaused: pool edge: it is paused", |pool| {
            pool.paused = true
        }),
        (
            "WindowClosed: pool edge: the next window opens 2026-11-23T22:00:00Z",
            |pool| pool.calendar = windows("22:00 1h"),
        ),
        (
            "NotTarget: pool edge: the target is 3, and the node would boot 2 (0202020202020202020202020202020202020202020202020202020202020202)",
            |pool| pool.target = Some(Release::Version("3".into())),
        ),
        (
            "NotTarget: pool edge: the target is 0303030303030303030303030303030303030303030303030303030303030303, and the node would boot 2 (0202020202020202020202020202020202020202020202020202020202020202)",
            |pool| pool.target = Some(Release::Id(OTHER)),
        ),
        (
            "NotApproved: pool edge: 2 (0202020202020202020202020202020202020202020202020202020202020202) is not approved",
            |pool| pool.approved = Some(vec![Release::Id(OTHER), Release::Version("3".into())]),
        ),
        (
            "NotApproved: pool edge: 2 (0202020202020202020202020202020202020202020202020202020202020202) is not approved",
            |pool| pool.approved = Some(vec![]),
        ),
        (
            "BudgetExhausted: pool edge: none of its nodes may be out of service",
            |pool| pool.max_unavailable = MaxUnavailable::Percent(0),
        ),
        (
            "CanaryFirst: pool edge: no canary needs or runs 2 (0202020202020202020202020202020202020202020202020202020202020202)",
            |pool| {
                pool.canary = Some(Canary {
                    who: CanaryWho::Nodes(selector("canary=yes")),
                    soak: SignedDuration::ZERO,
                })
            },
        ),
    ];
    for (expected, ask) in cases {
        let mut edge = pool("edge");
        ask(&mut edge);
        let mut world = world(&["e1=edge", "n1"], vec![edge]);
        world.node("e1").agent.needed_version = Some("2".into());
        assert_eq!(verdict(&world, "e1"), expected);
        // Whoever is not in it goes on.
        assert_eq!(codes(&world.run())[1], ("n1", Code::Granted), "{expected}");
    }
}

#[test]
fn what_is_the_target_or_approved_by_name_or_by_version_goes() {
    let releases = [Release::Id(NEW), Release::Version("2".into())];
    for release in releases {
        let mut edge = pool("edge");
        edge.target = Some(release.clone());
        edge.approved = Some(vec![Release::Id(OTHER), release]);
        let mut world = world(&["e1=edge"], vec![edge]);
        world.node("e1").agent.needed_version = Some("2".into());
        assert_eq!(codes(&world.run()), [("e1", Code::Granted)]);
    }
}

#[test]
fn a_pool_that_makes_no_sense_holds_the_nodes_that_it_selects_or_all() {
    let broken = |selector: Option<Selector>| FoundPool::Invalid {
        name: "edge".parse().unwrap(),
        selector,
        why: "windows[0]: no length".into(),
    };
    let mut world = world(&["e1=edge", "n1"], vec![]);
    world.seen.pools = vec![broken(Some(selector("edge=yes")))];
    let plan = world.run();
    let reported = "PoolInvalid: pool edge: windows[0]: no length";
    assert_eq!(plan.verdicts[&name("e1")].to_string(), reported);
    assert_eq!(plan.verdicts[&name("n1")].code, Code::Granted);
    assert_eq!(plan.pools[0].why.as_ref().unwrap().code, Code::PoolInvalid);

    // The grant that is out is left to the agent once it is accepted.
    world.accept("n1");
    world.seen.pools = vec![broken(None)];
    let expected = [("e1", Code::PoolInvalid), ("n1", Code::Rebooting)];
    assert_eq!(codes(&world.run()), expected);
}

#[test]
fn all_pools_of_a_node_have_to_consent_and_none_goes_beyond_its_budget() {
    let mut wide = pool("wide");
    wide.max_unavailable = MaxUnavailable::Count(3);
    let tight = pool("tight");
    let nodes = ["a=wide+tight", "b=wide+tight", "c=wide", "d=wide", "e=wide"];
    let mut world = world(&nodes, vec![tight, wide]);
    let expected = [
        ("a", Code::Granted),
        ("b", Code::BudgetExhausted),
        ("c", Code::Granted),
        ("d", Code::Granted),
        ("e", Code::BudgetExhausted),
    ];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(
        verdict(&world, "b"),
        "BudgetExhausted: pool tight: 1 of 1 in use: a"
    );
    assert_eq!(
        verdict(&world, "e"),
        "BudgetExhausted: pool wide: 3 of 3 in use: a, c, d"
    );
    let asks: [Ask; 2] = [
        |pool| pool.paused = true,
        |pool| pool.calendar = windows("22:00 1h"),
    ];
    for ask in asks {
        let mut one = super::pools::world(&["a=tight+wide"], vec![pool("tight"), pool("wide")]);
        edit(&mut one, 1, ask);
        assert!(verdict(&one, "a").contains("pool wide: "));
    }
}

#[test]
fn a_share_of_a_pool_grows_and_shrinks_with_it() {
    let mut share = pool("p");
    share.max_unavailable = MaxUnavailable::Percent(34);
    let nodes = ["a=p", "b=p", "c=p", "d=p", "e=p", "f=p"];
    let mut world = world(&nodes, vec![share]);
    assert_eq!(world.run().pools[0].used, 2);
    // With fewer nodes no grant that is out is taken back, but no other is given.
    for gone in ["d", "e", "f"] {
        world.seen.nodes.remove(&name(gone));
    }
    let plan = world.run();
    assert_eq!((plan.pools[0].budget, plan.pools[0].used), (1, 2));
    world.accept("a");
    world.answer("a", Outcome::Done, None);
    assert_eq!(codes(&world.run())[2], ("c", Code::BudgetExhausted));
    world.accept("b");
    world.answer("b", Outcome::Done, None);
    assert_eq!(codes(&world.run())[2], ("c", Code::Granted));
}

/// The grant carries everything that its agent needs; the node counts where it is now.
#[test]
fn nodes_that_are_moved_and_pools_that_are_deleted_change_nothing_about_grants_that_are_accepted() {
    let changes: [Change; 3] = [
        |world| world.seen.pools.clear(),
        |world| {
            let node = world.node("a");
            node.labels.clear();
            node.labels.insert("q".into(), "yes".into());
        },
        |world| {
            edit(world, 0, |pool| {
                pool.paused = true;
                pool.max_unavailable = MaxUnavailable::Count(0);
                pool.drain.timeout_seconds = 1;
            })
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut world = world(&["a=p", "c=q"], vec![pool("p"), pool("q")]);
        let grant = world.granted("a");
        world.accept("a");
        change(&mut world);
        let other = match index {
            2 => Code::Granted,
            _ => Code::BudgetExhausted,
        };
        let expected = [("a", Code::Rebooting), ("c", other)];
        assert_eq!(codes(&world.run()), expected, "case {index}");
        assert_eq!(world.node("a").operator.grant, Field::Value(grant));
    }
}

/// What is not accepted yet is withdrawn when its pool no longer lets the node go.
#[test]
fn a_change_of_the_pool_takes_back_what_is_not_accepted() {
    let cases: [(Code, Ask); 4] = [
        (Code::PoolPaused, |pool| pool.paused = true),
        (Code::WindowClosed, |pool| {
            pool.calendar = windows("22:00 1h")
        }),
        (Code::NotTarget, |pool| {
            pool.target = Some(Release::Id(OTHER))
        }),
        (Code::NotApproved, |pool| pool.approved = Some(vec![])),
    ];
    for stage in ["a: reserved", "ledger: a Granted", "a: grant"] {
        for (code, change) in cases {
            let mut world = world(&["a=p"], vec![pool("p")]);
            world.run_until(stage);
            edit(&mut world, 0, change);
            assert_eq!(codes(&world.plan()), [("a", code)], "{stage}");
            world.run();
            assert_eq!(
                (world.slots().len(), shown(world.node("a"))),
                (0, "".into())
            );
        }
    }
}

/// I2, with a watch of the pools that is behind without end.
#[test]
fn no_slot_is_granted_on_pools_as_they_were() {
    let mut world = world(&["a=p", "b=p"], vec![pool("p")]);
    edit(&mut world, 0, |pool| {
        pool.max_unavailable = MaxUnavailable::Count(2)
    });
    world.granted("a");
    world.run_until("b: reserved");
    let plan = world.plan();
    assert_eq!(plan.act, Act::ConfirmPools);
    // What the read shows.
    edit(&mut world, 0, |pool| {
        pool.max_unavailable = MaxUnavailable::Count(1)
    });
    world.carry_out(&plan.act);
    let plan = world.plan();
    assert_eq!(codes(&plan)[1], ("b", Code::BudgetExhausted));
    world.carry_out(&plan.act);
    assert_eq!(world.slots(), ["a Granted 1"]);
    // The next turn knows nothing of what was read in this one.
    assert!(!world.seen.pools_live);
}

#[test]
fn a_grant_carries_the_drain_and_the_checks_of_its_pools() {
    let mut p = pool("p");
    p.drain.timeout_seconds = 30;
    p.drain.on_timeout = OnTimeout::Delete;
    p.pods.daemon_sets_ready = true;
    p.before = checks(&["example.com/one"]);
    p.after = checks(&["example.com/well"]);
    let mut q = p.clone();
    (q.name, q.selector) = (Some("q".parse().unwrap()), selector("q=yes"));
    q.before = checks(&["example.com/one", "example.com/two"]);
    q.calendar = windows("20:00 62m");
    let (drain, pods) = (p.drain.clone(), p.pods.clone());
    let mut world = world(&["a=p+q"], vec![p, q]);
    let plan = world.run();
    let reason = "BeforeChecks: not yet true: example.com/one, example.com/two";
    assert_eq!(plan.verdicts[&name("a")].to_string(), reason);
    for check in ["example.com/one", "example.com/two"] {
        world.node("a").others.insert(check.into(), "true".into());
    }
    let grant = world.granted("a");
    // The deadline is the end of the first window that closes.
    assert_eq!(
        (grant.drain, grant.pods, grant.deadline),
        (drain, pods, at(NOW + 120))
    );
    world.accept("a");
    world.answer("a", Outcome::Done, None);
    let reason = "AfterChecks: not yet true: example.com/well";
    assert_eq!(world.run().verdicts[&name("a")].to_string(), reason);
}

#[test]
fn pools_that_want_a_node_drained_in_different_ways_hold_it() {
    let changes: [Ask; 2] = [
        |pool| pool.drain.timeout_seconds = 1,
        |pool| pool.pods.daemon_sets_ready = true,
    ];
    for change in changes {
        let mut world = world(&["a=p+q", "b=p"], vec![pool("p"), pool("q")]);
        edit(&mut world, 1, change);
        let plan = world.run();
        assert_eq!(
            plan.verdicts[&name("a")].to_string(),
            "PoolsDiffer: the pools p and q want it drained in different ways"
        );
        assert_eq!(plan.verdicts[&name("b")].code, Code::Granted);
    }
}

#[test]
fn the_first_canaries_run_it_for_a_while_before_the_others() {
    let mut p = pool("p");
    p.max_unavailable = MaxUnavailable::Count(4);
    p.canary = Some(Canary {
        who: CanaryWho::Count(2),
        soak: SignedDuration::from_mins(10),
    });
    let mut world = world(&["a=p", "b=p", "c=p", "d=p"], vec![p]);
    let plan = world.run();
    let expected = [
        ("a", Code::Granted),
        ("b", Code::Granted),
        ("c", Code::CanaryFirst),
        ("d", Code::CanaryFirst),
    ];
    assert_eq!(codes(&plan), expected);
    let new = NEW.to_string();
    assert_eq!(
        verdict(&world, "c"),
        format!("CanaryFirst: pool p: a, b have to run {new} first")
    );

    world.accept("a");
    world.answer("a", Outcome::Done, None);
    // One that does not get there makes room for another.
    world.accept("b");
    world.answer("b", Outcome::Aborted, Some(Code::DrainBlocked));
    let expected = [
        Code::UpToDate,
        Code::AgentHolds,
        Code::Granted,
        Code::CanaryFirst,
    ];
    assert_eq!(
        codes(&world.run())
            .into_iter()
            .map(|(_, code)| code)
            .collect::<Vec<_>>(),
        expected
    );
    world.now += 60;
    world.accept("c");
    world.answer("c", Outcome::Done, None);
    let plan = world.run();
    let until = at(NOW + 660);
    assert_eq!(
        plan.verdicts[&name("d")].to_string(),
        format!("CanaryFirst: pool p: a, c run {new} first, until {until}")
    );
    assert_eq!(plan.wake, Some(until));
    world.now = NOW + 659;
    assert_eq!(codes(&world.run())[3].1, Code::CanaryFirst);
    world.now = NOW + 660;
    assert_eq!(codes(&world.run())[3].1, Code::Granted);
}

/// Whatever they need: two versions would be tried at once, and neither for as long as it was meant to.
#[test]
fn no_more_canaries_are_at_work_than_there_are_to_be() {
    let mut p = pool("p");
    p.max_unavailable = MaxUnavailable::Count(9);
    p.canary = Some(Canary {
        who: CanaryWho::Count(1),
        soak: SignedDuration::ZERO,
    });
    let mut world = world(&["a=p", "b=p", "c=p"], vec![p]);
    world.node("c").agent.needed = Field::Value(OTHER);
    let expected = [
        ("a", Code::Granted),
        ("b", Code::CanaryFirst),
        ("c", Code::ReleasePending),
    ];
    assert_eq!(codes(&world.run()), expected);
}

/// A version every half a minute, and a soak of one: whoever gets to stage a version first would be its canary, and each node would run what
/// no other has run for as long as it was meant to.
#[test]
fn whoever_stages_a_version_first_is_no_canary_while_one_is_at_work() {
    let mut p = pool("p");
    p.max_unavailable = MaxUnavailable::Count(9);
    p.canary = Some(Canary {
        who: CanaryWho::Count(1),
        soak: SignedDuration::from_secs(60),
    });
    let mut world = world(&["a=p", "b=p", "c=p"], vec![p]);
    for text in ["b", "c"] {
        world.node(text).agent.needed = Field::Absent;
    }
    world.granted("a");
    world.accept("a");
    world.answer("a", Outcome::Done, None);
    world.run();
    // The next version is on the others at once, and on the canary later.
    let wants = |world: &mut World, text: &str, identity| {
        world.node(text).agent.needed = Field::Value(identity);
    };
    wants(&mut world, "c", OTHER);
    wants(&mut world, "b", NEW);
    world.now += 29;
    let plan = world.run();
    let waits = [("b", Code::CanaryFirst), ("c", Code::ReleasePending)];
    assert_eq!(codes(&plan)[1..], waits);
    let pending = format!("pool p: {OTHER} waits until {NEW} is promoted or given up");
    assert_eq!(plan.verdicts[&name("c")].message, pending);
    assert_eq!(plan.wake, Some(at(NOW + 60)));
    // Nor does the canary go on to it before it has tried the first.
    wants(&mut world, "a", OTHER);
    phase(world.node("a"), Phase::Waiting);
    wants(&mut world, "b", OTHER);
    let plan = world.run();
    for text in ["a", "b", "c"] {
        let reported = &plan.verdicts[&name(text)];
        let found = (reported.code, &reported.message);
        assert_eq!(found, (Code::ReleasePending, &pending));
    }
    assert_eq!(plan.wake, Some(at(NOW + 60)));
    // Then it is not the one that tries the next, though its name is the first: each of them gets some release.
    world.now = NOW + 60;
    let waits = |text| (text, Code::CanaryFirst);
    let plan = world.run();
    assert_eq!(codes(&plan), [waits("a"), ("b", Code::Granted), waits("c")]);
}

#[test]
fn the_chosen_canaries_go_at_once_and_the_others_after_all_of_them() {
    let mut p = pool("p");
    p.max_unavailable = MaxUnavailable::Count(9);
    p.canary = Some(Canary {
        who: CanaryWho::Nodes(selector("brave=yes")),
        soak: SignedDuration::from_mins(10),
    });
    let mut world = world(&["a=p", "b=p+brave", "c=p+brave"], vec![p]);
    // The operator's own node is last, but not where others wait for it.
    world.seen.own_node = Some(name("b"));
    runs(&mut world, "c", NEW, NOW - 60);
    let plan = world.run();
    let expected = [
        ("a", Code::CanaryFirst),
        ("b", Code::Granted),
        ("c", Code::UpToDate),
    ];
    assert_eq!(codes(&plan), expected);
    let new = NEW.to_string();
    assert_eq!(
        verdict(&world, "a"),
        format!("CanaryFirst: pool p: b, c have to run {new} first")
    );
    world.accept("b");
    // It runs it, but is not done with it.
    let verifying = world.node("b");
    verifying.agent.booted = Field::Value(Booted {
        identity: NEW,
        version: "2".into(),
        boot: NEXT,
        since: at(NOW),
    });
    phase(verifying, Phase::Verifying);
    world.now += 3600;
    assert_eq!(codes(&world.run())[0], ("a", Code::CanaryFirst));
    world.answer("b", Outcome::Done, None);
    let plan = world.run();
    let until = at(NOW + 4200);
    assert_eq!(
        plan.verdicts[&name("a")].to_string(),
        format!("CanaryFirst: pool p: b run {new} first, until {until}")
    );
    assert_eq!(plan.wake, Some(until));
    world.now = NOW + 4200;
    assert_eq!(codes(&world.run())[0], ("a", Code::Granted));
}

/// It may have none without end.
#[test]
fn the_own_node_does_not_wait_for_a_pool_without_room() {
    let mut closed = pool("p");
    closed.max_unavailable = MaxUnavailable::Count(0);
    let mut world = world(&["a", "b=p"], vec![closed]);
    world.seen.own_node = Some(name("a"));
    let expected = [("a", Code::Granted), ("b", Code::BudgetExhausted)];
    assert_eq!(codes(&world.run()), expected);
}

/// It is what runs that is tried, however it came there, and not what the node was last granted or how often it was looked at since.
#[test]
fn a_canary_counts_from_when_it_came_to_run_the_version() {
    let (done, sick) = (
        (Outcome::Done, None),
        (Outcome::Failed, Some(Code::Unhealthy)),
    );
    let back = (Outcome::Failed, Some(Code::RolledBack));
    // When it was seen first, what came of the last grant and when, when its agent last changed its mind, and when the others may go.
    for (runs_since, ended, at_second, status, expected) in [
        (NOW - 60, done, NOW - 60, NOW - 60, Some(NOW + 540)),
        (NOW - 60, done, NOW - 30, NOW, Some(NOW + 570)),
        (NOW - 60, done, NOW - 9000, NOW, Some(NOW + 540)),
        (NOW - 600, done, NOW - 9000, NOW, None),
        // It became healthy long after its boot, and was looked at since.
        (NOW - 9000, sick, NOW - 60, NOW, Some(NOW + 540)),
        (NOW - 9000, sick, NOW - 6000, NOW, None),
        // It tried something else meanwhile.
        (NOW - 9000, back, NOW - 6000, NOW, None),
    ] {
        let mut p = pool("p");
        p.canary = Some(Canary {
            who: CanaryWho::Count(1),
            soak: SignedDuration::from_mins(10),
        });
        let mut world = world(&["a=p", "b=p"], vec![p]);
        runs(&mut world, "a", NEW, at_second);
        let Field::Value(result) = &mut world.node("a").agent.result else {
            panic!("no result");
        };
        (result.outcome, result.code) = (ended.0, ended.1.map(AnyCode::from));
        let Field::Value(booted) = &mut world.node("a").agent.booted else {
            panic!("nothing runs");
        };
        booted.since = at(runs_since);
        let Field::Value(since) = &mut world.node("a").agent.status else {
            panic!("no status");
        };
        since.since = at(status);
        let plan = world.run();
        let code = plan.verdicts[&name("b")].code;
        let waits = (code == Code::CanaryFirst).then_some(plan.wake).flatten();
        assert_eq!(waits, expected.map(at));
        assert_eq!(code == Code::Granted, expected.is_none(), "{code}");
    }
}

/// A canary that is not well is none.
#[test]
fn whoever_runs_it_badly_vouches_for_nothing() {
    let changes: [(Change, bool); 4] = [
        (|_| {}, true),
        (|world| phase(world.node("b"), Phase::Failed), false),
        (|world| fails(world.node("b"), NEW), false),
        (|world| world.node("b").agent.suspected = vec![NEW], false),
    ];
    for (index, (change, vouches)) in changes.into_iter().enumerate() {
        let mut p = pool("p");
        p.max_unavailable = MaxUnavailable::Count(9);
        p.max_failures = 9;
        p.canary = Some(Canary {
            who: CanaryWho::Nodes(selector("brave=yes")),
            soak: SignedDuration::ZERO,
        });
        let mut world = world(&["a=p", "b=p+brave"], vec![p]);
        runs(&mut world, "b", NEW, NOW - 60);
        change(&mut world);
        let code = codes(&world.run())[0].1;
        assert_eq!(code == Code::Granted, vouches, "case {index}: {code}");
    }
}

#[test]
fn a_pool_is_left_alone_for_a_while_after_each_of_its_nodes() {
    for outcome in [Outcome::Done, Outcome::Failed, Outcome::Aborted] {
        let mut p = pool("p");
        p.settle = SignedDuration::from_mins(5);
        let mut world = world(&["a=p", "b=p", "c"], vec![p]);
        world.granted("a");
        world.accept("a");
        world.now += 60;
        world.answer("a", outcome, None);
        let plan = world.run();
        let until = at(NOW + 360);
        assert_eq!(
            plan.verdicts[&name("b")].to_string(),
            format!("PoolSettling: pool p: rests until {until} after node a")
        );
        assert_eq!(plan.verdicts[&name("c")].code, Code::Granted);
        world.accept("c");
        world.now = NOW + 359;
        let plan = world.run();
        assert_eq!(plan.wake, Some(until));
        assert_eq!(plan.verdicts[&name("b")].code, Code::PoolSettling);
        world.now = NOW + 360;
        assert_eq!(codes(&world.run())[1], ("b", Code::Granted));
    }
    // Neither an answer from a clock that is far ahead nor one that touched nothing counts.
    for (outcome, ahead, expected) in [
        (Outcome::Done, 3, Code::PoolSettling),
        (Outcome::Done, 300, Code::PoolSettling),
        (Outcome::Done, 301, Code::Granted),
        (Outcome::Refused, 0, Code::Granted),
    ] {
        let mut p = pool("p");
        p.settle = SignedDuration::from_mins(5);
        let mut world = world(&["a=p", "b=p"], vec![p]);
        runs(&mut world, "a", NEW, NOW + ahead);
        let Field::Value(result) = &mut world.node("a").agent.result else {
            panic!("no result");
        };
        result.outcome = outcome;
        assert_eq!(codes(&world.run())[1], ("b", expected), "{ahead}");
    }
}

#[test]
fn an_identity_is_given_up_after_as_many_failures_as_the_strictest_pool_bears() {
    let cases = [
        (1, 9, 1, Code::IdentityFailed),
        (2, 9, 1, Code::Granted),
        (2, 9, 2, Code::IdentityFailed),
        (9, 3, 2, Code::Granted),
        (9, 3, 3, Code::IdentityFailed),
    ];
    for (mine, other, failures, expected) in cases {
        let nodes = ["a=p+q", "x=r", "y=r", "z"];
        let mut world = world(&nodes, vec![pool("p"), pool("q"), pool("r")]);
        edit(&mut world, 0, |pool| pool.max_failures = mine);
        edit(&mut world, 1, |pool| pool.max_failures = other);
        for failed_on in ["x", "y", "z"] {
            world.node(failed_on).agent.needed = Field::Absent;
        }
        for failed_on in ["x", "y", "z"].into_iter().take(failures) {
            fails(world.node(failed_on), NEW);
        }
        let found = codes(&world.run())[0].1;
        assert_eq!(found, expected, "{failures} of {mine} and {other}");
    }
    // A node that failed with it does not try it again, whatever the pool allows.
    let mut world = world(&["a=p"], vec![pool("p")]);
    edit(&mut world, 0, |pool| pool.max_failures = 9);
    fails(world.node("a"), NEW);
    assert_eq!(codes(&world.run()), [("a", Code::IdentityFailed)]);
}

#[test]
fn nodes_go_in_the_order_of_their_pool() {
    let cases: [(Order, &[&str]); 5] = [
        (Order::default(), &["a", "b", "d", "e", "c"]),
        (
            Order {
                by: OrderBy::Name,
                control_plane_first: true,
            },
            &["c", "a", "b", "d", "e"],
        ),
        (
            Order {
                by: OrderBy::Zone("zone".into()),
                control_plane_first: false,
            },
            &["b", "e", "a", "d", "c"],
        ),
        (
            Order {
                by: OrderBy::OldestVersion,
                control_plane_first: false,
            },
            &["d", "b", "a", "e", "c"],
        ),
        (
            Order {
                by: OrderBy::OldestVersion,
                control_plane_first: true,
            },
            &["c", "d", "b", "a", "e"],
        ),
    ];
    for (order, expected) in cases {
        let mut world = world(&["a=p", "b=p", "c=p", "d=p", "e=p"], vec![pool("p")]);
        edit(&mut world, 0, |pool| pool.order = order.clone());
        world.node("c").control_plane = true;
        for (node, zone, version) in [
            ("a", Some("z2"), "41.10"),
            ("b", Some("z1"), "41.9"),
            ("c", Some("z1"), "40"),
            ("d", None, "41.2"),
            ("e", Some("z1"), "42"),
        ] {
            let zone = zone.map(|zone| ("zone".to_owned(), zone.to_owned()));
            world.node(node).labels.extend(zone);
            let Field::Value(booted) = &mut world.node(node).agent.booted else {
                panic!("nothing booted");
            };
            booted.version = version.into();
        }
        assert_eq!(
            world.all_done(),
            (expected.iter().map(|n| (*n).to_owned()).collect(), 1),
            "{order:?}"
        );
    }
}

/// Two pools, each with room, must not take down two nodes of the control plane between them.
#[test]
fn one_node_of_the_control_plane_goes_at_a_time_across_all_pools() {
    let nodes = ["a=p", "b=q", "c=p", "d=q"];
    let mut world = world(&nodes, vec![pool("p"), pool("q")]);
    for place in [0, 1] {
        edit(&mut world, place, |pool| {
            pool.max_unavailable = MaxUnavailable::Count(2);
            pool.order.control_plane_first = true;
        });
    }
    for control in ["a", "b"] {
        world.node(control).control_plane = true;
    }
    let expected = [
        ("a", Code::Granted),
        ("b", Code::ControlPlaneBusy),
        ("c", Code::Granted),
        ("d", Code::Granted),
    ];
    assert_eq!(codes(&world.run()), expected);
}

#[test]
fn each_pool_is_told_in_numbers_with_the_reason_why_nothing_happens() {
    let mut p = pool("p");
    p.max_unavailable = MaxUnavailable::Percent(50);
    let mut q = pool("q");
    q.calendar = windows("22:00 1h");
    let nodes = ["a=p", "b=p", "c=p", "d=p", "e=q", "f=q", "g"];
    let mut world = world(&nodes, vec![p, q]);
    runs(&mut world, "b", NEW, NOW - 60);
    world.node("c").ready = false;
    world.node("f").paused = true;
    fails(world.node("g"), NEW);
    world.node("a").agent.needed_version = Some("2".into());
    let plan = world.run();
    let target = |version: &str, nodes| TargetReport {
        version: Some(version.into()),
        nodes,
    };
    let slot = SlotReport {
        node: name("a"),
        id: id(2),
        identity: NEW,
        stage: Stage::Granted,
        since: at(NOW),
        why: None,
    };
    let expected = [
        PoolReport {
            name: Some("p".parse().unwrap()),
            members: 4,
            needing: 3,
            rebooting: 1,
            unavailable: 1,
            up_to_date: 1,
            budget: 2,
            used: 2,
            slots: vec![slot],
            targets: [(OLD, target("1", 3)), (NEW, target("2", 4))].into(),
            open: true,
            why: Some(Reason::new(
                Code::BudgetExhausted,
                "pool p: 2 of 2 in use: a, c",
            )),
            ..PoolReport::default()
        },
        PoolReport {
            name: Some("q".parse().unwrap()),
            members: 2,
            needing: 2,
            budget: 1,
            targets: [
                (OLD, target("1", 2)),
                (
                    NEW,
                    TargetReport {
                        version: None,
                        nodes: 2,
                    },
                ),
            ]
            .into(),
            next_opening: Some(at(NOW + 3600)),
            why: Some(Reason::new(
                Code::IdentityFailed,
                format!("{NEW} failed on node g (RolledBack)"),
            )),
            ..PoolReport::default()
        },
    ];
    // What failed on g is tried nowhere else; without that the pools' own rules show.
    assert_eq!(plan.pools[1], expected[1]);
    assert_eq!(plan.pools[2].failed, 1);
    world.node("g").agent.failed = Field::Absent;
    edit(&mut world, 1, |pool| pool.calendar = Calendar::default());
    world.node("e").paused = true;
    world.node("g").paused = true;
    let plan = world.run();
    assert_eq!(plan.pools[..1], expected[..1]);
    assert_eq!(plan.pools[1].why, Some(Code::Paused.into()));
    assert_eq!(
        (plan.pools[1].open, plan.pools[1].next_opening),
        (true, None)
    );
}

#[test]
fn only_so_many_targets_are_told() {
    let names: Vec<_> = (10..40).map(|number| format!("n{number}=p")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut world = world(&names, vec![pool("p")]);
    for (number, node) in (0u8..).zip(world.seen.nodes.values_mut()) {
        let identity = ReleaseId::Commit([number / 2 + 9; 32]);
        node.agent.needed = Field::Value(identity);
    }
    let targets = &world.plan().pools[0].targets;
    assert_eq!((targets.len(), targets[&OLD].nodes), (TARGETS, 30));
}
