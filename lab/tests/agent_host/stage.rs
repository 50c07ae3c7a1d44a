//! Staging that works, alone and beside others.

use cuo_agent::rpmostree::{Checked, Error, Staged};
use cuo_core::host::Host;
use cuo_lab::machine::Reboot;
use cuo_lab::machine::ostree::{Effect, Release, Stage, Sysroot};
use cuo_lab::wait::until;

use crate::bench::{
    Bench, NEW, NEWER, OLD, PATIENCE, branch, image, layered, seen, upgrade_options,
};

/// How the agent has to see the host that the lab made.
fn host(sysroot: &Sysroot) -> Host {
    let pending = sysroot.default().filter(|one| !one.booted);
    Host {
        booted: seen(sysroot.booted().unwrap()),
        pending: pending.map(seen),
        others: sysroot.rollback().map(seen).into_iter().collect(),
    }
}

#[tokio::test]
async fn the_newest_is_staged_locked_with_both_kinds_of_origin() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        let origin = bench.sysroot().deployments.remove(0).origin;
        let client = bench.client();
        assert_eq!(
            client.host().await,
            Ok(host(&bench.sysroot())),
            "nothing pending"
        );
        let about = client.overview().await.unwrap().origin;
        assert_eq!(about.to_string(), origin.text());
        assert_eq!(about.stream(), origin.text().rsplit([':', '/']).next());

        let first = client.stage(None, |_| ()).await;
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)), "{origin:?}");
        let one = seen(bench.sysroot().staged().unwrap());
        assert_eq!(
            first,
            Ok(Staged::New {
                deployment: one.clone(),
                replaced: None
            })
        );
        assert_eq!(client.host().await, Ok(host(&bench.sysroot())));

        let again = client.stage(None, |_| ()).await;
        assert_eq!(again, Ok(Staged::NoUpdate { unstaged: None }), "{origin:?}");
        assert_eq!(bench.calls("AutomaticUpdateTrigger"), [""; 0]);

        // A newer one over the own, locked one is locked as well.
        bench.publish(NEWER);
        let newer = client.stage(None, |_| ()).await;
        let two = seen(bench.sysroot().staged().unwrap());
        assert_eq!(
            newer,
            Ok(Staged::New {
                deployment: two,
                replaced: Some(one)
            })
        );
        assert_eq!(bench.staged(), Some((NEWER.to_owned(), true)), "{origin:?}");
    }
}

#[tokio::test]
async fn what_somebody_deploys_after_the_decision_stays() {
    let bench = Bench::new(branch()).await;
    let client = bench.client();
    let known = client.host().await.unwrap();
    bench.machine.admin_deploy(NEW).await.unwrap();
    bench.publish(NEWER);
    let pending = bench.sysroot().staged().map(seen);
    let left = client.stage(Some(&known), |_| ()).await;
    assert_eq!(left, Ok(Staged::Foreign { pending }));
    assert_eq!(bench.staged(), Some((NEW.to_owned(), false)));

    let known = client.host().await.unwrap();
    client.stage(Some(&known), |_| ()).await.unwrap();
    assert_eq!(bench.staged(), Some((NEWER.to_owned(), true)));
}

#[tokio::test]
async fn layers_and_rollbacks_are_seen() {
    let bench = Bench::new(branch()).await;
    bench.set_sysroot(|sysroot| {
        sysroot.deployments[0].packages = vec!["htop".to_owned()];
        let mut old = sysroot.deployments[0].clone();
        (old.booted, old.release) = (false, Release::new("43.20251201.3.0"));
        sysroot.deployments.push(old);
    });
    let client = bench.client();
    let found = client.host().await.unwrap();
    assert_eq!(found, host(&bench.sysroot()));
    assert_eq!(
        found.booted.identity.to_string(),
        Release::new(OLD).commit()
    );
    assert_ne!(found.booted.checksum, Release::new(OLD).commit());
    client.stage(None, |_| ()).await.unwrap();
    assert_eq!(client.host().await, Ok(host(&bench.sysroot())));
}

#[tokio::test]
async fn a_burst_of_messages_neither_hangs_nor_loses_any() {
    let bench = Bench::new(branch()).await;
    bench.inject("Upgrade", Stage::Running, Effect::Burst(200));
    let mut burst = 0;
    let staged = bench
        .client()
        .stage(None, |line| burst += u32::from(line.starts_with("burst ")))
        .await;
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
    assert_eq!(burst, 200);
}

#[tokio::test]
async fn signals_that_overtake_the_reply_of_start_are_not_lost() {
    let bench = Bench::new(image()).await;
    // The work, of some 130 ms, is over long before Start is answered.
    bench.inject("Upgrade", Stage::Start, Effect::Delay(1_000));
    let staged = bench.client().stage(None, |_| ()).await;
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
}

