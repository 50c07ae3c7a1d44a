//! A staged deployment that nobody has locked (I1).

use super::*;
use crate::survey::StagedNote;

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

#[test]
fn it_is_announced_until_somebody_locks_it_and_booted_with_a_grant_all_the_same() {
    let mut world = World::new();
    world.seen.survey = noted(false);
    let at_risk = Some(Code::StagedUnlocked);
    assert_eq!(world.shows(), (Phase::Waiting, at_risk, Act::Wait));
    world.node().paused = true;
    assert_eq!(world.shows(), (Phase::Held, Some(Code::Paused), Act::Wait));
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
