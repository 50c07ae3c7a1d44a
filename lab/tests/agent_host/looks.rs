//! What a look for updates comes to: the class of each failure, when it is tried again, and looking without staging.

use std::time::Duration;

use cuo_agent::rpmostree::{Checked, Error, Limits, Pin, Staged};
use cuo_core::agent::state::Retry;
use cuo_core::look::Looks;
use cuo_core::reason::{Code, Reason};
use cuo_lab::machine::ostree::{Effect, Fault, Origin, Release, Stage, Trouble, texts};
use cuo_lab::machine::{HostSpec, Reboot};
use cuo_lab::wait::until;
use jiff::SignedDuration;

use crate::bench::{
    Bench, NEW, NEWER, OLD, PATIENCE, branch, check_options, image, layered, upgrade_options,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const RETRY: Retry = Retry {
    first: SignedDuration::from_mins(1),
    cap: SignedDuration::from_mins(30),
};

/// Whether the next look comes soon after `errors`, with a period of an hour.
fn soon(errors: &[Error]) -> bool {
    let mut looks = Looks::default();
    let mut pause = HOUR;
    for error in errors {
        pause = looks.ended(Err(error.code().into()), &RETRY, HOUR);
    }
    pause < HOUR
}

/// The code and the sentence of a failed run, and that it leaves nothing staged.
async fn fails(bench: &Bench, code: Code, sentence: &str, again: bool) {
    let error = bench.client().stage(None, |_| ()).await.unwrap_err();
    let reported = (error.code(), error.to_string());
    assert_eq!(reported, (code, sentence.to_owned()), "{}", bench.log());
    assert_eq!(soon(&[error]), again, "{code}");
    assert_eq!(bench.staged(), None, "{code}");
}

#[tokio::test]
async fn a_remote_that_went_back_is_never_followed() {
    for spec in [
        HostSpec::ostree(NEW),
        layered(HostSpec::ostree(NEW)),
        HostSpec::container(NEW),
        layered(HostSpec::container(NEW)),
    ] {
        let bench = Bench::new(spec).await;
        bench.publish(OLD);
        let origin = bench.sysroot().deployments.remove(0).origin;
        let why = texts::older(&Release::new(OLD), &Release::new(NEW), &origin);
        let sentence = format!("Upgrade of rpm-ostreed failed: {why}");
        fails(&bench, Code::OlderVersion, &sentence, false).await;
        let calls = bench.calls("Upgrade");
        assert!(!calls[0].contains("allow-downgrade"), "{calls:?}");
    }
}

#[tokio::test]
async fn a_slot_that_is_taken_is_waited_for() {
    let bench = Bench::new(branch()).await;
    for (name, text, sentence) in [
        (
            texts::BUSY,
            &*texts::busy("upgrade"),
            "rpm-ostreed is busy with the transaction \"upgrade\"",
        ),
        (
            texts::BUSY,
            texts::SYSTEM_BUSY,
            "rpm-ostreed is busy with another program that holds ostree's lock, such as `ostree` or `bootc`",
        ),
        (
            texts::FAILED,
            texts::REBOOT_INITIATED,
            "rpm-ostreed has asked for a reboot and takes nothing new until then",
        ),
    ] {
        let (name, text) = (name.to_owned(), text.to_owned());
        bench.inject("Upgrade", Stage::Call, Effect::Refuse { name, text });
        fails(&bench, Code::RpmOstreeBusy, sentence, true).await;
    }
}

#[tokio::test]
async fn a_daemon_that_dies_each_time_is_left_alone_after_three() {
    let bench = Bench::new(branch()).await;
    bench
        .machine
        .inject(Fault::always("Upgrade", Stage::Pull, Effect::Crash))
        .unwrap();
    let mut errors = Vec::new();
    for tries in 1..=3 {
        let error = bench.client().stage(None, |_| ()).await.unwrap_err();
        assert_eq!(error.code(), Code::RpmOstreeDied, "{error}");
        assert!(
            error.to_string().contains("went away during Upgrade"),
            "{error}"
        );
        errors.push(error);
        assert_eq!(soon(&errors), tries < 3);
    }
}

#[tokio::test]
async fn a_check_tells_of_an_update_and_stages_nothing() {
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        let client = bench.client();
        assert_eq!(
            client.check(|_| ()).await,
            Ok(Checked::Update(NEW.to_owned())),
            "{}",
            bench.log()
        );
        assert_eq!(bench.staged(), None);
        assert_eq!(bench.calls("Upgrade"), [""; 0]);
        let calls = bench.calls("AutomaticUpdateTrigger");
        assert!(calls[0].contains("'mode': \"check\""), "{calls:?}");
        // With one of these and this mode the daemon ends itself.
        for option in ["cache-only", "download-only", "no-pull-base"] {
            assert!(!calls[0].contains(option), "{calls:?}");
        }
        bench.publish(NEWER);
        assert_eq!(
            client.check(|_| ()).await,
            Ok(Checked::Update(NEWER.to_owned()))
        );
        bench.publish(OLD);
        if bench.sysroot().local_ref.is_none() {
            assert_eq!(client.check(|_| ()).await, Ok(Checked::Nothing));
        }
        bench.set_remote(|remote| remote.trouble = Some(Trouble::Down));
        let error = client.check(|_| ()).await.unwrap_err();
        assert_eq!(error.code(), Code::NetworkFailed, "{error}");
    }
}

