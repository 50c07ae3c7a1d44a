//! The agent's clock is wrong by a day, and is set right in the middle of an update.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_lab::host::Host;

use crate::yard::{Plan, Yard};
use crate::{PATIENCE, V1, V2, V3};

/// How wrong it is, for libfaketime, which reads the file at each look at the clock. What counts from the boot is right all the time.
const CLOCK: &str = "/etc/lab-clock";
const DAY: i64 = 24 * 3600;

/// Has the agent see the clock of the file.
async fn give_clock(host: &Host) {
    let unit = format!(
        "echo +0 > {CLOCK}
        library=$(ls /usr/lib/*/faketime/libfaketime.so.1)
        cat > /etc/systemd/system/cuo-agent.service.d/60-clock.conf <<END
[Service]
Environment=LD_PRELOAD=$library FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1
END
        systemctl daemon-reload"
    );
    host.shell(&unit).await.unwrap();
}

/// Sets it wrong by so many seconds.
async fn set(host: &Host, wrong: i64) {
    host.shell(&format!("echo {wrong:+} > {CLOCK}"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_by_a_day_costs_at_most_a_reason() {
    // The next grant comes soon after one that was refused for the time.
    let plan = Plan {
        hosts: 1,
        flags: &["--accept-timeout=20s"],
    };
    let Some(yard) = Yard::planned(plan).await else {
        return;
    };
    let host = yard.host();
    give_clock(host).await;
    yard.install().await;
    yard.settled(V1).await;

    // Ahead, no grant is in time; nothing is begun, the answer says why, and so does the doctor.
    set(host, DAY).await;
    yard.publish(V2);
    let refused = |node: &NodeView| {
        let result = node.agent.result.value();
        result.is_some_and(|result| result.gave(Code::GrantExpired))
    };
    let node = yard.sees(host, "a refusal", refused).await;
    assert!(!node.unschedulable && host.boots() == 1);
    let doctor = "env $(systemctl show --property=Environment --value cuo-agent) cuo-agent doctor";
    let found = host.shell(doctor).await.unwrap_err().to_string();
    assert!(found.contains("failed  clock"), "{found}");
    set(host, 0).await;
    yard.settled(V2).await;
    assert_eq!(host.boots(), 2);

    // A day behind, and right again, with the grant accepted and the node cordoned.
    let gate = yard.gate(host);
    gate.shut("agent-after-cordon").unwrap();
    gate.shut("agent-before-verifying").unwrap();
    yard.publish(V3);
    gate.hit("agent-after-cordon", PATIENCE).await.unwrap();
    set(host, -DAY).await;
    gate.open("agent-after-cordon").unwrap();
    gate.hit("agent-before-verifying", PATIENCE).await.unwrap();
    set(host, DAY).await;
    gate.open("agent-before-verifying").unwrap();
    yard.settled(V3).await;
    assert_eq!(host.boots(), 3);
    yard.bench.judge(1).unwrap();
}
