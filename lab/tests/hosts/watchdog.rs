//! A main loop that hangs.

use rustix::process::{Pid, Signal, kill_process};

use crate::V1;
use crate::yard::Yard;

/// Less than the ten minutes of the unit, and less of a pause before the next try.
const SHORT: &str = "mkdir -p /run/systemd/system/cuo-agent.service.d
printf '[Service]\\nWatchdogSec=4s\\nRestartSec=1s\\n' > /run/systemd/system/cuo-agent.service.d/60-short.conf
systemctl daemon-reload
systemctl restart cuo-agent";

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_agent_is_started_again() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    host.shell(SHORT).await.unwrap();
    yard.settled(V1).await;
    assert_eq!(host.property("cuo-agent", "NRestarts").await.unwrap(), "0");
    let hung = host.process("cuo-agent.service").unwrap();
    kill_process(Pid::from_raw(hung).unwrap(), Signal::STOP).unwrap();
    let restarted = async || {
        let restarts = host.property("cuo-agent", "NRestarts").await?;
        let state = host.property("cuo-agent", "ActiveState").await?;
        Ok(restarts != "0" && state == "active")
    };
    yard.comes("another agent", restarted).await;
    assert_ne!(host.process("cuo-agent.service").unwrap(), hung);
    let journal = host.journal("cuo-agent").await.unwrap();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    // It reported in time from then on.
    assert_eq!(host.property("cuo-agent", "NRestarts").await.unwrap(), "1");
}
