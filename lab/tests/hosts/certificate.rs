//! The kubelet's certificate is renewed under the running agent, and the one before comes to its end.

use std::time::{Duration, Instant};

use cuo_agent::journal::Event;
use cuo_lab::host::VALIDITY;

use crate::yard::Yard;
use crate::{V1, V2};

/// Enough for the agent to find two new ones, which it looks for once a minute.
const SHORT: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_that_was_renewed_costs_no_grant() {
    let Some(yard) = Yard::start(1).await else {
        return;
    };
    let (host, plane) = (yard.host(), &yard.bench.plane);
    yard.install().await;
    yard.settled(V1).await;
    let begin = Instant::now();
    let connections = host.connections();
    for validity in [SHORT, VALIDITY] {
        let copy = "/run/cuo-agent/credentials/kubeconfig";
        let old = host.shell(&format!("sha256sum {copy}")).await.unwrap();
        host.renew_certificate(plane, validity).unwrap();
        let renewed = async || Ok(host.shell(&format!("sha256sum {copy}")).await? != old);
        yard.comes("a copy of the new certificate", renewed).await;
    }
    let ended = async || Ok(begin.elapsed() > SHORT);
    yard.comes("the end of the old certificate", ended).await;

    // Whoever had the old one still would be refused from now on.
    yard.publish(V2);
    let needed = |node: &cuo_core::node::NodeView| !node.agent.needed.is_absent();
    yard.sees(host, "a need", needed).await;
    let reconnected = host.connections() - connections;
    yard.settled(V2).await;
    println!("{connections} connections before, {reconnected} for the new certificates");
    let count = async |event| yard.entries(host, event).await.len();
    assert_eq!(count(Event::Accepted).await, 1);
    for missed in [
        Event::Rejected,
        Event::Forbidden,
        Event::Unreachable,
        Event::Refused,
    ] {
        assert_eq!(count(missed).await, 0, "{missed:?}");
    }
    // Once for each certificate, for the watch and for what is asked beside it.
    assert!(reconnected <= 4, "{reconnected}");
    yard.bench.judge(1).unwrap();
}
