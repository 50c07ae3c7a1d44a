//! `cuoctl` against a real API server, as people use it.

use std::time::Duration;

use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::herd::Herd;
use cuo_lab::machine::binary;
use cuo_lab::process::bound;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use crate::look::{NAMESPACE, gives_up, held, seen, settled};
use crate::{V1, V2, V3, cluster, start, web};

/// What a run of `cuoctl` came to.
#[derive(Debug)]
pub struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// What it printed, where all is well.
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.good()).unwrap()
    }

    /// What it said, where it failed.
    pub fn failed(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        self.err
    }
}

pub async fn cuoctl(bench: &Bench, arguments: &str) -> Ran {
    let arguments: Vec<_> = arguments.split(' ').collect();
    ran(bench, &arguments).await
}

pub async fn ran(bench: &Bench, arguments: &[&str]) -> Ran {
    let mut command = bound(binary("cuoctl").unwrap());
    command
        .args(arguments)
        .env("KUBECONFIG", bench.plane.admin_kubeconfig());
    let output = timeout(Duration::from_secs(60), command.output()).await;
    let output = output.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// What `status -o json` says of each node, as `PHASE REASON`.
async fn nodes(bench: &Bench) -> Vec<String> {
    let status = cuoctl(bench, "status -o json").await.json();
    let nodes = status["nodes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    nodes
        .map(|node| format!("{} {}", text(&node["phase"]), text(&node["reason"])))
        .collect()
}

/// A pause by object holds everybody, says whose it is, costs no restart, and is foreseen; then the order is as foreseen.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_shown_everywhere_and_what_follows_is_as_foreseen() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;

    let paused = ran(
        &bench,
        &["pause", "--all", "--for", "1h", "--reason", "a fair"],
    )
    .await;
    let paused = paused.good();
    let until = paused
        .trim()
        .strip_prefix("updatepause/all paused until ")
        .unwrap_or_else(|| panic!("{paused}"));
    bench.publish(V2).await.unwrap();
    let admin = bench.plane.kubectl(&[
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
    ]);
    let admin = admin.await.unwrap();
    let words = format!("paused by {admin} until {until} (UpdatePause all): a fair");
    let expected = vec![format!("waiting ClusterPaused: {words}"); 3];
    let all_held = async || Ok((nodes(&bench).await == expected).then_some(()));
    seen(&bench, "all nodes to be paused", all_held).await;
    let why = cuoctl(&bench, "why n2").await.good();
    assert!(
        why.starts_with(&format!("n2: ClusterPaused: {words}\n")),
        "{why}"
    );
    let status = cuoctl(&bench, "status").await.good();
    assert!(
        status.contains(&format!("All nodes are {words}\n")),
        "{status}"
    );

    let foreseen = cuoctl(&bench, "plan -o json").await.json();
    let reboots = foreseen["reboots"].as_array().unwrap();
    assert_eq!(reboots[0]["granted"], until, "{foreseen:#}");
    let order: Vec<_> = reboots
        .iter()
        .map(|reboot| reboot["node"].as_str().unwrap().to_owned())
        .collect();
    let file = bench.folder().join("cluster.json").display().to_string();
    let kept = ran(&bench, &["plan", "--snapshot-out", &file]).await.good();
    assert_eq!(kept, "");
    let offline = ran(&bench, &["plan", "--snapshot", &file, "-o", "json"]).await;
    assert_eq!(offline.json()["reboots"], foreseen["reboots"]);

    let resumed = cuoctl(&bench, "resume --all").await.good();
    assert_eq!(resumed, "updatepause/all deleted\n");
    settled(&bench, V2).await;
    assert_eq!(bench.recorder.order(), order);
    bench.judge(1).unwrap();
}

/// A pause whose time is over holds nothing, with nobody there to end it; one that makes no sense holds all.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_and_names_are_nobody_elses() {
    let (_folder, bench) = cluster(1).await;
    let pause = |name: &str, spec: &str| {
        format!(
            "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePause\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    let forged = pause("forged", "{scope: All, by: somebody-else}");
    let refused = bench.apply("forged.yaml", &forged).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(
        refused.contains("spec.by is the name of whoever writes it"),
        "{refused}"
    );
    let senseless = pause("senseless", "{scope: Pool}");
    let refused = bench.apply("senseless.yaml", &senseless).await.unwrap_err();
    assert!(format!("{refused:#}").contains("`pool` goes with `scope: Pool`"));

    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let nobody = cuoctl(&bench, "pause node n9").await;
    let said = "note: there is no node n9, so that pause holds nothing yet\n";
    assert_eq!((nobody.code, nobody.err.as_str()), (Some(0), said));
    cuoctl(&bench, "resume node n9").await.good();
    cuoctl(&bench, "pause node n1 --for 20s").await.good();
    bench.publish(V2).await.unwrap();
    let held = async || {
        let found = nodes(&bench).await;
        Ok(found[0]
            .starts_with("waiting Paused: paused by ")
            .then_some(()))
    };
    seen(&bench, "n1 to be paused", held).await;
    settled(&bench, V2).await;
    let left = bench
        .plane
        .kubectl(&["get", "updatepauses", "-o", "name"])
        .await
        .unwrap();
    assert_eq!(left.trim(), "updatepause.cuo.coreos.com/node-n1");
    bench.judge(1).unwrap();
}

/// Approvals, and a grant that is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn releases_are_approved_and_grants_are_given_up() {
    let (_folder, bench) = cluster(1).await;
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {approval: Manual}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    let waits = async || {
        let found = nodes(&bench).await;
        Ok(found[0].starts_with("waiting NotApproved: ").then_some(()))
    };
    seen(&bench, "n1 to wait for approval", waits).await;
    let never = cuoctl(&bench, "plan").await;
    assert_eq!(never.code, Some(3), "{never:?}");
    assert!(
        never.out.contains("somebody acts  NotApproved"),
        "{never:?}"
    );
    assert_eq!(
        cuoctl(&bench, "give-up n1").await.failed(),
        "cuoctl: node n1 has no grant\n"
    );

    site.gate().shut("agent-before-cordon").unwrap();
    let approve = format!("approve all {V2}");
    let approved = cuoctl(&bench, &approve).await.good();
    assert_eq!(approved, format!("updatepool/all approves {V2}\n"));
    let again = cuoctl(&bench, &approve).await.good();
    assert_eq!(again, format!("updatepool/all approves {V2} already\n"));
    self::held(&bench, "n1", "agent-before-cordon").await;
    cuoctl(&bench, "pause pool all").await.good();
    cuoctl(&bench, "give-up n1").await.good();
    site.gate().open("agent-before-cordon").unwrap();
    gives_up(&bench, "n1").await;
    let resumed = cuoctl(&bench, "resume pool all").await.good();
    assert_eq!(resumed, "updatepause/pool-all deleted\n");
    settled(&bench, V2).await;

    let releases = cuoctl(&bench, "release -o json").await.json();
    let first = &releases["releases"][0];
    assert_eq!((&first["version"], &first["run"]), (&V2.into(), &1.into()));
    bench.publish(V3).await.unwrap();
    cuoctl(&bench, &format!("approve all {V3}")).await.good();
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
}

/// Everybody is told which right is missing, and nobody gets further than their rights.
#[tokio::test(flavor = "multi_thread")]
async fn each_verb_needs_the_rights_of_its_user() {
    let (_folder, bench) = cluster(1).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let rights = [
        "create clusterrole see-nodes --verb=get,list,watch --resource=nodes",
        "create clusterrolebinding viewer --clusterrole=view --user=viewer",
        "create clusterrolebinding viewer-nodes --clusterrole=see-nodes --user=viewer",
        "create clusterrolebinding pauser --clusterrole=cuo-pause --user=pauser",
    ];
    for line in rights {
        let arguments: Vec<_> = line.split(' ').collect();
        bench.plane.kubectl(&arguments).await.unwrap();
    }
    // The controller that adds to `view` takes a moment.
    let viewer =
        async || Ok((cuoctl(&bench, "--as viewer release").await.err.is_empty()).then_some(()));
    seen(&bench, "a viewer to see pools", viewer).await;
    // Without a pod that would have to leave, nobody is asked about one.
    let pods = "get pods -A -o name --field-selector spec.nodeName=n1";
    let pods: Vec<_> = pods.split(' ').collect();
    let pod = async || Ok((!bench.plane.kubectl(&pods).await?.is_empty()).then_some(()));
    seen(&bench, "a pod on the node", pod).await;
    for verb in ["status", "why n1", "plan", "release", "history"] {
        let found = cuoctl(&bench, &format!("--as viewer {verb}")).await;
        assert_eq!(found.err, "", "{verb}");
        found.good();
        let stranger = cuoctl(&bench, &format!("--as stranger {verb}"))
            .await
            .failed();
        assert!(
            stranger.contains("cannot list resource \"nodes\""),
            "{verb}: {stranger}"
        );
    }
    for (verb, missing) in [
        ("pause --all", "cannot create resource \"updatepauses\""),
        ("resume --all", "cannot delete resource \"updatepauses\""),
        ("approve all 1", "there is no pool \"all\""),
        ("give-up n1", "node n1 has no grant"),
        ("blockers", "you need the right to create pods/eviction"),
    ] {
        let refused = cuoctl(&bench, &format!("--as viewer {verb}"))
            .await
            .failed();
        assert!(refused.contains(missing), "{verb}: {refused}");
    }
    let paused = cuoctl(&bench, "--as pauser pause --all").await.good();
    assert_eq!(paused, "updatepause/all paused\n");
    let status = cuoctl(&bench, "--as viewer status").await.good();
    assert!(
        status.contains("All nodes are paused by pauser (UpdatePause all)\n"),
        "{status}"
    );
    // Nobody speaks in the name of whoever paused.
    let forged = [
        "patch",
        "updatepause",
        "all",
        "--type=merge",
        "-p",
        "{\"spec\":{\"reason\":\"x\"}}",
    ];
    let refused = bench.plane.kubectl(&forged).await.unwrap_err();
    assert!(format!("{refused:#}").contains("spec.by is the name of whoever writes it"));
    let shorter = cuoctl(&bench, "pause --all --for 5m").await.failed();
    assert!(
        shorter.contains("updatepause/all: already paused by pauser"),
        "{shorter}"
    );
    cuoctl(&bench, "--as pauser resume --all").await.good();

    let missing = "/nonexistent/kubeconfig";
    let without = ran(&bench, &["--kubeconfig", missing, "status"])
        .await
        .failed();
    assert!(without.contains(missing), "{without}");
    bench.judge(1).unwrap();
}

/// `--watch` elsewhere than on a terminal: a line for each change, until it is ended.
#[tokio::test(flavor = "multi_thread")]
async fn watching_shows_each_change_on_a_line() {
    let (_folder, bench) = cluster(1).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let log = bench.folder().join("watch.log");
    let mut command = bound(binary("cuoctl").unwrap());
    command
        .args(["status", "--watch"])
        .env("KUBECONFIG", bench.plane.admin_kubeconfig());
    let mut watch = cuo_lab::process::spawn_logged(&mut command, &log).unwrap();
    let lines = || {
        let text = std::fs::read_to_string(&log).unwrap();
        // Lines with a time; notes go to the standard error.
        text.lines()
            .filter(|line| line.starts_with('2'))
            .filter_map(|line| line.split_once(' ').map(|(_, line)| line.to_owned()))
            .collect::<Vec<_>>()
    };
    let first = async || Ok((lines() == [format!("n1 idle runs {V1}")]).then_some(()));
    seen(&bench, "the node as it is", first).await;
    bench.publish(V2).await.unwrap();
    let last = async || Ok((lines().last() == Some(&format!("n1 idle runs {V2}"))).then_some(()));
    seen(&bench, "the node as it is in the end", last).await;
    // Changes that come close together are one line.
    let under_way = format!(" runs {V1}, next {V2}");
    let lines = lines();
    assert!(
        lines.iter().any(|line| line.contains(&under_way)),
        "{lines:#?}"
    );
    watch.kill().await.unwrap();
}

/// A pod that its budget keeps is found before anybody drains, and the Events say what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_block_a_drain_is_found_before_it() {
    let (_folder, bench) = cluster(2).await;
    web(&bench, 2, 2).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let found = cuoctl(&bench, "blockers -o json").await.json();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 2, "{found:#?}");
    for (blocker, node) in found.iter().zip(["n1", "n2"]) {
        let text = |field: &str| blocker[field].as_str().unwrap();
        assert_eq!((text("node"), text("namespace")), (node, "default"));
        assert_eq!(text("controller"), "ReplicaSet");
        assert!(text("why").contains("disruption budget web"), "{blocker:#}");
    }
    bench
        .plane
        .kubectl(&["delete", "pdb", "web"])
        .await
        .unwrap();
    let free = async || {
        let said = cuoctl(&bench, "blockers n1").await.good();
        Ok(said
            .starts_with("All pods that have to leave")
            .then_some(()))
    };
    seen(&bench, "nothing to be in the way", free).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    let told = async || {
        let events = cuoctl(&bench, "events n1").await.good();
        let said = |what: &str| events.contains(what);
        Ok(
            (said(" cuo-operator node/n1 Reserve") && said(" cuo-operator node/n1 Grant"))
                .then_some(()),
        )
    };
    seen(&bench, "the Events of n1", told).await;
    let other = cuoctl(&bench, "events n3").await.good();
    assert_eq!(other, "");
}

