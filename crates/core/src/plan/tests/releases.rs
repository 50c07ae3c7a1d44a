//! Which release each node is told to go to, and what a pool makes of what its nodes announce.

use super::pools::{Ask, edit, pool, runs, selector, verdict, world};
use super::*;
use crate::features::Feature;
use crate::pool::{Canary, CanaryWho, Release};
use crate::release::{Declaration, Declared, Ended, Following, NamedRelease, Rollout, Source};

/// Nodes as `NAME=POOL+LABEL` whose agents can be told what to stage; they run [`OLD`] and announce nothing.
fn agents(nodes: &[&str], pools: Vec<Pool>) -> World {
    let mut world = world(nodes, pools);
    for node in world.seen.nodes.values_mut() {
        node.agent.features = Feature::own();
        node.agent.needed = Field::Absent;
        phase(node, Phase::Idle);
    }
    world
}

/// The canary is `brave=yes`, for ten minutes.
fn by_name(text: &str) -> Pool {
    Pool {
        max_unavailable: MaxUnavailable::Count(9),
        canary: Some(Canary {
            who: CanaryWho::Nodes(selector("brave=yes")),
            soak: SignedDuration::from_mins(10),
        }),
        ..pool(text)
    }
}

fn declared(what: Declaration) -> Option<Declared> {
    Some(Declared {
        what,
        downgrade: false,
    })
}

/// The node has staged it.
fn announces(world: &mut World, text: &str, identity: ReleaseId) {
    let node = world.node(text);
    node.agent.needed = Field::Value(identity);
    phase(node, Phase::Waiting);
}

/// The node follows this, which leads to `goal`.
fn follows(world: &mut World, text: &str, source: Source, goal: Option<(ReleaseId, &str)>) {
    world.node(text).agent.following = Field::Value(Following {
        source,
        reference: "fedora:fedora/x86_64/coreos/stable".into(),
        goal: goal.map(|(identity, version)| NamedRelease {
            identity,
            version: Some(version.into()),
        }),
        behind: None,
    });
}

/// The node does as it was granted.
fn updates(world: &mut World, text: &str, identity: ReleaseId) {
    if world.node(text).operator.grant.is_absent() {
        world.granted(text);
    }
    world.accept(text);
    world.answer(text, Outcome::Done, None);
    let now = world.now;
    runs(world, text, identity, now);
    let node = world.node(text);
    let Field::Value(result) = &mut node.agent.result else {
        panic!("no result")
    };
    result.id = node.operator.grant.value().unwrap().id;
    world.run();
}

fn said(world: &World, text: &str) -> String {
    told(
        &world.seen.nodes[&name(text)]
            .operator
            .assigned
            .value()
            .cloned(),
    )
}

fn rollout(world: &World) -> Rollout {
    let found = world.seen.rollouts.get(&"p".parse().unwrap());
    found.cloned().unwrap_or_default()
}

/// What happened to the pool `p`.
fn happened(world: &mut World) -> Vec<String> {
    let log = std::mem::take(&mut world.log);
    let about = log.iter().filter_map(|line| line.strip_prefix("p: "));
    about.map(str::to_owned).collect()
}

const V: [&str; 4] = [
    "010101010101",
    "020202020202",
    "030303030303",
    "040404040404",
];

