//! logind: who blocks, asking for a reboot, and hearing of one.

use std::time::Duration;

use cuo_agent::bus::Bus;
use cuo_agent::logind::{Error, Logind};
use cuo_core::host::Inhibitor;
use cuo_lab::machine::logind::{BLOCKED, BLOCKED_TEXT, IN_PROGRESS, IN_PROGRESS_TEXT, Lock};

use crate::bench::{Bench, PATIENCE, branch};

#[tokio::test]
async fn only_locks_that_block_a_shutdown_count() {
    let bench = Bench::new(branch()).await;
    assert_eq!(bench.logind().inhibitors().await, Ok(vec![]));
    let lock = |what: &str, who: &str, mode: &str| Lock {
        what: what.into(),
        ..Lock::on_shutdown(who, "for a test", mode)
    };
    bench.set_logind(|logind| {
        logind.locks = vec![
            lock("shutdown", "one", "block"),
            lock("shutdown", "kubelet", "delay"),
            lock("shutdown", "weak", "block-weak"),
            lock("idle:sleep", "player", "block"),
            lock("idle:shutdown:sleep", "two", "block"),
        ];
    });
    let blocks = |who: &str| Inhibitor {
        who: who.into(),
        why: "for a test".into(),
    };
    assert_eq!(
        bench.logind().inhibitors().await,
        Ok(vec![blocks("one"), blocks("two")])
    );
}

#[tokio::test]
async fn a_reboot_is_asked_for_in_a_way_that_locks_can_stop() {
    let lock = || Lock::on_shutdown("some-app", "for a test", "block");
    // Without flags a lock would not stop root, so it is looked at before.
    let without = Error::Inhibited("some-app: for a test".into());
    let with = Error::Inhibited(BLOCKED_TEXT.into());
    for (without_flags, inhibited, asked) in [
        (false, with, ("RebootWithFlags", 1)),
        (true, without, ("Reboot", 0)),
    ] {
        let bench = Bench::new(branch()).await;
        bench.set_logind(|logind| {
            logind.without_flags = without_flags;
            logind.locks.push(lock());
        });
        assert_eq!(bench.logind().reboot().await, Err(inhibited));
        assert_eq!(bench.machine.reboot_request().unwrap(), None);
        bench.set_logind(|logind| logind.locks.clear());
        assert_eq!(bench.logind().reboot().await, Ok(()));
        assert_eq!(bench.rebooted().await, (asked.0.to_owned(), asked.1));
        assert_eq!(bench.logind().reboot().await, Err(Error::InProgress));
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let bench = Bench::new(branch()).await;
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    let interactive = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
    let invalid = "org.freedesktop.DBus.Error.InvalidArgs";
    let failed = |text: &str| Error::Failed {
        what: "RebootWithFlags",
        text: text.into(),
    };
    let table = [
        (BLOCKED, BLOCKED_TEXT, Error::Inhibited(BLOCKED_TEXT.into())),
        // The name that systemd 257 uses.
        (denied, BLOCKED_TEXT, Error::Inhibited(BLOCKED_TEXT.into())),
        (
            denied,
            "Permission denied",
            Error::Denied("Permission denied".into()),
        ),
        (
            interactive,
            "Interactive",
            Error::Denied("Interactive".into()),
        ),
        (IN_PROGRESS, IN_PROGRESS_TEXT, Error::InProgress),
        (invalid, "Invalid flags", failed("Invalid flags")),
    ];
    for (name, text, error) in table {
        bench.set_logind(|logind| logind.refuse = Some((name.into(), text.into())));
        assert_eq!(bench.logind().reboot().await, Err(error), "{name}");
    }
    let nowhere = Logind::new(Bus::at("unix:path=/nonexistent/bus"));
    let error = nowhere.inhibitors().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unavailable {
                what: "ListInhibitors",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_shutdown_is_heard_of_and_still_known_afterwards() {
    let mut bench = Bench::new(branch()).await;
    let logind = bench.logind();
    assert_eq!(logind.preparing().await, Ok(false));
    let mut shutdown = logind.shutdown(PATIENCE);
    logind.reboot().await.unwrap();
    // Whether the subscription or the reboot came first: the property is read after subscribing.
    let heard = tokio::time::timeout(PATIENCE, shutdown.wait_for(|state| *state));
    assert!(*heard.await.unwrap().unwrap());
    assert_eq!(logind.preparing().await, Ok(true));
    let mut late = logind.shutdown(PATIENCE);
    let heard = tokio::time::timeout(PATIENCE, late.wait_for(|state| *state));
    assert!(*heard.await.unwrap().unwrap());

    // logind is restarted in the middle, and says nothing of what it does not know any more.
    let mut asking = logind.shutdown(Duration::from_millis(100));
    let heard = tokio::time::timeout(PATIENCE, asking.wait_for(|state| *state));
    assert!(*heard.await.unwrap().unwrap());
    bench.kill_logind().await;
    let heard = tokio::time::timeout(PATIENCE, asking.wait_for(|state| !*state));
    assert!(!*heard.await.unwrap().unwrap());

    // The bus comes back with another logind, that is not shutting down.
    bench.restart_bus().await;
    let heard = tokio::time::timeout(PATIENCE, shutdown.wait_for(|state| !*state));
    assert!(!*heard.await.unwrap().unwrap());
}
