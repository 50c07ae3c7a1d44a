//! An update of the same release: layered packages or kernel arguments.

use super::*;

/// A deployment of `OLD`, which is the release that runs.
fn variant(checksum: &str, serial: u32, staged: bool) -> Deployment {
    Deployment {
        id: format!("os-{checksum}.{serial}"),
        checksum: checksum.into(),
        ..deployment(OLD, staged)
    }
}

/// Granted and asked for: from `left` to `wanted`.
fn ready(left: &Deployment, wanted: &Deployment) -> World {
    let mut world = World::new();
    *world.host() = Host {
        booted: left.clone(),
        pending: Some(wanted.clone()),
        others: vec![],
    };
    world.grant();
    if let Field::Value(grant) = &mut world.node().operator.grant {
        grant.identity = OLD;
    }
    let act = Act::Finalize(wanted.clone());
    assert_eq!(world.shows(), (Phase::Rebooting, None, act));
    world
}

#[test]
fn the_identity_alone_proves_nothing_where_it_ran_before() {
    let left = variant("aa", 0, false);
    let layered = |serial, staged| variant("bb", serial, staged);
    let arguments = |staged| variant("aa", 1, staged);
    let failed = |code| (Outcome::Failed, Some(code));
    let aborted = |code| (Outcome::Aborted, Some(code));
    let done = (Outcome::Done, None);
    let lost = aborted(Code::UpdateLost);
    let cases = [
        (layered(0, true), layered(0, false), None, vec![], done),
        // Another try at the same has another number.
        (layered(0, true), layered(1, false), None, vec![], done),
        (arguments(true), arguments(false), None, vec![], done),
        (layered(0, true), left.clone(), None, vec![], lost),
        (arguments(true), left.clone(), None, vec![], lost),
        (
            arguments(true),
            left.clone(),
            Some(arguments(false)),
            vec![],
            failed(Code::BootedFallback),
        ),
        (
            layered(0, true),
            left.clone(),
            None,
            vec![layered(0, false)],
            failed(Code::RolledBack),
        ),
        (
            layered(0, true),
            variant("cc", 0, false),
            None,
            vec![],
            aborted(Code::ForeignDeployment),
        ),
    ];
    for (wanted, booted, pending, others, result) in cases {
        let mut world = ready(&left, &wanted);
        world.boots(OLD, None, &[]);
        *world.host() = Host {
            booted: booted.clone(),
            pending,
            others,
        };
        world.run();
        assert_eq!(world.released(), Ok(result), "{wanted:?} {booted:?}");
        assert_eq!(
            world.state.failed,
            Failures::default(),
            "it runs everywhere"
        );
    }
}

/// What the other nodes run is not to blame, but this node does not try it without end.
#[test]
fn the_deployment_that_failed_is_held_on_its_node_alone() {
    let (left, wanted) = (variant("aa", 0, false), variant("bb", 0, true));
    let mut world = ready(&left, &wanted);
    world.boots(OLD, None, &[]);
    let written = variant("bb", 0, false);
    *world.host() = Host {
        booted: left,
        pending: Some(written),
        others: vec![],
    };
    world.run();
    world.now += 10_000;
    let failed = Some(Code::IdentityFailed);
    assert_eq!(world.shows(), (Phase::Held, failed, Act::Wait));
    world.seen.check_due = true;
    let looks = (Phase::Held, failed, Act::Stage);
    assert_eq!(world.shows(), looks, "something newer may be there");
    world.seen.check_due = false;
    world.host().pending = Some(variant("cc", 0, true));
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
}

#[test]
fn a_lost_state_claims_nothing() {
    let (left, wanted) = (variant("aa", 0, false), variant("bb", 0, true));
    let mut world = ready(&left, &wanted);
    world.state = State::default();
    world.boots(OLD, None, &[]);
    world.host().booted = left;
    world.run();
    let lost = Some(Code::UpdateLost);
    assert_eq!(world.released(), Ok((Outcome::Aborted, lost)));
}
