//! Locks of logind, held by other programs.

use cuo_core::reason::Code;
use cuo_lab::host::Host;

use crate::yard::Yard;
use crate::{PATIENCE, V1, V2};

/// Starts a program as the unit `unit` that holds a lock on shutdown.
async fn inhibit(host: &Host, unit: &str, mode: &str, who: &str, why: &str) {
    // The unit is started when the program is, which has its lock a moment later.
    let lock = format!(
        "systemd-run --quiet --unit={unit} \
         systemd-inhibit --what=shutdown --mode={mode} --who='{who}' --why='{why}' sleep infinity
         until systemd-inhibit --list --no-legend | grep -q '{why}'; do sleep 0.1; done"
    );
    host.shell(&lock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_lock_is_waited_for_and_a_delay_lock_gets_its_time() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;

    inhibit(host, "backup", "block", "Backup", "the tape is turning").await;
    yard.publish(V2);
    let why = yard.reason(host, Code::Inhibited, "Backup").await;
    assert!(
        why.contains("Backup") && why.contains("the tape is turning"),
        "{why}"
    );

    // One that comes when the node is drained already is respected by those who reboot.
    let gate = yard.gate(host);
    gate.shut("agent-before-finalize").unwrap();
    host.run(&["systemctl", "stop", "backup"]).await.unwrap();
    gate.hit("agent-before-finalize", PATIENCE).await.unwrap();
    inhibit(host, "burner", "block", "Burner", "a disc is being written").await;
    gate.open("agent-before-finalize").unwrap();
    let why = yard.reason(host, Code::Inhibited, "Burner").await;
    assert!(why.contains("a disc is being written"), "{why}");
    let node = yard.sees(host, "a node in service", |node| !node.unschedulable);
    let result = node.await.agent.result;
    println!("a lock in the last moment: {result:?}");
    assert_eq!(host.boots(), 1);

    inhibit(host, "flush", "delay", "Flush", "the cache is not written").await;
    host.run(&["systemctl", "stop", "burner"]).await.unwrap();
    yard.settled(V2).await;
    assert_eq!(host.boots(), 2);
    let logind = host.journal("systemd-logind").await.unwrap();
    assert!(
        logind.contains("Delay lock is active") && logind.contains("timeout is reached"),
        "{logind}"
    );
    yard.bench.judge(1).unwrap();
}
