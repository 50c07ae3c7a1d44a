//! A staged deployment that nobody has locked (I1).

use super::*;

#[test]
fn it_is_announced_until_somebody_locks_it_and_booted_with_a_grant_all_the_same() {
    let mut world = World::new();
    world.seen.survey = noted(false);
    let at_risk = Some(Code::StagedUnlocked);
    assert_eq!(world.shows(), (Phase::Waiting, at_risk, Act::Wait));
    world.node().paused = true;
    let held = world.run().reason.unwrap();
    assert_eq!(held.code, Code::Paused);
    let both = "An administrator paused this node.; 020202020202 is staged and not locked";
    assert!(held.message.starts_with(both), "{held}");
    world.node().paused = false;
    world.seen.survey = noted(true);
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.seen.survey = noted(false);
    world.until_reboot();
}

/// A newer version takes the place of the agent's own before a grant, and never after; somebody else's stays.
#[test]
fn a_newer_version_replaces_only_what_nobody_counts_on() {
    let mut world = World::new();
    world.run();
    world.seen.survey = noted(true);
    world.seen.check_due = true;
    assert_eq!(world.run().act, Act::Wait, "somebody else's");
    world.state.ours = Some(deployment(NEW, true).id);
    assert_eq!(world.run().act, Act::Stage);
    world.grant();
    world.seen.pods = Ok(vec![web()]);
    assert_eq!(world.run().act, evicts(&[web()]), "granted");
    world.seen.pods = Ok(vec![]);
    world.until_reboot();
}

/// The agent or rpm-ostreed was gone when the run ended, or the state was lost.
#[test]
fn what_a_run_staged_that_nobody_heard_of_is_the_agents_own() {
    let id = deployment(NEW, true).id;
    let mut world = World::new();
    let pending = world.host().pending.take();
    world.seen.check_due = true;
    assert_eq!(world.run().act, Act::Stage);
    assert!(world.state.staging.is_some(), "on disk before the act");
    world.seen.check_due = false;
    world.seen.staging = Staging::Lasting;
    world.host().pending = pending;
    world.seen.survey = noted(true);
    world.run();
    assert_eq!(world.state.ours, None, "it is still under way");
    world.seen.staging = Staging::Idle;
    world.run();
    let known = (world.state.ours.clone(), world.state.staging.clone());
    assert_eq!(known, (Some(id.clone()), None));

    let mut lost = World::new();
    lost.seen.survey = noted(true);
    lost.run();
    assert_eq!(lost.state.ours, Some(id));
}

#[test]
fn what_somebody_else_staged_meanwhile_is_not_the_agents_own() {
    type Change = fn(&mut World);
    let cases: [(&str, Change); 3] = [
        ("not locked", |world| world.seen.survey = noted(false)),
        ("not known", |world| {
            world.seen.survey = Err("no bus".into());
        }),
        ("another boot", |world| {
            world.seen.survey = noted(true);
            world.seen.boot = NEXT;
        }),
    ];
    for (what, change) in cases {
        let mut world = World::new();
        let pending = world.host().pending.take();
        world.seen.check_due = true;
        assert_eq!(world.run().act, Act::Stage);
        world.seen.check_due = false;
        world.host().pending = pending;
        change(&mut world);
        world.run();
        assert_eq!(world.state.ours, None, "{what}");
    }
}

/// Nobody boots it any more, whoever staged it.
#[test]
fn what_failed_is_replaced_by_whatever_is_newer() {
    let mut world = World::new();
    world.seen.check_due = true;
    assert_eq!(world.run().act, Act::Wait);
    world.state.failed.add(Failure {
        identity: NEW,
        code: Code::RolledBack.into(),
        at: at(1),
    });
    assert_eq!(world.run().act, Act::Stage);
}
