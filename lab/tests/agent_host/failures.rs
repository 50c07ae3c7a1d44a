//! Staging that fails at each point, and a bus or daemon that is not there.

use std::time::Duration;

use cuo_agent::bus::Bus;
use cuo_agent::rpmostree::{Client, Error, Limits, Staged};
use cuo_core::reason::Code;
use cuo_lab::machine::ostree::{Effect, NAME, Release, Stage, Trouble, texts};

use cuo_lab::wait::until;

use crate::bench::{Bench, NEW, PATIENCE, branch, image, upgrade_options};

#[tokio::test]
async fn a_crash_at_any_point_is_noticed_and_the_next_run_succeeds() {
    let points = [
        Stage::Call,
        Stage::Opened,
        Stage::Start,
        Stage::Running,
        Stage::Pull,
        Stage::Deploy,
        Stage::Finish,
    ];
    for (point, spec) in points
        .into_iter()
        .flat_map(|point| [(point, branch()), (point, image())])
    {
        let bench = Bench::new(spec).await;
        bench.inject("Upgrade", point, Effect::Crash);
        let first = bench.client().stage(None, |_| ()).await;
        match (&first, point) {
            (Err(Error::Lost { what, .. }), _) => assert_eq!(what, "Upgrade"),
            // If nobody listened any more, it was asked for again.
            (Ok(Staged::New { .. }), Stage::Opened) => {}
            _ => panic!("{point:?}: {first:?}\n{}", bench.log()),
        }
        let second = bench.client().stage(None, |_| ()).await;
        assert!(second.is_ok(), "{point:?}: {second:?}\n{}", bench.log());
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)), "{point:?}");
        assert!(bench.struck(), "{point:?}: it did not happen");
    }
}

#[tokio::test]
async fn what_rpm_ostree_says_is_passed_on() {
    let failed = |text: String| Error::Failed {
        what: "Upgrade".into(),
        text,
    };
    let head = Release::new(NEW);
    for spec in [branch(), image()] {
        for trouble in [Trouble::Down, Trouble::Status(500), Trouble::DiskFull] {
            let bench = Bench::new(spec.clone()).await;
            let origin = bench.sysroot().deployments.remove(0).origin;
            bench.set_remote(|remote| remote.trouble = Some(trouble));
            let text = texts::trouble(trouble, &origin, &head);
            assert_eq!(bench.client().stage(None, |_| ()).await, Err(failed(text)));
        }
    }
    let refuse = |name: &str, text: &str| Effect::Refuse {
        name: name.into(),
        text: text.into(),
    };
    let lock = "another program that holds ostree's lock, such as `ostree` or `bootc`";
    let table = [
        (
            refuse(texts::BUSY, texts::SYSTEM_BUSY),
            Error::Busy { who: lock.into() },
        ),
        (
            refuse(texts::ACCESS_DENIED, &texts::not_allowed("Upgrade")),
            Error::Denied {
                what: "Upgrade".into(),
                text: texts::not_allowed("Upgrade"),
            },
        ),
        (
            refuse(texts::FAILED, texts::REBOOT_INITIATED),
            Error::Rebooting,
        ),
    ];
    let bench = Bench::new(branch()).await;
    for (effect, error) in table {
        bench.inject("Upgrade", Stage::Call, effect);
        assert_eq!(bench.client().stage(None, |_| ()).await, Err(error));
    }
}

#[tokio::test]
async fn a_name_in_the_journal_is_not_worth_failing_for() {
    let bench = Bench::new(branch()).await;
    let effect = Effect::Refuse {
        name: texts::ACCESS_DENIED.into(),
        text: "no".into(),
    };
    bench.inject("RegisterClient", Stage::Call, effect);
    let staged = bench.client().stage(None, |_| ()).await;
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
    assert!(bench.struck());
}

/// A layer of an image that takes an hour, at a scale of one to a thousand: sixty times as long as silence is not asked about.
#[tokio::test]
async fn a_slow_download_is_neither_given_up_nor_asked_for_again() {
    let bench = Bench::new(image()).await;
    bench.set_faults(|faults| faults.pace.pull = 3_600);
    let impatient = Limits {
        stage_silence: Duration::from_millis(60),
        ..Limits::default()
    };
    let staged = bench.client_within(impatient).stage(None, |_| ()).await;
    assert!(
        matches!(staged, Ok(Staged::New { .. })),
        "{staged:?}\n{}",
        bench.log()
    );
    assert_eq!(bench.calls("Upgrade").len(), 1);
}

