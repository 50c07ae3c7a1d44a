//! `cuoctl` of this release with the operator, the agents and the definitions of the one before.

use std::time::Duration;

use cuo_lab::bench::Bench;
use cuo_lab::machine::binary;
use cuo_lab::process::bound;
use tokio::time::timeout;

use crate::V1;
use crate::look::settled;
use crate::releases::{Before, Both, Now};

/// Exit code, and both outputs.
async fn cuoctl(bench: &Bench, arguments: &str) -> (Option<i32>, String) {
    let mut command = bound(binary("cuoctl").unwrap());
    command
        .args(arguments.split(' '))
        .env("KUBECONFIG", bench.plane.admin_kubeconfig());
    let output = timeout(Duration::from_secs(60), command.output()).await;
    let output = output.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_everything_and_are_told_what_is_too_old() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Before, &[Before, Now]).await;
    let _operator = both.operator(&bench, Before, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    for (arguments, code, says) in [
        ("status", 0, "n2"),
        ("why n1", 0, "n1: "),
        ("plan", 0, "No node reboots"),
        ("release", 0, V1),
        ("history", 0, "No candidate has ended yet"),
        ("doctor", 4, "agents are of an older release: n1"),
        ("reboot n1", 1, "the agent on node n1 is too old for that"),
        ("retry n1 n2", 1, "the agent on node n1 is too old for that"),
        ("pause --all", 1, "the cluster does not know UpdatePauses"),
        ("gate close g", 1, "the cluster does not know UpdateGates"),
    ] {
        let (found, said) = cuoctl(&bench, arguments).await;
        assert_eq!(found, Some(code), "{arguments}: {said}");
        assert!(said.contains(says), "{arguments}: {said}");
    }
    assert!(bench.node("n2").unwrap().requests.retry.is_absent());
}
