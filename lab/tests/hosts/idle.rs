//! What the shipped program costs while there is nothing to do, and what could be done with it if it was taken over.

use std::fs;
use std::time::Duration;

use cuo_lab::rpm;

use crate::V1;
use crate::yard::{Yard, repository};

/// Most memory that the agent may take, in KiB.
const MOST: u64 = 15 << 10;
/// How long its work is counted.
const WHILE: Duration = Duration::from_secs(300);
/// Most processor time in that while, in hundredths of a second: one of a thousand.
const SPENT: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_agent_costs_next_to_nothing() {
    // Built before the control plane starts, since that may take minutes.
    let program = rpm::program(&repository(), "cuo-agent").await.unwrap();
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    fs::copy(&program, host.root().join("lab/cuo-agent")).unwrap();
    host.install().await.unwrap();
    // As it is shipped, with its own configuration.
    host.shell(
        "rm -rf /etc/cuo-agent/config.d/50-haste.toml /etc/systemd/system/cuo-agent.service.d
        cp /lab/cuo-agent /usr/bin/cuo-agent
        systemctl daemon-reload
        systemctl enable --now --quiet cuo-agent",
    )
    .await
    .unwrap();
    yard.settled(V1).await;
    let looked = async || Ok(host.journal("cuo-agent").await?.contains("no update"));
    yard.comes("the first look for an update", looked).await;

    let process = host.process("cuo-agent.service").unwrap();
    let (before, switches) = (ticks(process), status(process, "voluntary_ctxt_switches"));
    tokio::time::sleep(WHILE).await;
    let spent = ticks(process) - before;
    let woken = status(process, "voluntary_ctxt_switches") - switches;
    let memory = ["VmRSS", "RssAnon", "RssFile", "VmHWM"].map(|name| (name, status(process, name)));
    println!(
        "idle agent: {memory:?} KiB; in {WHILE:?}: {} ms of processor time, woken {woken} times",
        spent * 10
    );
    let judged = host
        .run(&["systemd-analyze", "security", "--no-pager", "cuo-agent"])
        .await
        .unwrap();
    println!("{}", judged.lines().last().unwrap_or_default());
    assert!(status(process, "VmRSS") <= MOST, "{memory:?}");
    assert!(
        spent <= SPENT,
        "{spent} hundredths of a second in {WHILE:?}"
    );
}

/// A number of `/proc/PID/status`.
fn status(process: i32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// Processor time so far, in hundredths of a second.
fn ticks(process: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    fields[11..=12]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}
