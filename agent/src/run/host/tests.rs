use super::*;
use crate::bus::Bus;
use crate::config::Config;
use crate::rpmostree::Limits;

/// Without a bus, and with somebody who tells of changes all the time.
#[tokio::test]
async fn who_does_not_answer_is_asked_less_and_less() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::new(Bus::at("unix:path=/nonexistent/bus"), Limits::default());
    let mut side = HostSide::new(root.path(), client, &Config::default().check, None);
    for expected in [20, 40, 80, 160, 300, 300] {
        side.heard();
        let (before, asked) = (Instant::now(), side.silences);
        side.outdated();
        side.refresh().await;
        assert_eq!(side.silences, asked + 1);
        let pause = Duration::from_secs(expected);
        let range = before + pause..=Instant::now() + pause;
        assert!(range.contains(&side.retry_at.unwrap()), "{expected}");
        let said = side.asks_again().unwrap().since(Timestamp::now().into());
        let said = said.unsigned_abs();
        assert!(said <= pause && pause - said < Duration::from_secs(5));
        side.heard();
        side.refresh().await;
        assert_eq!(side.silences, asked + 1, "its own question is no news");
    }
}

#[test]
fn a_pause_is_told_as_long_as_it_is() {
    for (pause, expected) in [(10, "10s"), (60, "1m"), (90, "1m 30s"), (21_600, "6h")] {
        assert_eq!(spoken(SignedDuration::from_secs(pause)), expected);
    }
    let spread = SignedDuration::new(61, 700_000_000);
    assert_eq!(spoken(spread), "1m 1s");
}

/// rpm-ostree has cleaned up by the time at which it tells.
#[tokio::test]
async fn a_full_disk_is_told_with_what_was_free_before() {
    let root = tempfile::tempdir().unwrap();
    let repo = root.path().join("ostree/repo");
    std::fs::create_dir_all(&repo).unwrap();
    let client = Client::new(Bus::at("unix:path=/nonexistent/bus"), Limits::default());
    let mut side = HostSide::new(root.path(), client, &Config::default().check, None);
    side.stage_started();
    assert!(side.free.is_some());
    side.free = Some(123_456_789);
    let full = |text: &str| {
        look::Error::from(Error::Failed {
            what: "Upgrade".into(),
            text: text.into(),
        })
    };
    let said = "Upgrade of rpm-ostreed failed: No space left on device";
    let reported = side.failure(&full("No space left on device"));
    let expected = format!("{said}; 123 MB were free below /ostree before");
    assert_eq!(reported, (Code::DiskFull, expected));
    // Without the figure where it is not known.
    std::fs::remove_dir_all(&repo).unwrap();
    side.stage_started();
    let reported = side.failure(&full("No space left on device"));
    assert_eq!(reported, (Code::DiskFull, said.to_owned()));
}

#[tokio::test]
async fn the_journal_has_every_word_and_the_node_the_cause() {
    let root = tempfile::tempdir().unwrap();
    let client = Client::new(Bus::at("unix:path=/nonexistent/bus"), Limits::default());
    let config = Config::default().check;
    let mut side = HostSide::new(root.path(), client, &config, None);
    let retry = Config::default().settings(&[], None).retry;
    let said = format!("a script\nfailed: {}\nerror: the cause", "log ".repeat(200));
    let failed = Error::Failed {
        what: "Upgrade".into(),
        text: said.clone(),
    };
    side.look_ended(Err(failed.into()), &config, &retry);
    let whole = line(&format!("Upgrade of rpm-ostreed failed: {said}"));
    assert_eq!(side.check().error, Some(whole.clone()));
    let reported = side.looked().unwrap();
    assert_eq!(reported, &Reason::quoting(Code::StageFailed, &whole));
    assert!(reported.message.ends_with("error: the cause"), "{reported}");
}

#[test]
fn labels_hold_what_kubernetes_allows() {
    let cases = [
        ("42.20260101.3.0", Some("42.20260101.3.0")),
        ("1.2+git~3", Some("1.2_git_3")),
        ("_x_", Some("x")),
        ("", None),
        ("///", None),
    ];
    for (text, expected) in cases {
        assert_eq!(label_value(text).as_deref(), expected);
    }
    assert_eq!(label_value(&"a".repeat(100)), Some("a".repeat(63)));
}