#[test]
fn a_candidate_is_tried_by_the_canary_and_then_goes_to_all() {
    let mut world = agents(&["a=p+brave", "b=p", "c=p"], vec![by_name("p")]);
    world.run();
    assert!(world.log.is_empty(), "nothing to do: {:?}", world.log);
    announces(&mut world, "a", NEW);
    announces(&mut world, "c", NEW);
    let plan = world.run();
    assert_eq!(happened(&mut world), [format!("choose {}", V[1])]);
    let expected = [
        ("a", Code::Granted),
        ("b", Code::UpToDate),
        ("c", Code::CanaryFirst),
    ];
    assert_eq!(codes(&plan), expected);
    // A node that has a slot is told nothing; one that has staged the candidate keeps it, and the other stays where it is.
    let told = ["a", "b", "c"].map(|text| said(&world, text));
    assert_eq!(told, ["nothing", V[0], V[1]]);

    updates(&mut world, "a", NEW);
    assert_eq!(said(&world, "a"), V[1]);
    // What is newer waits, whoever finds it.
    announces(&mut world, "b", OTHER);
    assert_eq!(
        verdict(&world, "b"),
        format!("ReleasePending: pool p: {OTHER} waits until {NEW} is promoted or given up")
    );
    world.now += 600;
    world.run();
    assert_eq!(happened(&mut world), ["promote"]);
    let told = ["a", "b"].map(|text| said(&world, text));
    assert_eq!(told, ["nothing".to_owned(), V[1].to_owned()]);
    assert_eq!(rollout(&world).promoted_at, Some(at(NOW + 600)));
    let past = &rollout(&world).history[0];
    assert_eq!((past.outcome, past.nodes), (Ended::Promoted, 1));
    announces(&mut world, "b", NEW);
    assert_eq!(codes(&world.run())[1].1, Code::Granted);
}

#[test]
fn what_failed_on_its_canary_is_given_up_and_nobody_is_told_to_stage_it_again() {
    let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    world.granted("a");
    world.accept("a");
    world.answer("a", Outcome::Failed, Some(Code::RolledBack));
    fails(world.node("a"), NEW);
    world.node("a").agent.needed = Field::Absent;
    phase(world.node("a"), Phase::Idle);
    world.run();
    assert!(happened(&mut world).contains(&format!("give up {}", V[1])));
    for text in ["a", "b"] {
        assert_eq!(said(&world, text), format!("look not {}", V[1]));
    }
    announces(&mut world, "b", NEW);
    assert_eq!(codes(&world.run())[1].1, Code::IdentityFailed);
    // It stays so where nobody can tell any more why.
    world.seen.nodes.remove(&name("a"));
    let plan = world.run();
    assert_eq!(
        plan.verdicts[&name("b")].to_string(),
        format!("IdentityFailed: pool p: {NEW} was given up")
    );
}

#[test]
fn what_no_longer_failed_where_it_did_is_tried_again() {
    let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    world.run();
    fails(world.node("a"), NEW);
    world.run();
    happened(&mut world);
    world.node("a").agent.failed = Field::Absent;
    world.run();
    let expected = [format!("forgive {}", V[1]), format!("choose {}", V[1])];
    assert_eq!(happened(&mut world), expected);
}