/// How well each of these is according to `cuoctl doctor`, or "absent" where it says nothing of it.
async fn levels(bench: &Bench, about: &[&str]) -> Vec<String> {
    let ran = cuoctl(bench, "doctor -o json").await;
    let found: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let level = |about: &&str| {
        let check = found.iter().find(|check| check["about"] == *about);
        let level = check.map_or("absent", |check| check["level"].as_str().unwrap());
        level.to_owned()
    };
    about.iter().map(level).collect()
}

/// Waits until `cuoctl doctor` says this of each.
async fn judges(bench: &Bench, expected: &[(&str, &str)]) {
    let (about, expected): (Vec<_>, Vec<_>) = expected.iter().copied().unzip();
    let what = format!("the doctor to say {expected:?} of {about:?}");
    let is = async || Ok((levels(bench, &about).await == expected).then_some(()));
    seen(bench, &what, is).await;
}

/// What keeps nodes from granting is looked at, and its absence found.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_is_not_as_it_has_to_be() {
    let (_folder, bench) = cluster(2).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let sound = [
        ("agents", "ok"),
        ("admission policies", "ok"),
        ("Node authorizer", "ok"),
        ("disruption budgets", "ok"),
        ("webhooks", "ok"),
        ("clock", "ok"),
        ("other drivers", "ok"),
        ("gates", "absent"),
        ("ledger", "absent"),
    ];
    judges(&bench, &sound).await;
    web(&bench, 2, 2).await;
    let binding = [
        "delete",
        "validatingadmissionpolicybinding",
        "cuo-node-keys",
    ];
    bench.plane.kubectl(&binding).await.unwrap();
    let unsound = [
        ("admission policies", "failed"),
        ("disruption budgets", "warning"),
    ];
    judges(&bench, &unsound).await;
    assert_eq!(cuoctl(&bench, "doctor").await.code, Some(4));

    another_driver(&bench).await;
    a_gate_that_is_missing(&bench).await;
    let ledger = r#"{"data":{"ledger.json":"{"}}"#;
    let spoil = ["-n", NAMESPACE, "patch", "configmap", "cuo-ledger", "-p"];
    let spoil = [&spoil[..], &[ledger]].concat();
    bench.plane.kubectl(&spoil).await.unwrap();
    judges(&bench, &[("ledger", "failed")]).await;
}

