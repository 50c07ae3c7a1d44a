//! `cuo-agent doctor` and `status` of a node of a real cluster.

use std::collections::HashMap;
use std::path::Path;

use cuo_core::values::Phase;
use cuo_lab::bench::Bench;
use cuo_lab::cluster::controlplane::NodeCredential;
use cuo_lab::machine::binary;
use cuo_lab::process::bound;
use serde_json::{Value, json};
use zbus::OwnedVariant;

use crate::{PATIENCE, cluster, look};

/// polkit, which allows everything.
struct Polkit;

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    fn check_authorization(
        &self,
        _subject: (String, HashMap<String, OwnedVariant>),
        _action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> ((bool, bool, HashMap<String, String>),) {
        ((true, false, HashMap::new()),)
    }
}

/// What the agent's program prints as JSON on the host `n1`, and its exit code.
pub async fn run(bench: &Bench, command: &str, kubeconfig: Option<&Path>) -> (i32, Value) {
    let mut program = bound(binary("cuo-agent").unwrap());
    {
        let machine = bench.site("n1").unwrap().machine.lock().await;
        program
            .arg("--root")
            .arg(machine.root().path())
            .env("DBUS_SYSTEM_BUS_ADDRESS", machine.root().bus_address());
    }
    program.args([command, "--output", "json"]);
    if let Some(path) = kubeconfig {
        program.arg("--kubeconfig").arg(path);
    }
    let output = tokio::time::timeout(PATIENCE, program.output());
    let output = output.await.unwrap().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(reported, "");
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), report)
}

/// The checks of the cluster: name, verdict, finding, remedy.
pub async fn checks(bench: &Bench, kubeconfig: Option<&Path>) -> Value {
    let (_, report) = run(bench, "doctor", kubeconfig).await;
    let all = report["checks"].as_array().unwrap();
    let names = [
        "kubeconfig",
        "API server",
        "identity",
        "Node",
        "rights",
        "clock",
    ];
    let row = |check: &Value| {
        json!([
            check["name"],
            check["verdict"],
            check["found"],
            check["remedy"]
        ])
    };
    let ours = all
        .iter()
        .filter(|check| names.iter().any(|name| check["name"] == *name));
    ours.map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_judged_as_the_agent_sees_it() {
    let (folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let own = {
        let machine = site.machine.lock().await;
        machine.root().join("var/lib/kubelet/kubeconfig")
    };
    look::node(&bench, "n1", "Ready", |node| node.ready).await;
    let kubeconfig = own.to_str().unwrap();
    let sound = json!([
        ["kubeconfig", "ok", kubeconfig, null],
        ["API server", "ok", "answers", null],
        ["identity", "ok", "system:node:n1", null],
        ["Node", "ok", "n1 is Ready", null],
        ["rights", "ok", "all that the agent needs", null],
        ["clock", "ok", "agrees with the API server's", null],
    ]);
    assert_eq!(checks(&bench, None).await, sound);

    let label = "cuo.coreos.com/reboot-paused";
    let paused = format!("{label}=true");
    let pause = ["label", "node", "n1", &paused];
    bench.plane.kubectl(&pause).await.unwrap();
    let mut expected = sound.clone();
    let remedy = format!("`kubectl label node n1 {label}-`, or the annotation of that name.");
    expected[3] = json!(["Node", "warning", "n1 is paused", remedy]);
    assert_eq!(checks(&bench, None).await, expected);

    // The credential of a node that has not registered.
    let other = folder.path().join("other/kubeconfig");
    let day = std::time::Duration::from_secs(24 * 3600);
    let embedded = NodeCredential::Embedded;
    bench
        .plane
        .node_kubeconfig("n9", &other, embedded, day)
        .unwrap();
    let mut expected = sound.clone();
    expected[0][2] = json!(other.to_str().unwrap());
    expected[2][2] = json!("system:node:n9");
    let remedy = "Check that the kubelet runs and has registered; a wrong name comes from node_name in the agent's configuration or from the host's name.";
    expected[3] = json!(["Node", "failed", "there is no Node n9", remedy]);
    assert_eq!(checks(&bench, Some(&other)).await, expected);

    // Without an agent its state and its Node tell where it was.
    site.start_agent().await.unwrap();
    look::shows(
        &bench,
        "n1",
        Phase::Idle,
        Some(cuo_core::reason::Code::Paused),
    )
    .await;
    // What the first look finds is on the Node by then.
    let looked = |node: &cuo_core::node::NodeView| node.agent.following.value().is_some();
    look::node(&bench, "n1", "to have looked for an update", looked).await;
    let (code, running) = run(&bench, "status", None).await;
    assert_eq!((code, &running["source"]), (0, &json!("agent")));
    site.kill_agent().await.unwrap();
    let (code, away) = run(&bench, "status", None).await;
    let mut expected = running.clone();
    expected["agent"] = json!({"running": false, "pid": null, "version": null});
    expected["source"] = json!("node");
    expected["check"] = Value::Null;
    expected["next"] = json!({"what": "nothing, until the agent is started: `systemctl start cuo-agent`", "at": null});
    assert_eq!((code, away), (0, expected));

    // With nothing in the way all of it is as it should be.
    let unpause = ["label", "node", "n1", &format!("{label}-")];
    bench.plane.kubectl(&unpause).await.unwrap();
    site.start_agent().await.unwrap();
    look::shows(&bench, "n1", Phase::Idle, None).await;
    let bus = site.machine.lock().await.connect().await.unwrap();
    let path = "/org/freedesktop/PolicyKit1/Authority";
    bus.object_server().at(path, Polkit).await.unwrap();
    bus.request_name("org.freedesktop.PolicyKit1")
        .await
        .unwrap();
    let (code, report) = run(&bench, "doctor", None).await;
    let all = report["checks"].as_array().unwrap();
    let others: Vec<_> = all
        .iter()
        .filter(|check| check["verdict"] != "ok")
        .collect();
    assert_eq!((code, &report["ok"], others), (0, &json!(true), vec![]));
    assert_eq!(all.len(), 18, "{report:#}");

    bench.plane.stop_api().await.unwrap();
    let (code, report) = run(&bench, "doctor", None).await;
    let names: Vec<_> = report["checks"].as_array().unwrap().iter().collect();
    let server = names.iter().find(|check| check["name"] == "API server");
    assert_eq!((code, &server.unwrap()["verdict"]), (1, &json!("failed")));
    bench.plane.start_api().await.unwrap();
}
