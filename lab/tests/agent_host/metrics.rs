//! The metrics that the agent writes for node_exporter.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cuo_lab::machine::ostree::Trouble;
use cuo_lab::wait::until;
use serde_json::Value;

use crate::bench::{Bench, NEW, OLD, branch};
use crate::service::{check, start};

/// Several times the longest pause between two writes.
const LONG: Duration = Duration::from_secs(180);
const FOLDER: &str = "var/lib/node_exporter";
const LOOKED: &str = "cuo_agent_last_look_timestamp_seconds ";

/// A host whose agent is to write its metrics into a folder that may not be there.
async fn configured() -> Bench {
    let bench = Bench::new(branch()).await;
    let text = format!("[metrics]\ntextfile = \"/{FOLDER}/cuo.prom\"\n");
    let path = "etc/cuo-agent/config.d/50-metrics.toml";
    bench.machine.root().write(path, text).unwrap();
    bench
}

fn folder(bench: &Bench) -> PathBuf {
    bench.machine.root().join(FOLDER)
}

/// The samples that are not 0, without those about times but the last look, once all of `expected` are among them.
async fn samples(bench: &Bench, expected: &[&str]) -> Vec<String> {
    let path = folder(bench).join("cuo.prom");
    let look = async || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| {
            let other = line.starts_with("cuo_agent_phase_since") || line.ends_with(" 0");
            !line.starts_with('#') && !other
        });
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        let there = |one: &&str| lines.iter().any(|line| line.starts_with(*one));
        Ok(expected.iter().all(there).then_some(lines))
    };
    let found = until(format!("{expected:?}"), LONG, look).await;
    found.unwrap_or_else(|error| {
        let text = fs::read_to_string(&path);
        panic!("{error}: {text:?}\n{}", bench.machine.agent_log_end(20))
    })
}

#[tokio::test]
async fn the_metrics_say_when_a_look_last_succeeded_across_restarts_and_boots() {
    let mut bench = configured().await;
    fs::create_dir_all(folder(&bench)).unwrap();
    bench.publish(OLD);
    start(&mut bench, &[]);
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("cuo_agent_build_info{{version=\"{version}\"}} 1");
    let idle = "cuo_agent_phase{phase=\"idle\"} 1";
    let ok = "cuo_agent_looks_total{result=\"ok\"} 1";
    let up = "cuo_agent_daemon_up 1";
    let all = samples(&bench, &[ok, idle]).await;
    let looked = all.iter().find(|line| line.starts_with(LOOKED)).unwrap();
    assert_eq!(all, [&build, idle, looked, ok, up]);

    // What the agent leaves for the next one is gone with the boot, but for its state.
    bench.machine.kill_agent().await.unwrap();
    fs::remove_file(folder(&bench).join("cuo.prom")).unwrap();
    fs::remove_dir_all(bench.machine.root().join("run/cuo-agent/agent")).unwrap();
    bench.set_remote(|remote| remote.trouble = Some(Trouble::Down));
    start(&mut bench, &[]);
    let failed = "cuo_agent_looks_total{result=\"NetworkFailed\"} 1";
    let reason = "cuo_agent_reason{code=\"NetworkFailed\"} 1";
    let expected = [&build, idle, looked, failed, reason, up];
    assert_eq!(samples(&bench, &[failed, reason, idle]).await, expected);

    bench.publish(NEW);
    bench.set_remote(|remote| remote.trouble = None);
    check(&bench).await;
    let waiting = "cuo_agent_phase{phase=\"waiting\"} 1";
    let all = samples(&bench, &[waiting, ok]).await;
    let again = all.iter().find(|line| line.starts_with(LOOKED)).unwrap();
    assert_ne!(again, looked);
    let downloads = "cuo_agent_downloads_total 1";
    let expected = [&build, waiting, again, ok, failed, downloads, up];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_file_that_can_not_be_written_disturbs_nothing_and_is_reported_once() {
    let mut bench = configured().await;
    start(&mut bench, &[]);
    let told = "the metrics can't be written: can't write ";
    let log = || bench.machine.agent_log_end(200);
    let look = async || Ok(log().contains(told).then_some(()));
    until("a line about it", LONG, look).await.unwrap();
    let metrics = async || {
        let (_, stdout, _) = bench.command(&["doctor", "--output", "json"]).await;
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "metrics")
    };
    let look = async || {
        Ok(metrics()
            .await
            .filter(|check| check["verdict"] == "warning"))
    };
    let found = until("the doctor's word", LONG, look).await.unwrap();
    let path = folder(&bench).join("cuo.prom");
    let shown = path.display();
    let why = format!("can't write {shown}: No such file or directory (os error 2)");
    assert_eq!(found["found"], why);

    // It updates the host as ever.
    let look = async || Ok(bench.staged());
    until("a staged update", LONG, look).await.unwrap();
    fs::create_dir_all(folder(&bench)).unwrap();
    let waiting = "cuo_agent_phase{phase=\"waiting\"} 1";
    samples(&bench, &[waiting]).await;
    let look = async || Ok(metrics().await.filter(|check| check["verdict"] == "ok"));
    until("the doctor to be content", LONG, look).await.unwrap();
    let again = "the metrics can be written again";
    assert_eq!([told, again].map(|one| log().matches(one).count()), [1, 1]);
}