/// kured on nodes with an agent, and then on none.
async fn another_driver(bench: &Bench) {
    let kured = |selector: &str| {
        format!(
            "apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: kured, namespace: default}}
spec:
  selector: {{matchLabels: {{name: kured}}}}
  template:
    metadata: {{labels: {{name: kured}}}}
    spec:
      nodeSelector: {selector}
      containers: [{{name: kured, image: 'ghcr.io/kubereboot/kured:1.23.0'}}]
"
        )
    };
    bench.apply("kured.yaml", &kured("{}")).await.unwrap();
    judges(bench, &[("other drivers", "failed")]).await;
    let nowhere = kured("{no-node: has-this}");
    bench.apply("kured.yaml", &nowhere).await.unwrap();
    judges(bench, &[("other drivers", "ok")]).await;
}

/// A gate that a pool names before it is there.
async fn a_gate_that_is_missing(bench: &Bench) {
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {gates: [quiet]}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    judges(bench, &[("gates", "failed")]).await;
    let close = ["gate", "close", "quiet", "--reason", "alerts fire"];
    ran(bench, &close).await.good();
    judges(bench, &[("gates", "absent")]).await;
}

/// A pool waits for its gate, whatever opens and closes that, and a gate closes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_waits_for_its_gate() {
    let (_folder, bench) = cluster(1).await;
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {gates: [quiet]}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    let held = async |why: &str| {
        let expected = format!("waiting GateClosed: pool all: gate quiet {why}");
        let is = async || Ok((nodes(&bench).await == [expected.clone()]).then_some(()));
        seen(&bench, &expected, is).await;
    };
    held("does not exist").await;
    let closed = ran(
        &bench,
        &["gate", "close", "quiet", "--reason", "alerts fire"],
    )
    .await;
    assert_eq!(closed.good(), "updategate/quiet closed\n");
    held("is closed: alerts fire").await;
    // Whoever may write just this gate can open it, and make no other.
    let rights = [
        "create clusterrole quiet --verb=get,patch --resource=updategates --resource-name=quiet",
        "create clusterrolebinding quiet --clusterrole=quiet --user=watcher",
    ];
    for line in rights {
        let arguments: Vec<_> = line.split(' ').collect();
        bench.plane.kubectl(&arguments).await.unwrap();
    }
    let refused = cuoctl(&bench, "--as watcher gate open other")
        .await
        .failed();
    assert!(refused.contains("\"updategates\""), "{refused}");
    let opened = cuoctl(&bench, "--as watcher gate open quiet").await.good();
    assert_eq!(opened, "updategate/quiet open\n");
    settled(&bench, V2).await;

    // What the pool goes by is over before there is anything to grant.
    let opened = cuoctl(&bench, "gate open quiet --for 1s").await.good();
    let until = opened
        .trim()
        .strip_prefix("updategate/quiet open until ")
        .unwrap();
    let end: Timestamp = until.parse().unwrap();
    let over = async || Ok((Timestamp::now() >= end).then_some(()));
    seen(&bench, "the gate to close by itself", over).await;
    bench.publish(V3).await.unwrap();
    held(&format!("was open until {until}")).await;
    cuoctl(&bench, "gate open quiet").await.good();
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
}

