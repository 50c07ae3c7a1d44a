//! Finalization: the last step before the reboot.

use std::collections::BTreeMap;

use cuo_agent::rpmostree::Error;
use cuo_core::host::Deployment;
use cuo_core::reason::Code;
use cuo_lab::machine::HostSpec;
use cuo_lab::machine::logind::Lock;
use cuo_lab::machine::ostree::{Effect, Stage, texts};
use cuo_lab::wait::until;
use zbus::Variant;

use crate::bench::{Bench, NEW, PATIENCE, branch, image, layered, seen};

fn failed(text: String) -> Result<(), Error> {
    let what = "FinalizeDeployment".to_owned();
    Err(Error::Failed { what, text })
}

/// A host with an update staged by the agent, and that update.
async fn staged(spec: HostSpec) -> (Bench, Deployment) {
    let bench = Bench::new(spec).await;
    bench.client().stage(None, |_| ()).await.unwrap();
    let staged = seen(bench.sysroot().staged().unwrap());
    (bench, staged)
}

#[tokio::test]
async fn the_staged_update_is_unlocked_and_the_host_rebooted() {
    for spec in [branch(), layered(branch()), image(), layered(image())] {
        let (bench, update) = staged(spec).await;
        assert_eq!(bench.finalize(&update).await, Ok(()), "{}", bench.log());
        assert_eq!(bench.staged(), Some((NEW.to_owned(), false)));
        assert_eq!(bench.rebooted().await.0, "RebootWithFlags");
        // From then on nothing new begins; what is there can be read.
        assert_eq!(bench.finalize(&update).await, Err(Error::Rebooting));
        assert_eq!(
            bench.client().stage(None, |_| ()).await,
            Err(Error::Rebooting)
        );
        assert_eq!(bench.client().host().await.unwrap().pending, Some(update));
    }
}

#[tokio::test]
async fn another_update_than_the_granted_one_stays_locked() {
    for spec in [branch(), layered(branch()), image(), layered(image())] {
        let (bench, update) = staged(spec).await;
        let booted = seen(bench.sysroot().booted().unwrap());
        let (wrong, found) = (booted.identity.to_string(), update.identity.to_string());
        let refused = bench.finalize(&booted).await;
        assert_eq!(refused, failed(texts::wrong_checksum(&wrong, &found)));
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
        assert_eq!(bench.machine.reboot_request().unwrap(), None);
    }
}

#[tokio::test]
async fn an_older_rpm_ostree_gets_the_commit_of_an_image() {
    for packages in [vec![], vec!["htop".to_owned()]] {
        let bench = Bench::new(image()).await;
        bench.set_sysroot(|sysroot| sysroot.deployments[0].packages = packages.clone());
        bench.client().stage(None, |_| ()).await.unwrap();
        let sysroot = bench.sysroot();
        let update = seen(sysroot.staged().unwrap());
        // What is layered makes another commit of it, which is never what was expected.
        let base = sysroot.staged().unwrap().base_checksum();
        assert_eq!(base == update.checksum, packages.is_empty());
        let digest = update.identity.to_string();
        // Until 2025.7 it expected the commit, which this double does not: the point is what it is asked for.
        let wanted = texts::wrong_checksum(&digest, &base);
        bench.inject("FinalizeDeployment", Stage::Running, Effect::Fail(wanted));
        bench.finalize(&update).await.unwrap_err();
        let calls = bench.calls("FinalizeDeployment");
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert!(calls[0].contains(&digest), "{calls:?}");
        assert!(calls[1].contains(&base), "{calls:?}");
    }
}

/// An equal call of somebody failed, and is not over while its client stays.
#[tokio::test]
async fn a_finalization_that_is_over_is_asked_for_again() {
    let (bench, update) = staged(branch()).await;
    bench.inject(
        "FinalizeDeployment",
        Stage::Running,
        Effect::Fail("once".into()),
    );
    let options = finalize_options(&update);
    let other = bench.foreign("FinalizeDeployment", &options).await;
    let held = other.finish().await;
    let (ended, ()) = tokio::join!(bench.finalize(&update), async {
        bench.wait_calls("FinalizeDeployment", 3).await;
        held.close().await.unwrap();
    });
    assert_eq!(ended, Ok(()), "{}", bench.log());
    assert_eq!(bench.staged(), Some((NEW.to_owned(), false)));
}

