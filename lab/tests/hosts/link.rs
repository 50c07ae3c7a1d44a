//! The network is silent for a minute, at each phase of an update.

use std::time::Duration;

use cuo_agent::journal::Event;
use cuo_lab::host::Host;
use futures::future::join_all;
use tokio::time::sleep;

use crate::yard::{Plan, Yard};
use crate::{PATIENCE, V1, V2};

/// Longer than a heartbeat may be late and a call may take.
const SILENCE: Duration = Duration::from_secs(60);
/// Where the network goes on each host, in the order in which an update comes there.
const STEPS: [&[&str]; 3] = [
    &["agent-before-stage", "agent-before-finalize"],
    &["agent-after-cordon", "agent-before-verifying"],
    // This one waits for its grant before.
    &["agent-before-release"],
];

/// Nothing goes to the host and from it for a minute; `meanwhile` happens when it has begun.
async fn silence(host: &Host, what: &str, meanwhile: impl AsyncFnOnce()) {
    let boots = host.boots();
    host.cut_link().await.unwrap();
    meanwhile().await;
    sleep(SILENCE).await;
    host.mend_link().await.unwrap();
    println!(
        "{}: silence at {what}, boots {boots} -> {}",
        host.name(),
        host.boots()
    );
}

async fn goes_through(yard: &Yard, host: &Host, steps: &[&str]) {
    let gate = yard.gate(host);
    for step in steps {
        if let Err(error) = gate.hit(step, PATIENCE).await {
            panic!("{error:#}{}", yard.pictures().await);
        }
        silence(host, step, async || gate.open(step).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_bears_a_network_that_is_silent_for_a_minute_in_each_phase() {
    let plan = Plan {
        hosts: 3,
        flags: &["--max-unavailable=3"],
    };
    let Some(yard) = Yard::planned(plan).await else {
        return;
    };
    yard.install().await;
    yard.settled(V1).await;
    for (host, steps) in yard.hosts.iter().zip(STEPS) {
        for step in steps {
            yard.gate(host).shut(step).unwrap();
        }
    }
    let waiting = &yard.hosts[2];
    yard.pause(waiting, true).await;
    yard.publish(V2);
    let others = join_all(
        yard.hosts
            .iter()
            .zip(STEPS)
            .take(2)
            .map(|(host, steps)| goes_through(&yard, host, steps)),
    );
    let last = async {
        yard.sees(waiting, "a need", |node| !node.agent.needed.is_absent())
            .await;
        // The grant comes while the host hears nothing.
        silence(waiting, "waiting", async || {
            yard.pause(waiting, false).await
        })
        .await;
        goes_through(&yard, waiting, STEPS[2]).await;
    };
    futures::join!(others, last);
    yard.settled(V2).await;
    for host in &yard.hosts {
        assert_eq!(host.boots(), 2, "{}", host.name());
        // It was silence, and the agent has told of it.
        let unreachable = yard.entries(host, Event::Unreachable).await;
        assert!(!unreachable.is_empty(), "{}", host.name());
        let node = yard.bench.node(host.name()).unwrap();
        assert!(!node.unschedulable, "{node:#?}");
    }
    yard.bench.judge(3).unwrap();
}
