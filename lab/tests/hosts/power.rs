//! Power cuts in the middle of an update.

use cuo_core::node::NodeView;
use cuo_lab::host::Host;
use cuo_lab::machine::ostree::{Effect, Fault, Faults, Stage};

use crate::yard::Yard;
use crate::{PATIENCE, V1, V2, V3};

/// Where the power goes once the update is granted: in the order in which an update comes there.
const STEPS: &[&str] = &[
    "agent-before-accept",
    "agent-after-cordon",
    "agent-before-finalize",
    "agent-before-verifying",
    "agent-before-release",
];

/// Holds up a shutdown that has got so far that the update is not yet finalized.
const SLOW: &str = "cat > /etc/systemd/system/slow.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=sleep 60
[Unit]
After=lab-ostree.service
END
systemctl daemon-reload
systemctl start slow";

async fn cut(host: &Host, step: &str) {
    host.cut_power().await.unwrap();
    host.turn_on().await.unwrap();
    println!("power cut at {step}, boots {}", host.boots());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_comes_to_its_end_however_often_the_power_is_cut() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let host = yard.host();
    yard.install().await;
    yard.settled(V1).await;
    let gate = yard.gate(host);
    let hang = Fault {
        method: Some("Upgrade".to_owned()),
        stage: Stage::Pull,
        effect: Effect::HangForever,
        times: Some(1),
    };
    let edited = host
        .root()
        .edit(|faults: &mut Faults| faults.rules.push(hang));
    edited.unwrap();
    yard.pause(host, true).await;
    yard.publish(V2);
    let downloading = async || Ok(host.root().load::<Faults>()?.rules.is_empty());
    yard.comes("the middle of a download", downloading).await;
    cut(host, "the download").await;

    let staged =
        |node: &NodeView| !node.agent.needed.is_absent() && node.agent.progress.is_absent();
    yard.sees(host, "a staged update", staged).await;
    cut(host, "waiting").await;
    yard.sees(host, "a staged update again", staged).await;

    gate.shut(STEPS[0]).unwrap();
    yard.pause(host, false).await;
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

    // While the host is going down for it, too.
    host.shell(SLOW).await.unwrap();
    let boots = host.boots();
    yard.publish(V3);
    let stopping = async || {
        let jobs = host.shell("systemctl is-system-running || true").await?;
        Ok(jobs.trim() == "stopping")
    };
    yard.comes("a shutdown", stopping).await;
    assert_eq!(host.boots(), boots);
    cut(host, "the shutdown").await;
    yard.settled(V3).await;
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