/// It is asked whether it is still there, does not answer, and can't be cancelled either.
#[tokio::test]
async fn a_daemon_that_hangs_in_a_transaction_does_not_hold_the_caller() {
    let bench = Bench::new(branch()).await;
    bench.set_faults(|faults| faults.pace.pull = 2_000);
    let second = Duration::from_secs(1);
    let impatient = Limits {
        stage_silence: second,
        peer: second,
        cancel: second,
        ..Limits::default()
    };
    let client = bench.client_within(impatient);
    let begun = tokio::sync::Notify::new();
    let (silent, ()) = tokio::join!(client.stage(None, |_| begun.notify_one()), async {
        begun.notified().await;
        bench.freeze(true).await;
    });
    bench.freeze(false).await;
    let how = "nothing was heard for 1 s".to_owned();
    let what = "Upgrade".to_owned();
    assert_eq!(silent, Err(Error::Timeout { what, how }), "{}", bench.log());
    assert_eq!(silent.unwrap_err().code(), Code::RpmOstreeUnavailable);
    // What was asked of it meanwhile it does now, so nobody is blocked afterwards.
    let free = async || Ok(bench.client().stage(None, |_| ()).await.ok());
    until("the end of the cancelled transaction", PATIENCE, free)
        .await
        .unwrap();
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

/// As with a mirror that keeps its connection and sends nothing: rpm-ostreed answers, and no sign of progress comes any more.
#[tokio::test]
async fn a_download_that_hangs_for_ever_is_cancelled_at_last() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        bench.inject("Upgrade", Stage::Pull, Effect::Hang);
        let impatient = Limits {
            stage_silence: Duration::from_millis(100),
            stage_longest: Duration::from_secs(1),
            ..Limits::default()
        };
        let hung = bench.client_within(impatient).stage(None, |_| ()).await;
        let how = "nothing was heard for 1 s".to_owned();
        let what = "Upgrade".to_owned();
        assert_eq!(hung, Err(Error::Timeout { what, how }), "{}", bench.log());
        assert_eq!(bench.staged(), None);
        bench.client().stage(None, |_| ()).await.unwrap();
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_before_its_start_frees_the_slot() {
    let bench = Bench::new(branch()).await;
    bench.inject("Upgrade", Stage::Call, Effect::Delay(1_000));
    let client = bench.client();
    tokio::select! {
        result = client.stage(None, |_| ()) => panic!("{result:?}"),
        () = bench.wait_calls("Upgrade", 1) => {}
    }
    // Its transaction is made for a caller that has left the bus: nobody will start it, and only leaving gives the slot back.
    bench.wait_given_back().await;
    let nothing = upgrade_options();
    bench
        .foreign("UpdateDeployment", &(&nothing, &nothing))
        .await;
}

#[tokio::test]
async fn a_daemon_that_stops_at_the_wrong_moment_is_asked_again() {
    let bench = Bench::new(branch()).await;
    bench.inject("Reload", Stage::Call, Effect::Crash);
    let host = bench.client().host().await;
    assert!(host.is_ok(), "{host:?}\n{}", bench.log());
    assert!(bench.struck());
}

#[tokio::test]
async fn nothing_is_lost_before_anything_is_asked_for() {
    let bench = Bench::new(branch()).await;
    for _ in 0..2 {
        bench.inject("Reload", Stage::Call, Effect::Crash);
    }
    let staged = bench.client().stage(None, |_| ()).await;
    assert!(matches!(staged, Err(Error::Unavailable(_))), "{staged:?}");
    assert_eq!(bench.calls("Upgrade"), [""; 0]);
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_given_up() {
    let bench = Bench::new(branch()).await;
    bench.inject("Reload", Stage::Call, Effect::Hang);
    let limits = Limits {
        call: Duration::from_secs(1),
        ..Limits::default()
    };
    let host = bench.client_within(limits).host().await;
    assert!(
        matches!(&host, Err(Error::Timeout { what, .. }) if what == "Reload"),
        "{host:?}\n{}",
        bench.log()
    );
}

#[tokio::test]
async fn a_missing_bus_or_daemon_is_told_with_what_to_do() {
    let nowhere = Client::new(Bus::at("unix:path=/nonexistent/bus"), Limits::default());
    let error = nowhere.host().await.unwrap_err();
    assert!(matches!(error, Error::NoBus(_)), "{error:?}");
    assert!(error.to_string().contains("/nonexistent/bus"), "{error}");
    assert!(
        error.to_string().contains("systemctl status dbus"),
        "{error}"
    );

    let mut bench = Bench::down(branch());
    let service = format!("lab/services/{NAME}.service");
    let broken = format!("[D-BUS Service]\nName={NAME}\nExec=/bin/false\n");
    bench.machine.root().write(&service, broken).unwrap();
    bench.machine.boot().await.unwrap();
    let error = bench.client().stage(None, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(
        error.to_string().contains("systemctl status rpm-ostreed"),
        "{error}"
    );

    bench.machine.root().remove(&service).unwrap();
    bench.restart_bus().await;
    let error = bench.client().host().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_client_outlives_the_bus() {
    let mut bench = Bench::new(branch()).await;
    let client = bench.client();
    let before = client.host().await;
    assert!(before.is_ok(), "{before:?}");
    bench.machine.power_off().await.unwrap();
    let error = client.host().await.unwrap_err();
    assert!(matches!(error, Error::NoBus(_)), "{error:?}");
    bench.machine.boot().await.unwrap();
    assert_eq!(client.host().await, before, "{}", bench.log());
}
