//! A main loop that hangs.

use rustix::process::{Pid, Signal, kill_process};

use crate::yard::Yard;
use crate::{PATIENCE, V1};

/// Less than the ten minutes of the unit, and less of a pause before the next try.
const SHORT: &str = "mkdir -p /run/systemd/system/cuo-agent.service.d
printf '[Service]\\nWatchdogSec=6s\\nRestartSec=1s\\n' > /run/systemd/system/cuo-agent.service.d/60-short.conf
systemctl daemon-reload
systemctl restart cuo-agent";

/// A time in which an agent that hangs is found out twice.
const LONG: u64 = 12;
/// Where the main loop comes every few seconds.
const LOOK: &str = "agent-decided-stage";

/// Waits until systemd has started the agent again, `times` in all, and it has been well for long.
async fn started_again(yard: &Yard, times: &str) {
    let host = yard.host();
    let again = async || Ok(host.property("cuo-agent", "NRestarts").await? == times);
    yard.comes("another agent", again).await;
    yard.gate(host).open(LOOK).unwrap();
    let well = format!(
        "begin=$(systemctl show --property=ActiveEnterTimestampMonotonic --value cuo-agent)
        now=$(cut -d. -f1 /proc/uptime)
        systemctl is-active --quiet cuo-agent && [ $((now - begin / 1000000)) -gt {LONG} ]"
    );
    let well = async || Ok(host.shell(&well).await.is_ok());
    yard.comes("a time without a hang", well).await;
    assert_eq!(
        host.property("cuo-agent", "NRestarts").await.unwrap(),
        times
    );
}

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
    started_again(&yard, "1").await;
    assert_ne!(host.process("cuo-agent.service").unwrap(), hung);

    // The main loop alone, in a process that is alive otherwise.
    let hung = host.process("cuo-agent.service").unwrap();
    yard.gate(host).shut(LOOK).unwrap();
    yard.gate(host).hit(LOOK, PATIENCE).await.unwrap();
    started_again(&yard, "2").await;
    assert_ne!(host.process("cuo-agent.service").unwrap(), hung);
    let journal = host.journal("cuo-agent").await.unwrap();
    assert_eq!(journal.matches("Watchdog timeout").count(), 2, "{journal}");
    yard.settled(V1).await;
}
