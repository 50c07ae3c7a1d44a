//! How often the running agent asks for an update, and thereby starts rpm-ostreed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cuo_agent::network::metered;
use cuo_core::reason::{Code, Reason};
use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Effect, Origin, Release, Stage, Trouble, texts};
use cuo_lab::machine::systemd::Units;
use cuo_lab::wait::until;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bench::{Bench, NEW, NEWER, OLD, PATIENCE, branch, image, upgrade_options};
use crate::service::{check, start};

fn configure(bench: &Bench, text: &str) {
    let path = "etc/cuo-agent/config.d/50-test.toml";
    bench.machine.root().write(path, text).unwrap();
}

/// What the agent says of itself once `is` holds.
pub async fn says(bench: &Bench, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let path = bench.machine.root().join("run/cuo-agent/agent/status.json");
    let look = async || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let answer = serde_json::from_str::<Value>(&text).ok();
        Ok(answer.filter(&is))
    };
    let found = until(format!("the agent to say {what}"), PATIENCE, look).await;
    found.unwrap_or_else(|error| panic!("{error}\n{}", bench.machine.agent_log_end(20)))
}

/// Ten idle minutes at a scale of one to a hundred: rpm-ostreed leaves between the looks, and nothing else starts it.
#[tokio::test]
async fn rpm_ostreed_is_started_once_a_period() {
    const LOOKS: usize = 4;
    const PERIOD: Duration = Duration::from_secs(2);
    let mut bench = Bench::new(branch()).await;
    bench.publish(OLD);
    bench.set_faults(|faults| faults.pace.idle_exit = 300);
    configure(&bench, "[check]\nperiod = \"2s\"\njitter = \"1s\"\n");
    start(&mut bench, &[]);
    bench.wait_calls("Upgrade", 1).await;
    let first = Instant::now();
    bench.wait_calls("Upgrade", LOOKS).await;
    // A little less, for the call comes a moment before the test sees it.
    let least = PERIOD * (LOOKS as u32 - 1) - Duration::from_millis(200);
    assert!(first.elapsed() > least, "{:?}", first.elapsed());
    bench.wait_asleep().await;
    let log = bench.log();
    let starts = log.matches("ostree::serve: ready").count();
    // The deployments are read at the start, which may have ended before the first look.
    assert!(
        (LOOKS..=LOOKS + 1).contains(&starts),
        "{starts} starts\n{log}"
    );
    assert_eq!(bench.calls("Upgrade").len(), LOOKS);
}

#[tokio::test]
async fn an_agent_that_is_started_over_and_over_looks_no_more_often() {
    let mut bench = Bench::new(branch()).await;
    bench.publish(OLD);
    start(&mut bench, &[]);
    let looked = |answer: &Value| answer["check"]["last"].is_string();
    let before = says(&bench, "that it has looked", looked).await;
    for _ in 0..2 {
        bench.machine.kill_agent().await.unwrap();
        start(&mut bench, &[]);
        let pid = bench.machine.agent_pid().unwrap();
        let ours = |answer: &Value| answer["pid"] == pid && answer["phase"] == "idle";
        let now = says(&bench, "that it runs", ours).await;
        assert_eq!(now["check"], before["check"]);
        assert_eq!(now["next"], before["next"]);
        assert_eq!(bench.calls("Upgrade").len(), 1);
    }
    let (code, ..) = bench.command(&["check"]).await;
    assert_eq!(code, 0);
    bench.wait_calls("Upgrade", 2).await;
}