/// Whatever can be read is in one file, and what can't be is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_holds_what_there_is() {
    let (_folder, bench) = cluster(1).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let names = |listing: &str| {
        let lines = listing
            .lines()
            .filter_map(|line| line.trim().split_once("  "));
        // Whether kubelets of this lab have the logs of pods is their business.
        let lines = lines.filter(|(_, name)| !name.starts_with("operator/cuo-operator-"));
        lines.map(|(_, name)| name.to_owned()).collect::<Vec<_>>()
    };
    let expected = [
        "about.json",
        "cluster.json",
        "doctor.json",
        "events.json",
        "missing.txt",
        "nodes.json",
        "operator/pods.json",
        "status.txt",
    ];
    let listed = cuoctl(&bench, "support-bundle --list").await;
    assert!(listed.err.contains("journalctl -u cuo-agent"), "{listed:?}");
    assert_eq!(names(&listed.good()), expected);
    let file = bench.folder().join("support.tar.zst");
    let write = ["support-bundle", "--file", file.to_str().unwrap()];
    let written = ran(&bench, &write).await.good();
    let end = format!("Written to {}. ", file.display());
    assert!(written.contains(&end), "{written}");
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size > 0, "{size}");
    let again = ran(&bench, &write).await;
    assert!(again.err.contains("it is there already"), "{again:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), size);
    // Whoever may not read the Nodes has nothing to collect.
    let refused = cuoctl(&bench, "--as nobody support-bundle --list").await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

/// The order of thirty nodes is as foreseen; their agents answer at once here, so the times are not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "cargo xtask test --all"]
async fn thirty_nodes_go_in_the_order_that_was_foreseen() {
    let (_folder, bench) = start(vec![]).await;
    let herd = Herd::start(&bench.plane, 30).await.unwrap();
    let all: Vec<_> = (0..30).collect();
    herd.want_all(&all, true).await.unwrap();
    let plan = cuoctl(&bench, "plan -o json").await.json();
    let reboots = plan["reboots"].as_array().unwrap().iter();
    let foreseen: Vec<_> = reboots
        .map(|reboot| reboot["node"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(foreseen.len(), 30);
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    herd.at_rest().await.unwrap();
    assert_eq!(herd.order(), foreseen);
}
