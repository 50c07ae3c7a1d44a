//! What is reported of an update that ostree could not write to the disk at the shutdown.

use super::*;

const SAID: &str = "Installing kernel: regfile copy: No space left on device";

/// The host is up again without the update: the unit that says so has failed, and this is what ostree said.
fn unwritten(said: Option<&str>) -> Result<Survey, String> {
    let unit = health::units(&[("ostree-boot-complete.service", "failed")]);
    unit.map(|survey| Survey {
        finalize_error: said.map(str::to_owned),
        ..survey
    })
}

fn loses(said: Option<&str>) -> World {
    let mut world = World::new();
    world.until_reboot();
    world.boots(OLD, None, &[]);
    world.seen.survey = unwritten(said);
    world
}

fn reported(world: &mut World) -> String {
    let reason = world.run().reason;
    assert_eq!(
        world.node().agent.reason.value(),
        reason.clone().map(Reason::read).as_ref(),
        "the Node shows what the step says"
    );
    reason.unwrap().to_string()
}

#[test]
fn ostree_is_quoted_where_its_words_are_known() {
    let means = Code::FinalizationFailed.means();
    for (said, expected) in [
        (
            None,
            format!("FinalizationFailed: granted {NEW}, booted {OLD}: {means}"),
        ),
        (
            Some(SAID),
            format!(
                "FinalizationFailed: ostree could not write the update to the disk at the shutdown: {SAID} (granted {NEW}, booted {OLD})"
            ),
        ),
    ] {
        let mut world = loses(said);
        assert_eq!(reported(&mut world), expected);
        assert_eq!(
            world.released(),
            Ok((Outcome::Aborted, Some(Code::FinalizationFailed)))
        );
        // It is reported for as long as it is a reason, and the same however often it is looked at.
        world.host().pending = Some(deployment(NEW, true));
        assert_eq!(reported(&mut world), expected);
    }
    let long = reported(&mut loses(Some(&"no space ".repeat(100))));
    assert!(
        long.contains("shutdown: no space no space") && long.ends_with('…'),
        "{long}"
    );
}

/// Words about one update are not reported of another.
#[test]
fn a_version_that_failed_is_told_with_the_words_about_it() {
    for (lost, known) in [(NEW, true), (OTHER, false)] {
        let mut world = loses(Some(SAID));
        world.run();
        world.state.failed.add(Failure {
            identity: NEW,
            code: Code::FinalizationFailed.into(),
            at: at(1000),
        });
        world.state.lost = Some(state::Lost {
            unexplained: 0,
            identity: lost,
            times: 3,
        });
        world.host().pending = Some(deployment(NEW, true));
        let text = reported(&mut world);
        let begins = format!("IdentityFailed: {NEW} failed here: ostree could not write");
        assert!(text.starts_with(&begins), "{text}");
        assert_eq!(text.ends_with(SAID), known, "{text}");
    }
}

/// It speaks of an update that did come to the disk, or of one that nobody was granted.
#[test]
fn other_ends_of_an_update_are_told_without_ostree() {
    let mut world = loses(Some(SAID));
    world.boots(NEW, None, &[OLD]);
    assert_eq!(world.run().reason, None);
    assert_eq!(world.released(), Ok((Outcome::Done, None)));

    let mut world = loses(Some(SAID));
    world.boots(OLD, Some(deployment(NEW, false)), &[]);
    let text = reported(&mut world);
    assert!(
        text.contains("IdentityFailed") && !text.contains(SAID),
        "{text}"
    );
}