/// Waited for and named each time, and never cancelled: it is somebody else's.
#[tokio::test]
async fn a_transaction_of_somebody_else_that_hangs_is_left_to_them() {
    let bench = Bench::new(branch()).await;
    bench.inject("UpdateDeployment", Stage::Pull, Effect::HangForever);
    let nothing = upgrade_options();
    let other = bench
        .foreign("UpdateDeployment", &(&nothing, &nothing))
        .await;
    let _peer = other.begin().await;
    let mut looks = Looks::default();
    for tries in 1..=4 {
        let error = bench.client().stage(None, |_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        let reason = Reason::new(error.code(), error.to_string());
        let pause = looks.ended(Err(reason), &RETRY, HOUR);
        assert_eq!(pause, SignedDuration::from_mins(1 << (tries - 1)));
        assert_eq!(
            looks.reported().is_some(),
            tries >= 3,
            "at work for minutes"
        );
    }
    let reported = looks.reported().unwrap();
    assert_eq!(reported.code, Code::RpmOstreeBusy);
    let unique = other.bus.unique_name().unwrap();
    let who = "rpm-ostreed is busy with UpdateDeployment (\"cuo-agent: upgrade\") of caller";
    assert_eq!(reported.message, format!("{who} {unique}"));
    assert!(!bench.log().contains("cancel"), "{}", bench.log());
}

/// The method that makes a transaction takes too long to answer: leaving the bus gives the slot back.
#[tokio::test]
async fn a_call_that_is_not_answered_in_time_blocks_nobody() {
    let limits = Limits {
        transaction: Duration::from_secs(1),
        ..Limits::default()
    };
    for spec in [branch(), image()] {
        let bench = Bench::new(spec).await;
        bench.inject("Upgrade", Stage::Call, Effect::Delay(3_000));
        silent(&bench, limits, "Upgrade").await;
        bench.wait_given_back().await;
        // An equal call would join what is left; any other has to have the slot for itself.
        let options = upgrade_options();
        drop(
            bench
                .foreign("UpdateDeployment", &(&options, &options))
                .await,
        );
        let staged = async || Ok(bench.client().stage(None, |_| ()).await.ok());
        until("an update", PATIENCE, staged).await.unwrap();
        assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
    }
}

/// A run in which `method` is not answered within a second.
async fn silent(bench: &Bench, limits: Limits, method: &str) {
    let run = bench.client_within(limits);
    let error = run.stage(None, |_| ()).await.unwrap_err();
    let reported = (error.code(), error.to_string());
    let sentence = format!(
        "rpm-ostreed was silent for too long during Upgrade ({method} took longer than 1 s)"
    );
    let expected = (Code::RpmOstreeUnavailable, sentence);
    assert_eq!(reported, expected, "{}", bench.log());
    assert!(soon(&[error]));
}

/// It is there, and nobody starts it until somebody restarts rpm-ostreed: the caller does not wait for that.
#[tokio::test]
async fn a_transaction_that_does_not_start_does_not_hold_the_caller() {
    let bench = Bench::new(branch()).await;
    bench.inject("Upgrade", Stage::Start, Effect::Hang);
    let limits = Limits {
        peer: Duration::from_secs(1),
        ..Limits::default()
    };
    silent(&bench, limits, "Start").await;
    bench.end_daemon().await;
    bench.client().stage(None, |_| ()).await.unwrap();
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

/// Its slot is taken by a check that was over before the update was published.
#[tokio::test]
async fn a_check_that_joins_one_that_is_over_is_repeated() {
    let bench = Bench::new(branch()).await;
    bench.publish(OLD);
    let other = bench
        .foreign("AutomaticUpdateTrigger", &check_options())
        .await;
    let held = other.finish().await;
    bench.publish(NEW);
    let busy = bench.client().check(|_| ()).await;
    let who = "a finished check whose clients do not leave".to_owned();
    assert_eq!(busy, Err(Error::Busy { who }));

    let (client, joined) = (bench.client(), bench.calls("AutomaticUpdateTrigger").len());
    let (found, ()) = tokio::join!(client.check(|_| ()), async {
        bench.wait_calls("AutomaticUpdateTrigger", joined + 2).await;
        held.close().await.unwrap();
    });
    assert_eq!(
        found,
        Ok(Checked::Update(NEW.to_owned())),
        "{}",
        bench.log()
    );
}

#[tokio::test]
async fn a_check_whose_transaction_is_gone_before_it_is_reached_is_repeated() {
    let bench = Bench::new(branch()).await;
    let other = bench
        .foreign("AutomaticUpdateTrigger", &check_options())
        .await;
    let socket = bench.machine.root().join("run/rpm-ostree-transaction.sock");
    std::fs::remove_file(socket).unwrap();
    let client = bench.client();
    let (found, ()) = tokio::join!(client.check(|_| ()), async {
        bench.wait_calls("AutomaticUpdateTrigger", 3).await;
        other.bus.close().await.unwrap();
    });
    assert_eq!(
        found,
        Ok(Checked::Update(NEW.to_owned())),
        "{}",
        bench.log()
    );
}

#[tokio::test]
async fn a_pinned_origin_is_not_taken_for_one_without_updates() {
    let bench = Bench::new(branch()).await;
    let why = "Pinned to commit; no upgrade available".to_owned();
    bench.inject("Upgrade", Stage::Deploy, Effect::Say(why.clone()));
    let staged = bench.client().stage(None, |_| ()).await;
    assert_eq!(
        staged,
        Ok(Staged::Pinned(Pin::Commit(why))),
        "{}",
        bench.log()
    );
}

/// rpm-ostree finds nothing and says nothing, without end. What was deployed by its digest below a tag is no pin.
#[tokio::test]
async fn an_image_that_is_followed_by_its_digest_is_told() {
    let pinned = format!(
        "ostree-unverified-registry:127.0.0.1:8972/fcos@{}",
        Release::new(OLD).digest()
    );
    for spec in [image(), layered(image())] {
        let bench = Bench::new(spec).await;
        bench.set_sysroot(|sysroot| sysroot.deployments[0].origin = Origin::parse(&pinned));
        let client = bench.client();
        let pin = || Pin::Digest(pinned.clone());
        assert_eq!(client.check(|_| ()).await, Ok(Checked::Pinned(pin())));
        let staged = client.stage(None, |_| ()).await;
        assert_eq!(staged, Ok(Staged::Pinned(pin())), "{}", bench.log());
        assert_eq!(bench.staged(), None);
    }
    let mut bench = Bench::new(image()).await;
    bench.machine.admin_deploy(NEW).await.unwrap();
    bench.machine.reboot(Reboot::Clean).await.unwrap();
    bench.publish(NEWER);
    let found = bench.client().check(|_| ()).await;
    assert_eq!(found, Ok(Checked::Update(NEWER.to_owned())));
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_check_is_noticed_and_the_next_one_succeeds() {
    for point in [Stage::Call, Stage::Opened, Stage::Start, Stage::Running] {
        let bench = Bench::new(branch()).await;
        bench.inject("AutomaticUpdateTrigger", point, Effect::Crash);
        let first = bench.client().check(|_| ()).await;
        match (&first, point) {
            (Err(error), _) => assert_eq!(error.code(), Code::RpmOstreeDied, "{point:?} {error}"),
            // Nobody listened any more, so it was asked for again.
            (Ok(Checked::Update(version)), Stage::Opened) => assert_eq!(version, NEW),
            _ => panic!("{point:?}: {first:?}\n{}", bench.log()),
        }
        let second = bench.client().check(|_| ()).await;
        assert_eq!(second, Ok(Checked::Update(NEW.to_owned())), "{point:?}");
        assert!(bench.struck(), "{point:?}: it did not happen");
    }
}

/// Whether the burst comes before the work, in its middle or at its end, and in whichever work.
#[tokio::test]
async fn a_burst_of_messages_is_borne_at_each_point() {
    for point in [Stage::Running, Stage::Pull, Stage::Deploy, Stage::Finish] {
        let bench = Bench::new(image()).await;
        let bursts = |method: &str| bench.inject(method, point, Effect::Burst(200));
        let mut lines = 0;
        let mut count = |line: &str| lines += u32::from(line.starts_with("burst "));
        bursts("AutomaticUpdateTrigger");
        let found = bench.client().check(&mut count).await;
        assert_eq!(found, Ok(Checked::Update(NEW.to_owned())), "{point:?}");
        bursts("Upgrade");
        bench.client().stage(None, &mut count).await.unwrap();
        assert_eq!(
            (lines, bench.staged()),
            (400, Some((NEW.to_owned(), true))),
            "{point:?}"
        );
        assert!(bench.struck());
        // Nothing is downloaded there.
        if point != Stage::Pull {
            bursts("FinalizeDeployment");
            let pending = bench.client().host().await.unwrap().pending.unwrap();
            assert_eq!(bench.finalize(&pending).await, Ok(()));
            assert!(bench.struck(), "{point:?}");
            bench.rebooted().await;
        }
    }
}