#[tokio::test]
async fn two_runs_share_one_transaction() {
    let bench = Bench::new(branch()).await;
    bench.set_faults(|faults| faults.pace.pull = 1_000);
    let client = bench.client();
    let (mut one, mut two) = (vec![], vec![]);
    let (first, second) = tokio::join!(
        client.stage(None, |line| one.push(line.to_owned())),
        client.stage(None, |line| two.push(line.to_owned())),
    );
    assert!(
        matches!(first, Ok(Staged::New { .. })),
        "{first:?}\n{}",
        bench.log()
    );
    assert_eq!(first, second);
    assert_eq!(bench.calls("Upgrade").len(), 2);
    let staging = "Staging deployment".to_owned();
    assert!(
        one.contains(&staging) && two.contains(&staging),
        "{one:?} {two:?}"
    );
}

#[tokio::test]
async fn a_transaction_of_somebody_else_is_named() {
    let bench = Bench::new(branch()).await;
    let nothing = upgrade_options();
    let other = bench
        .foreign("UpdateDeployment", &(&nothing, &nothing))
        .await;
    let unique = other.bus.unique_name().unwrap().to_string();
    let busy = bench.client().stage(None, |_| ()).await;
    let who = format!("UpdateDeployment (\"new-deployment\") of caller {unique}");
    assert_eq!(busy, Err(Error::Busy { who }));
    // Looking at it did not start it, so it ends with its owner.
    drop(other);
    let not_busy = async || {
        let result = bench.client().stage(None, |_| ()).await;
        Ok((!matches!(result, Err(Error::Busy { .. }))).then_some(result))
    };
    let staged = until("the end of the other transaction", PATIENCE, not_busy)
        .await
        .unwrap();
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
}

#[tokio::test]
async fn a_finished_transaction_that_is_held_open_proves_nothing() {
    let bench = Bench::new(branch()).await;
    bench.publish(OLD);
    let other = bench.foreign("Upgrade", &upgrade_options()).await;
    let held = other.finish().await;
    bench.publish(NEW);
    let busy = bench.client().stage(None, |_| ()).await;
    let who = "a finished upgrade whose clients do not leave".to_owned();
    assert_eq!(busy, Err(Error::Busy { who }));
    assert_eq!(bench.staged(), None);

    let (client, joined) = (bench.client(), bench.calls("Upgrade").len());
    let (staged, ()) = tokio::join!(client.stage(None, |_| ()), async {
        bench.wait_calls("Upgrade", joined + 2).await;
        held.close().await.unwrap();
    });
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

#[tokio::test]
async fn a_transaction_that_is_gone_before_it_is_reached_is_asked_for_again() {
    let bench = Bench::new(branch()).await;
    let other = bench.foreign("Upgrade", &upgrade_options()).await;
    let socket = bench.machine.root().join("run/rpm-ostree-transaction.sock");
    std::fs::remove_file(socket).unwrap();
    let client = bench.client();
    let (staged, ()) = tokio::join!(client.stage(None, |_| ()), async {
        bench.wait_calls("Upgrade", 3).await;
        other.bus.close().await.unwrap();
    });
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
    assert!(bench.calls("Upgrade").len() > 2);
}

#[tokio::test]
async fn success_is_not_taken_for_a_staged_update() {
    // As 2026.1 did. A branch's local ref tells that there is something; for an image it takes another look.
    for (spec, checks) in [(branch(), 0), (image(), 1)] {
        let bench = Bench::new(spec).await;
        bench.inject("Upgrade", Stage::Deploy, Effect::Nothing);
        let staged = bench.client().stage(None, |_| ()).await;
        let unstaged = Some(NEW.to_owned());
        assert_eq!(staged, Ok(Staged::NoUpdate { unstaged }), "{}", bench.log());
        assert_eq!(bench.staged(), None);
        assert_eq!(bench.calls("AutomaticUpdateTrigger").len(), checks);
    }
}

/// What an earlier check found stays where everybody can read it, until another check.
#[tokio::test]
async fn what_a_check_found_before_a_tag_went_back_is_not_missed() {
    let bench = Bench::new(image()).await;
    let client = bench.client();
    assert_eq!(
        client.check(|_| ()).await,
        Ok(Checked::Update(NEW.to_owned()))
    );
    bench.publish(OLD);
    let nothing = Ok(Staged::NoUpdate { unstaged: None });
    assert_eq!(client.stage(None, |_| ()).await, nothing);
}

/// A check goes on telling of what was pulled once, and sees nothing at all under packages that are layered on an image.
#[tokio::test]
async fn a_check_that_is_stuck_or_blind_hides_no_update() {
    let mut bench = Bench::new(image()).await;
    bench.client().stage(None, |_| ()).await.unwrap();
    bench.machine.reboot(Reboot::PowerCut).await.unwrap();
    assert_eq!(bench.staged(), None);
    bench.publish(NEWER);
    let stuck = bench.client().check(|_| ()).await;
    assert_eq!(stuck, Ok(Checked::Update(NEW.to_owned())));
    bench.client().stage(None, |_| ()).await.unwrap();
    assert_eq!(bench.staged(), Some((NEWER.to_owned(), true)));

    let bench = Bench::new(layered(image())).await;
    assert_eq!(bench.client().check(|_| ()).await, Ok(Checked::Nothing));
    bench.client().stage(None, |_| ()).await.unwrap();
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}
