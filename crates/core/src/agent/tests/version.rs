//! The version of what a reboot will boot, for pools that are pinned or approved by it.

use super::*;

#[test]
fn the_version_is_told_with_what_is_needed_and_goes_with_it() {
    let mut world = World::new();
    let mut pending = deployment(NEW, true);
    pending.version = "43.20261020.3.0".into();
    world.host().pending = Some(pending);
    world.run();
    let reported = world.node().agent.needed_version.clone();
    assert_eq!(reported.as_deref(), Some("43.20261020.3.0"));

    // Where the commit has no version, the short release id stands for it on the host, but is none.
    world.host().pending = Some(deployment(OTHER, true));
    world.run();
    assert_eq!(world.node().agent.needed, Field::Value(OTHER));
    assert_eq!(world.node().agent.needed_version, None);

    // What is not known now stays as it was last known.
    world.node().agent.needed_version = Some("43".into());
    world.seen.host = Err("no answer".into());
    world.run();
    assert_eq!(world.node().agent.needed_version.as_deref(), Some("43"));
}
