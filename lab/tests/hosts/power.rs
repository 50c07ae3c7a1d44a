//! Power cuts in the middle of an update.

use crate::yard::Yard;
use crate::{PATIENCE, V1, V2};

/// Where the power goes: in the order in which an update comes there.
const STEPS: &[&str] = &[
    "agent-before-accept",
    "agent-after-cordon",
    "agent-before-finalize",
    "agent-before-verifying",
    "agent-before-release",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_update_comes_to_its_end_however_often_the_power_is_cut() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;
    let gate = yard.gate(host);
    gate.shut(STEPS[0]).unwrap();
    yard.publish(V2);
    for (number, step) in STEPS.iter().enumerate() {
        let boots = host.boots();
        if let Err(error) = gate.hit(step, PATIENCE).await {
            let journal = host.journal("cuo-agent").await.unwrap_or_default();
            panic!("{error:#}{}\n{journal}", host.picture().await);
        }
        host.cut_power().await.unwrap();
        gate.open(step).unwrap();
        if let Some(next) = STEPS.get(number + 1) {
            gate.shut(next).unwrap();
        }
        host.turn_on().await.unwrap();
        println!("power cut at {step}, boots {boots} -> {}", host.boots());
        assert_eq!(host.boots(), boots + 1);
    }
    yard.settled(V2).await;
    assert!(!yard.bench.node(host.name()).unwrap().unschedulable);
    let failed = host
        .run(&["systemctl", "--failed", "--no-legend"])
        .await
        .unwrap();
    assert_eq!(failed, "");
    let verified = host
        .shell("journalctl --verify 2>&1 | grep -v ' PASS\\|^PASS' || true")
        .await
        .unwrap();
    println!("journalctl --verify: {verified}");
    yard.bench.judge(1).unwrap();
}