#[tokio::test]
async fn a_finalization_that_is_gone_before_it_is_reached_is_asked_for_again() {
    let (bench, update) = staged(branch()).await;
    let options = finalize_options(&update);
    let other = bench.foreign("FinalizeDeployment", &options).await;
    let socket = bench.machine.root().join("run/rpm-ostree-transaction.sock");
    std::fs::remove_file(socket).unwrap();
    let (ended, ()) = tokio::join!(bench.finalize(&update), async {
        bench.wait_calls("FinalizeDeployment", 3).await;
        other.bus.close().await.unwrap();
    });
    assert_eq!(ended, Ok(()), "{}", bench.log());
}

/// What the agent finalizes with: only equal calls join each other.
fn finalize_options(update: &Deployment) -> BTreeMap<&'static str, Variant<'static>> {
    BTreeMap::from([
        ("allow-unlocked", Variant::from(true)),
        ("checksum", Variant::from(update.identity.to_string())),
        (
            "initiating-command-line",
            Variant::from("cuo-agent: finalize"),
        ),
    ])
}

#[tokio::test]
async fn refusals_are_passed_on_and_leave_everything_as_it_was() {
    for spec in [branch(), layered(branch()), image()] {
        let (bench, update) = staged(spec.clone()).await;
        let lock = Lock::on_shutdown("some-app", "for a test", "block");
        bench.set_logind(|logind| logind.locks.push(lock));
        let refused = bench.finalize(&update).await;
        assert_eq!(refused, failed(texts::inhibited("some-app", "for a test")));
        assert_eq!(refused.unwrap_err().refusal(), Code::Inhibited);
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));

        let bench = Bench::new(spec).await;
        let refused = bench.finalize(&update).await;
        assert_eq!(refused, failed(texts::NOTHING_STAGED.to_owned()));
        assert_eq!(refused.unwrap_err().refusal(), Code::FinalizeFailed);
        assert_eq!(bench.machine.reboot_request().unwrap(), None);
    }
}

#[tokio::test]
async fn a_lost_daemon_leaves_it_open_what_happened() {
    let points = [
        Stage::Call,
        Stage::Start,
        Stage::Running,
        Stage::Deploy,
        Stage::Finish,
    ];
    let specs = [branch(), image()];
    for (point, spec) in points
        .into_iter()
        .flat_map(|point| specs.clone().map(|spec| (point, spec)))
    {
        let (bench, update) = staged(spec).await;
        bench.inject("FinalizeDeployment", point, Effect::Crash);
        let lost = bench.finalize(&update).await;
        assert!(
            matches!(lost, Err(Error::Lost { .. })),
            "{point:?}: {lost:?}\n{}",
            bench.log()
        );
        // Whether or not it is unlocked by now, it can be done again.
        assert_eq!(
            bench.finalize(&update).await,
            Ok(()),
            "{point:?}\n{}",
            bench.log()
        );
    }
}

/// Nobody has called `Start` by then, so nothing was begun and nothing is open: the call is simply repeated.
#[tokio::test]
async fn a_daemon_that_is_lost_before_the_start_is_asked_once_more() {
    let (bench, update) = staged(branch()).await;
    bench.inject("FinalizeDeployment", Stage::Opened, Effect::Crash);
    let result = bench.finalize(&update).await;
    match result {
        Ok(()) => assert_eq!(bench.staged(), Some((NEW.to_owned(), false))),
        // It was on the socket already when that closed.
        Err(error) => {
            assert!(matches!(error, Error::Lost { .. }), "{error:?}");
            assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
        }
    }
    assert!(bench.struck());
}

/// `Finished` is sent, and the reboot that follows it is not: the next daemon knows nothing of it.
#[tokio::test]
async fn a_reboot_that_rpm_ostreed_forgets_leaves_the_update_unlocked() {
    for (forgets, spec) in [(Effect::Crash, branch()), (Effect::Nothing, image())] {
        let (bench, update) = staged(spec).await;
        bench.inject("FinalizeDeployment", Stage::Reboot, forgets.clone());
        assert_eq!(bench.finalize(&update).await, Ok(()));
        let struck = async || Ok(bench.struck().then_some(()));
        until("the end of the reboot", PATIENCE, struck)
            .await
            .unwrap();
        assert_eq!(bench.staged(), Some((NEW.to_owned(), false)));
        assert_eq!(bench.machine.reboot_request().unwrap(), None);
        assert_eq!(bench.logind().reboot().await, Ok(()));
        assert_eq!(bench.rebooted().await.0, "RebootWithFlags");
    }
}