/// Somebody's transaction lasts for longer than the agent has patience, and is left to them.
#[tokio::test]
async fn a_transaction_that_lasts_is_told_with_whose_it_is_and_since_when() {
    let mut bench = Bench::new(branch()).await;
    configure(&bench, "[retry]\nfirst = \"1s\"\ncap = \"1s\"\n");
    bench.inject("UpdateDeployment", Stage::Pull, Effect::HangForever);
    let options = upgrade_options();
    let other = bench
        .foreign("UpdateDeployment", &(&options, &options))
        .await;
    let peer = other.begin().await;
    start(&mut bench, &[]);
    let reason = |answer: &Value| answer["reason"].as_str().unwrap_or_default().to_owned();
    let busy = |answer: &Value| reason(answer).starts_with(Code::RpmOstreeBusy.as_str());
    let answer = says(&bench, "that rpm-ostreed is busy", busy).await;
    let message = reason(&answer);
    let unique = other.bus.unique_name().unwrap();
    let start = format!(
        "RpmOstreeBusy: rpm-ostreed is busy with UpdateDeployment (\"cuo-agent: upgrade\") of caller {unique}, and was so each time since "
    );
    let since = message
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{message}"));
    assert!(since.parse::<jiff::Timestamp>().is_ok(), "{message}");
    assert!(bench.calls("Upgrade").len() >= 3);
    assert!(!bench.log().contains("cancel"), "{}", bench.log());

    // It ends at last.
    drop((peer, other));
    bench.end_daemon().await;
    let waits = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    says(&bench, "that it waits", waits).await;
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

/// Before its first look, and while another program keeps it from one that is due.
#[tokio::test]
async fn the_next_look_is_never_in_the_past() {
    let mut bench = Bench::new(branch()).await;
    let root = bench.machine.root();
    root.write("proc/uptime", "5.00 5.00\n").unwrap();
    configure(&bench, "[check]\nstart = \"1h\"\n");
    start(&mut bench, &[]);
    let runs = |answer: &Value| answer["phase"] == "idle";
    let answer = says(&bench, "that it runs", runs).await;
    assert_eq!(answer["check"]["last"], Value::Null);
    let next = answer["check"]["next"].as_str().unwrap();
    let left = next.parse::<jiff::Timestamp>().unwrap() - jiff::Timestamp::now();
    assert!(left.total(jiff::Unit::Minute).unwrap() > 58.0, "{answer}");
    let expected = json!({"what": "look for an update", "at": next});
    assert_eq!(answer["next"], expected);
    assert_eq!(bench.calls("Upgrade"), [""; 0]);

    let zincati = |units: &mut Units| {
        let (unit, state) = ("zincati.service", "active");
        units.states.insert(unit.into(), state.into());
    };
    bench.machine.root().edit(zincati).unwrap();
    let (code, ..) = bench.command(&["check"]).await;
    assert_eq!(code, 0);
    let held = |answer: &Value| {
        let reason = answer["reason"].as_str().unwrap_or_default();
        reason.starts_with("OtherDriver")
    };
    let answer = says(&bench, "that another program updates the host", held).await;
    let expected = json!({"what": "look for an update once nothing holds", "at": null});
    assert_eq!(answer["next"], expected);
    assert_eq!(bench.calls("Upgrade"), [""; 0]);
}

#[tokio::test]
async fn a_tag_that_is_moved_back_is_not_followed_into_a_reboot() {
    let mut bench = Bench::new(HostSpec::container(NEW)).await;
    bench.publish(OLD);
    start(&mut bench, &[]);
    let origin = bench.sysroot().deployments.remove(0).origin;
    let why = texts::older(&Release::new(OLD), &Release::new(NEW), &origin);
    let text = Reason::new(
        Code::OlderVersion,
        format!("Upgrade of rpm-ostreed failed: {why}"),
    );
    let text = text.to_string();
    let refused = |answer: &Value| answer["phase"] == "idle" && answer["reason"] == text.as_str();
    says(&bench, "that rpm-ostree refuses it", refused).await;
    assert_eq!(bench.staged(), None);

    bench.publish(NEWER);
    check(&bench).await;
    let waits = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    says(&bench, "that it waits", waits).await;
    assert_eq!(bench.staged(), Some((NEWER.to_owned(), true)));
}

#[tokio::test]
async fn a_host_that_follows_a_digest_says_that_nothing_will_come() {
    for mode in ["stage", "check"] {
        let mut bench = Bench::new(image()).await;
        let digest = Release::new(OLD).digest();
        let reference = format!("ostree-unverified-registry:127.0.0.1:8972/fcos@{digest}");
        bench.set_sysroot(|sysroot| sysroot.deployments[0].origin = Origin::parse(&reference));
        configure(&bench, &format!("mode = \"{mode}\"\n"));
        start(&mut bench, &[]);
        let text = format!(
            "OriginUnusable: there will be no update: the host follows {reference}, and what a digest names never changes; \
             `rpm-ostree rebase` to a tag to get updates"
        );
        let reported =
            |answer: &Value| answer["phase"] == "idle" && answer["reason"] == text.as_str();
        says(&bench, "that nothing will come", reported).await;
    }
}

/// Its next look is hours away, and what the last one came to is no less true.
#[tokio::test]
async fn what_a_look_came_to_is_told_by_the_next_process_too() {
    let digest = |bench: &Bench| {
        let digest = Release::new(OLD).digest();
        let reference = format!("ostree-unverified-registry:127.0.0.1:8972/fcos@{digest}");
        bench.set_sysroot(|sysroot| sysroot.deployments[0].origin = Origin::parse(&reference));
    };
    let unsigned = |bench: &Bench| {
        bench.set_remote(|remote| remote.trouble = Some(Trouble::Unsigned));
    };
    type Change = fn(&Bench);
    let cases: [(Change, Code); 2] = [
        (digest, Code::OriginUnusable),
        (unsigned, Code::SignatureRefused),
    ];
    for (trouble, code) in cases {
        let mut bench = Bench::new(image()).await;
        trouble(&bench);
        start(&mut bench, &[]);
        let reported = |answer: &Value| {
            let reason = answer["reason"].as_str().unwrap_or_default();
            reason.starts_with(code.as_str())
        };
        let before = says(&bench, code.as_str(), reported).await;
        bench.machine.kill_agent().await.unwrap();
        start(&mut bench, &[]);
        let pid = bench.machine.agent_pid().unwrap();
        let runs = |answer: &Value| answer["pid"] == pid && reported(answer);
        let after = says(&bench, "the same again", runs).await;
        assert_eq!(
            [&after["reason"], &after["check"]],
            [&before["reason"], &before["check"]]
        );
        assert_eq!(bench.calls("Upgrade").len(), 1);
    }
}

/// NetworkManager as far as it tells what the network costs, which a test changes.
struct NetworkManager(Arc<AtomicU32>);

#[zbus::interface(name = "org.freedesktop.NetworkManager")]
impl NetworkManager {
    #[zbus(property)]
    fn metered(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Puts the double on the host's bus; it leaves with the connection.
async fn network(bench: &Bench, metered: &Arc<AtomicU32>) -> zbus::Connection {
    let bus = bench.machine.connect().await.unwrap();
    let double = NetworkManager(metered.clone());
    let path = "/org/freedesktop/NetworkManager";
    bus.object_server().at(path, double).await.unwrap();
    let name = "org.freedesktop.NetworkManager";
    bus.request_name(name).await.unwrap();
    bus
}

#[tokio::test]
async fn what_the_network_costs_is_asked_of_network_manager() {
    let bench = Bench::new(branch()).await;
    assert!(!metered(&bench.bus()).await, "it does not run");
    let value = Arc::new(AtomicU32::new(0));
    let _double = network(&bench, &value).await;
    for (number, expected) in [(0, false), (1, true), (2, false), (3, true), (4, false)] {
        value.store(number, Ordering::Relaxed);
        assert_eq!(metered(&bench.bus()).await, expected, "{number}");
    }
}

#[tokio::test]
async fn no_update_is_looked_for_on_a_metered_network_unless_somebody_asks() {
    let mut bench = Bench::new(branch()).await;
    let value = Arc::new(AtomicU32::new(1));
    let _double = network(&bench, &value).await;
    start(&mut bench, &[]);
    let reason = |answer: &Value| answer["reason"].as_str().unwrap_or_default().to_owned();
    let waits = |answer: &Value| reason(answer).starts_with("Metered");
    let answer = says(&bench, "that the network is metered", waits).await;
    let next = json!({"what": "look for an update once nothing holds", "at": null});
    assert_eq!((&answer["phase"], &answer["next"]), (&json!("idle"), &next));
    assert_eq!(bench.calls("Upgrade"), [""; 0]);

    let (code, ..) = bench.command(&["check"]).await;
    assert_eq!(code, 0);
    let staged = |answer: &Value| answer["phase"] == "waiting" && answer["reason"].is_null();
    says(&bench, "that an update is staged", staged).await;
    assert_eq!(bench.staged(), Some((NEW.to_owned(), true)));
}

#[tokio::test]
async fn a_metered_network_can_be_ignored() {
    let mut bench = Bench::new(branch()).await;
    let value = Arc::new(AtomicU32::new(1));
    let _double = network(&bench, &value).await;
    configure(&bench, "[check]\nmetered = \"ignore\"\n");
    start(&mut bench, &[]);
    bench.wait_calls("Upgrade", 1).await;
}