/// A kubelet that needs longer than the agent waits for it looks like a release that does not work, until it is there.
#[test]
fn what_was_promoted_and_only_seemed_to_fail_goes_on() {
    let mut world = agents(&["a=p+brave", "b=p", "c=p"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    updates(&mut world, "a", NEW);
    world.run();
    world.now += 600;
    world.run();
    assert!(happened(&mut world).contains(&"promote".to_owned()));
    announces(&mut world, "b", NEW);
    updates(&mut world, "b", NEW);
    fails(world.node("b"), NEW);
    announces(&mut world, "c", NEW);
    world.run();
    assert_eq!(happened(&mut world), [format!("give up {}", V[1])]);
    assert_eq!(
        verdict(&world, "c").split(':').next(),
        Some("IdentityFailed")
    );

    world.node("b").agent.failed = Field::Absent;
    world.run();
    let expected = [
        format!("forgive {}", V[1]),
        format!("choose {}", V[1]),
        "promote".to_owned(),
    ];
    assert_eq!(happened(&mut world), expected);
    assert_eq!(codes(&world.run())[2].1, Code::Granted);
}

#[test]
fn a_candidate_waits_for_its_approval_and_a_newer_approval_takes_its_place() {
    let mut p = pool("p");
    p.approved = Some(vec![]);
    let mut world = agents(&["a=p", "b=p"], vec![p]);
    announces(&mut world, "a", NEW);
    let plan = world.run();
    assert_eq!(codes(&plan)[0].1, Code::NotApproved);
    assert_eq!(happened(&mut world), [format!("choose {}", V[1])]);
    // All stage it meanwhile, and it stays whatever is newer.
    assert_eq!([said(&world, "a"), said(&world, "b")], [V[1], V[1]]);
    edit(&mut world, 0, |pool| {
        pool.approved = Some(vec![Release::Id(OTHER)]);
    });
    world.run();
    let superseded = format!("supersede {}", V[2]);
    assert_eq!(happened(&mut world), [superseded, "promote".to_owned()]);
    // Before what is next comes what is promoted.
    assert_eq!([said(&world, "a"), said(&world, "b")], [V[2], V[2]]);
    announces(&mut world, "b", OTHER);
    let plan = world.run();
    assert_eq!(codes(&plan)[1].1, Code::Granted);
    updates(&mut world, "b", OTHER);
    // Only who is there looks for what comes next.
    assert_eq!([said(&world, "a"), said(&world, "b")], [V[2], "nothing"]);
    let plan = world.run();
    assert_eq!(codes(&plan)[0].1, Code::NotApproved);
}

#[test]
fn what_is_declared_is_staged_by_all_and_nothing_else_is_granted() {
    let image = |text: &str| Declaration::Image(text.parse().unwrap());
    let digest = format!("quay.io/acme/os@{}", ReleaseId::Image([3; 32]));
    let cases = [
        (
            Declaration::Commit(OTHER),
            format!("declared {}", V[2]),
            OTHER,
        ),
        (
            Declaration::Version("3".into()),
            "declared 3 look".into(),
            OTHER,
        ),
        (
            image(&digest),
            format!("declared {digest} {}", ReleaseId::Image([3; 32]).short()),
            ReleaseId::Image([3; 32]),
        ),
    ];
    for (what, expected, identity) in cases {
        let mut p = pool("p");
        p.release = declared(what.clone());
        let mut world = agents(&["a=p"], vec![p]);
        announces(&mut world, "a", NEW);
        let reported =
            format!("ReleasePending: pool p: the release is {what}, and the node would boot {NEW}");
        assert_eq!(verdict(&world, "a"), reported);
        world.run();
        assert_eq!(said(&world, "a"), expected);
        announces(&mut world, "a", identity);
        world.node("a").agent.needed_version = Some("3".into());
        assert_eq!(codes(&world.run()), [("a", Code::Granted)]);
        // The plain update is not what was asked for.
        world.node("a").agent.features = Default::default();
        assert_eq!(codes(&world.run()), [("a", Code::AgentTooOld)]);
        // Without the declaration it follows its own source again.
        world.node("a").agent.features = Feature::own();
        edit(&mut world, 0, |pool| pool.release = None);
        world.node("a").agent.needed = Field::Absent;
        world.run();
        assert_eq!(said(&world, "a"), "nothing");
    }
}

#[test]
fn a_downgrade_is_meant_only_where_it_is_declared() {
    let mut p = by_name("p");
    p.release = Some(Declared {
        what: Declaration::Commit(OTHER),
        downgrade: true,
    });
    let mut world = agents(&["a=p+brave", "b=p"], vec![p]);
    world.run();
    let told = [said(&world, "a"), said(&world, "b")];
    assert_eq!(
        told,
        [format!("declared downgrade {}", V[2]), V[0].to_owned()]
    );
}

/// The node that finds it out is the first; the others are told by identity, and it is what runs there already, too.
#[test]
fn a_tag_is_for_one_node_to_find_out() {
    let mut p = pool("p");
    p.release = declared(Declaration::Image(
        "quay.io/acme/os:stable".parse().unwrap(),
    ));
    let mut world = agents(&["a=p", "b=p"], vec![p]);
    let (tag, new) = ("quay.io/acme/os:stable", ReleaseId::Image([2; 32]));
    world.run();
    let told = [said(&world, "a"), said(&world, "b")];
    assert_eq!(told, [format!("declared {tag} look"), V[0].to_owned()]);
    // What it had staged before is not what the tag names.
    announces(&mut world, "a", NEW);
    world.run();
    assert_eq!(rollout(&world), Rollout::default());
    follows(&mut world, "a", Source::Cluster, Some((new, "2")));
    announces(&mut world, "a", new);
    world.run();
    let id = new.short();
    assert_eq!(
        happened(&mut world),
        [format!("choose {id}"), "promote".into()]
    );
    assert_eq!(said(&world, "b"), format!("declared {tag} {id}"));
    // Another tag takes its place, and a node that runs it already finds it, too.
    edit(&mut world, 0, |pool| {
        pool.release = declared(Declaration::Image("quay.io/acme/os:next".parse().unwrap()));
    });
    updates(&mut world, "a", new);
    let next = "quay.io/acme/os:next";
    let told = [said(&world, "a"), said(&world, "b")];
    let expected = [
        format!("declared {tag} {id}"),
        format!("declared {next} look"),
    ];
    assert_eq!(told, expected);
    follows(&mut world, "b", Source::Cluster, Some((new, "2")));
    world.run();
    assert_eq!(said(&world, "b"), format!("declared {next} {id}"));
}

/// Both architectures of one version.
#[test]
fn a_candidate_has_one_identity_for_each_architecture() {
    let nodes = ["a=p+brave", "b=p+brave", "c=p", "d=p"];
    let mut world = agents(&nodes, vec![by_name("p")]);
    for (text, kind) in [
        ("a", "amd64"),
        ("b", "arm64"),
        ("c", "amd64"),
        ("d", "arm64"),
    ] {
        let node = world.node(text);
        node.labels.insert(ARCHITECTURE.into(), kind.into());
        node.agent.needed_version = Some("2".into());
    }
    announces(&mut world, "a", NEW);
    world.run();
    assert_eq!(happened(&mut world), [format!("choose {}", V[1])]);
    // The other canary looks, and those that are none stay.
    let told = ["b", "c", "d"].map(|text| said(&world, text));
    assert_eq!(told, ["nothing", V[0], V[0]]);
    announces(&mut world, "b", OTHER);
    world.run();
    assert_eq!(happened(&mut world), [format!("resolve arm64 {}", V[2])]);
    updates(&mut world, "a", NEW);
    updates(&mut world, "b", OTHER);
    world.now += 600;
    world.run();
    let told = ["c", "d"].map(|text| said(&world, text));
    assert_eq!(told, [V[1], V[2]]);
}

/// Releases that have to be booted first are no candidates of their own.
#[test]
fn a_hop_to_the_candidate_needs_no_candidate_of_its_own() {
    let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
    for text in ["a", "b"] {
        follows(&mut world, text, Source::Graph, Some((OTHER, "3")));
        announces(&mut world, text, NEW);
    }
    let plan = world.run();
    assert_eq!(happened(&mut world), [format!("choose {}", V[2])]);
    let expected = [("a", Code::Granted), ("b", Code::CanaryFirst)];
    assert_eq!(codes(&plan), expected);
    assert_eq!(said(&world, "b"), V[2]);
    updates(&mut world, "a", NEW);
    assert_eq!(said(&world, "a"), V[2]);
    follows(&mut world, "a", Source::Graph, Some((OTHER, "3")));
    announces(&mut world, "a", OTHER);
    updates(&mut world, "a", OTHER);
    assert_eq!(codes(&world.run())[1].1, Code::CanaryFirst);
    world.now += 600;
    assert_eq!(codes(&world.run())[1].1, Code::Granted);
    // A node that aims higher waits until it aims at what is promoted.
    follows(
        &mut world,
        "b",
        Source::Graph,
        Some((ReleaseId::Commit([4; 32]), "4")),
    );
    assert_eq!(codes(&world.run())[1].1, Code::CanaryFirst);
}

#[test]
fn packages_that_change_alone_wait_for_no_candidate() {
    let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
    announces(&mut world, "b", OLD);
    assert_eq!(codes(&world.run())[1].1, Code::Granted);
    assert_eq!(rollout(&world), Rollout::default());
}

#[test]
fn a_node_goes_to_one_release_whatever_pools_it_is_in() {
    let text =
        "PoolsDiffer: the pools p and q want it to run different releases, or both have canaries";
    let commit = |identity| declared(Declaration::Commit(identity));
    type Case = (fn(&mut Pool), Option<Declared>, bool);
    let cases: [Case; 4] = [
        (|_| {}, commit(NEW), false),
        (|_| {}, commit(OTHER), true),
        (
            |pool| (pool.canary, pool.release) = (by_name("p").canary, None),
            commit(NEW),
            true,
        ),
        (|pool| pool.release = None, commit(OTHER), false),
    ];
    for (index, (change, other, differ)) in cases.into_iter().enumerate() {
        let (mut p, mut q) = (pool("p"), pool("q"));
        p.release = commit(NEW);
        q.release = other;
        change(&mut p);
        let mut world = agents(&["a=p+q"], vec![p, q]);
        announces(&mut world, "a", NEW);
        let differs = verdict(&world, "a") == text;
        assert_eq!(differs, differ, "case {index}: {}", verdict(&world, "a"));
        world.node("a").agent.needed = Field::Absent;
        world.run();
        assert_eq!(said(&world, "a") == "nothing", differ, "case {index}");
    }
    let mut world = agents(&["a=p+q+brave"], vec![by_name("p"), by_name("q")]);
    announces(&mut world, "a", NEW);
    assert_eq!(verdict(&world, "a"), text);
}

/// Of its own accord no node goes back.
#[test]
fn a_node_that_is_moved_stays_with_what_is_newer() {
    let mut world = agents(&["a=p+brave", "b=p", "c=q"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    world.node("a").agent.needed_version = Some("2".into());
    updates(&mut world, "a", NEW);
    world.now += 600;
    world.run();
    runs(&mut world, "c", OTHER, NOW);
    let node = world.node("c");
    node.labels.insert("p".into(), "yes".into());
    let Field::Value(booted) = &mut node.agent.booted else {
        panic!("nothing booted")
    };
    booted.version = "10".into();
    world.run();
    assert_eq!([said(&world, "b"), said(&world, "c")], [V[1], V[2]]);
}

#[test]
fn what_was_lost_is_restored_from_what_the_nodes_were_told() {
    let mut world = agents(&["a=p+brave", "b=p", "c=p"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    world.node("a").agent.needed_version = Some("2".into());
    updates(&mut world, "a", NEW);
    let failed = ReleaseId::Commit([9; 32]);
    let mut known = world.node("b").operator.assigned.value().cloned().unwrap();
    known.avoid = vec![failed];
    world.node("b").operator.assigned = Field::Value(known);
    world.seen.rollouts.clear();
    world.log.clear();
    world.run();
    assert_eq!(happened(&mut world), [format!("restore {}", V[1])]);
    assert!(rollout(&world).gave_up(&failed));
    // Its soak goes on as it was.
    world.now += 599;
    world.run();
    assert!(happened(&mut world).is_empty());
    world.now += 1;
    world.run();
    assert_eq!(happened(&mut world), ["promote"]);
}

/// Agents that can't be told stage what is newest, so what nobody has any more is no candidate.
#[test]
fn a_candidate_that_nobody_can_stage_is_none() {
    let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
    for text in ["a", "b"] {
        world.node(text).agent.features = Default::default();
    }
    announces(&mut world, "a", NEW);
    world.node("a").paused = true;
    world.run();
    announces(&mut world, "a", OTHER);
    world.run();
    let expected = [
        format!("choose {}", V[1]),
        "supersede".to_owned(),
        format!("choose {}", V[2]),
    ];
    assert_eq!(happened(&mut world), expected);
}

/// While its write is under way, a pool is as it was.
#[test]
fn nothing_is_written_about_a_pool_that_is_busy() {
    let mut world = agents(&["a=p+brave"], vec![by_name("p")]);
    announces(&mut world, "a", NEW);
    world.seen.pools_busy.insert("p".parse().unwrap());
    assert_eq!(codes(&world.run()), [("a", Code::CanaryFirst)]);
    world.seen.pools_busy.clear();
    assert_eq!(codes(&world.run()), [("a", Code::Granted)]);
}

#[test]
fn a_pool_without_a_candidate_leaves_its_nodes_to_their_own_source() {
    let ends: [Ask; 2] = [
        |pool| pool.canary = None,
        |pool| (pool.canary, pool.approved) = (None, None),
    ];
    for end in ends {
        let mut world = agents(&["a=p+brave", "b=p"], vec![by_name("p")]);
        announces(&mut world, "a", NEW);
        world.run_until("b: told");
        happened(&mut world);
        edit(&mut world, 0, end);
        world.run();
        assert_eq!(happened(&mut world), ["end"]);
        assert_eq!(said(&world, "b"), "nothing");
    }
}
