//! The agent as a service: what it tells its manager, and what it does on a signal and about its files.

use std::fs;
use std::time::Duration;

use cuo_core::agent::state::State;
use cuo_core::ids::ReleaseId;
use cuo_lab::machine::binary;
use cuo_lab::machine::ostree::{Release, Trouble, texts};
use cuo_lab::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, NEW, PATIENCE, branch, image};

pub fn start(bench: &mut Bench, env: &[(&str, &str)]) {
    let program = binary("cuo-agent").unwrap();
    bench.machine.spawn_agent(&program, env).unwrap();
}

/// Waits for this status line.
async fn status(bench: &Bench, what: &str, is: impl Fn(&str) -> bool) {
    let look = async || Ok(bench.machine.agent_status().filter(|line| is(line)));
    let found = until(format!("the status {what}"), PATIENCE, look).await;
    if let Err(error) = found {
        let reported = bench.machine.agent_status();
        panic!("{error}: {reported:?}\n{}", bench.machine.agent_log_end(20));
    }
}

async fn reported(bench: &Bench, what: &str) {
    let look = async || {
        Ok(bench
            .machine
            .agent_log_end(200)
            .contains(what)
            .then_some(()))
    };
    until(format!("{what:?} in the log"), PATIENCE, look)
        .await
        .unwrap();
}

/// A person asks for a look.
pub async fn check(bench: &Bench) {
    let (code, stdout, stderr) = bench.command(&["check"]).await;
    assert_eq!((code, &*stdout, &*stderr), (0, "", ""));
}

#[tokio::test]
async fn the_status_tells_place_target_reason_and_progress_at_once() {
    let mut bench = Bench::new(image()).await;
    bench.set_remote(|remote| remote.trouble = Some(Trouble::Down));
    start(&mut bench, &[]);
    let origin = bench.sysroot().deployments.remove(0).origin;
    let why = texts::trouble(Trouble::Down, &origin, &Release::new(NEW));
    let failed = format!("idle: NetworkFailed: Upgrade of rpm-ostreed failed: {why}");
    status(&bench, &failed, |line| line == failed).await;

    bench.set_remote(|remote| remote.trouble = None);
    bench.set_faults(|faults| faults.pace.pull = 1_500);
    check(&bench).await;
    let chunk = &Release::new(NEW).merge_commit()[..21];
    let line = format!("{failed}; rpm-ostree: [1/1] Fetching ostree chunk {chunk} (1.1 MB)");
    status(&bench, &line, |reported| reported == line).await;
    let identity: ReleaseId = Release::new(NEW).digest().parse().unwrap();
    let waits = format!("waiting, to boot {NEW} ({})", identity.short());
    status(&bench, &waits, |reported| reported == waits).await;

    let pid = bench.machine.agent_pid().unwrap();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::TERM).unwrap();
    while bench.machine.agent_running() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = bench.machine.notifications();
    let count = |key: &str| all.iter().filter(|one| one.key == key).count();
    assert_eq!((count("READY"), count("STOPPING")), (1, 1), "{all:?}");
    let last = all.last().map(|one| (&*one.key, &*one.value));
    assert_eq!(last, Some(("STOPPING", "1")));
}

/// Several periods of the watchdog without a sign of progress.
#[tokio::test]
async fn a_slow_download_keeps_the_watchdog_fed() {
    const PERIODS: usize = 5;
    let mut bench = Bench::new(image()).await;
    bench.set_faults(|faults| faults.pace.pull = 1_000 * PERIODS as u64);
    start(&mut bench, &[("WATCHDOG_USEC", "1000000")]);
    let pid = bench.machine.agent_pid();
    status(&bench, "of the download", |line| line.contains("Fetching")).await;
    status(&bench, "of an update", |line| line.starts_with("waiting")).await;
    let all = bench.machine.notifications();
    let fetching = all.iter().skip_while(|one| !one.value.contains("Fetching"));
    let signs = fetching.filter(|one| one.key == "WATCHDOG").count();
    // Twice a period, less what a loaded machine comes too late with.
    assert!(signs > PERIODS, "{signs} signs of life: {all:?}");
    assert_eq!(bench.calls("Upgrade").len(), 1);
    assert!(bench.machine.agent_running() && bench.machine.agent_pid() == pid);
}

#[tokio::test]
async fn a_state_that_can_not_be_used_is_never_overwritten_and_read_again_on_reload() {
    let mut bench = Bench::new(branch()).await;
    let path = bench.machine.root().join("var/lib/cuo-agent/state.json");
    let mut newer: Value = serde_json::from_str(&State::default().to_text().unwrap()).unwrap();
    newer["version"] = 99.into();
    let boot = bench.machine.boot_id().unwrap().to_string();
    newer["state"]["attempt"] = serde_json::json!({"progress": {"boot": boot}});
    let newer = newer.to_string();
    fs::write(&path, &newer).unwrap();
    start(&mut bench, &[]);
    status(&bench, "that says why", |line| {
        line.contains("StateUnreadable")
    })
    .await;
    let (code, _, stderr) = bench.command(&["forget", "all"]).await;
    assert_eq!((code, &*stderr), (0, ""));
    reported(&bench, "nothing was forgotten: the file must stay as it is").await;
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    assert_eq!(bench.calls("Upgrade"), [""; 0]);

    fs::remove_file(&path).unwrap();
    check(&bench).await;
    reported(&bench, "the state can be used again").await;
    status(&bench, "of an update", |line| line.starts_with("waiting")).await;
}

#[tokio::test]
async fn nobody_but_the_agent_is_woken() {
    let bench = Bench::new(branch()).await;
    let mut other = cuo_lab::process::bound("sleep")
        .arg("600")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = format!("{}\n", other.id().unwrap());
    bench
        .machine
        .root()
        .write("run/cuo-agent/agent/pid", pid)
        .unwrap();
    for command in [&["check"][..], &["forget", "all"]] {
        let (code, _, stderr) = bench.command(command).await;
        assert_eq!(code, 1);
        assert!(stderr.contains("the agent does not run"), "{stderr}");
    }
    assert!(matches!(other.try_wait(), Ok(None)));
    other.kill().await.unwrap();
}
