//! Nodes whose writes are refused, by policies and webhooks of other people: they wait, and hold up nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cuo_core::ledger::Stage;
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, Operator, OperatorSpec};
use cuo_lab::cluster::webhook::{Review, Verdict, Webhook};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deletion::{pods, run};
use crate::drain::event;
use crate::look::{NAMESPACE, boots, held, ledger, node, seen, settled, shows, verdict};
use crate::{PATIENCE, V1, V2, cluster, doctor};

/// The least that the operator waits after a refusal, before it writes to that Node again.
const RESTS: Duration = Duration::from_secs(15);
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {maxUnavailable: 1, paused: PAUSED}
";

fn rules() -> Value {
    json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes"]}])
}

/// A policy that refuses what the operator writes to the Nodes that `matches` is true for.
fn policy(matches: &str) -> String {
    let group = "admissionregistration.k8s.io/v1";
    let all = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "frozen"},
            "spec": {
                "matchConstraints": {"resourceRules": rules()},
                "matchConditions": [
                    {"name": "operator", "expression": by_operator()},
                    {"name": "node", "expression": matches},
                ],
                "validations": [{"expression": "false", "message": "not this week", "reason": "Forbidden"}],
            },
        },
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "frozen"},
            "spec": {"policyName": "frozen", "validationActions": ["Deny"]},
        },
    ]});
    all.to_string()
}

/// A webhook without which no Node is written; `more` says which, and by whom.
fn webhook(client: &Value, more: (&str, Value)) -> String {
    let mut webhook = json!({
        "name": "guard.example.com",
        "clientConfig": client,
        "rules": rules(),
        "sideEffects": "None",
        "timeoutSeconds": 2,
        "failurePolicy": "Fail",
        "admissionReviewVersions": ["v1"],
    });
    webhook[more.0] = more.1;
    let all = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [webhook],
    });
    all.to_string()
}

fn operator() -> String {
    format!("system:serviceaccount:{NAMESPACE}:cuo-operator")
}

fn by_operator() -> String {
    format!("request.userInfo.username == '{}'", operator())
}

async fn delete(bench: &Bench, what: &[&str]) {
    let words = [&["delete"], what].concat();
    bench.plane.kubectl(&words).await.unwrap();
}

/// The API as the operator has it.
async fn as_operator(bench: &Bench) -> Api<Node> {
    let file = bench.folder().join("as-operator.kubeconfig");
    let plane = &bench.plane;
    plane
        .service_account_kubeconfig(NAMESPACE, "cuo-operator", &file)
        .await
        .unwrap();
    Api::all(plane.client(&file).await.unwrap())
}

/// Waits until what the operator writes to this Node is refused in these words: what refuses takes a moment to be in force.
async fn in_force(bench: &Bench, name: &str, words: &str) {
    let nodes = as_operator(bench).await;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let change = json!({"metadata": {"annotations": {"cuo.coreos.com/only-node": "true"}}});
    let refused = async || match nodes.patch(name, &dry, &Patch::Merge(&change)).await {
        Err(kube::Error::Api(status)) if status.message.contains(words) => Ok(Some(())),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(None),
    };
    seen(bench, &format!("{name} to be refused"), refused).await;
}

/// A cluster whose nodes all wait for their grants, in a pool that is paused, with its operator.
async fn all_wait(count: usize) -> (TempDir, Bench, Operator) {
    let (folder, bench) = cluster(count).await;
    let paused = POOL.replace("PAUSED", "true");
    bench.apply("pool.yaml", &paused).await.unwrap();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    for site in bench.sites() {
        shows(&bench, site.name(), Phase::Waiting, None).await;
    }
    (folder, bench, operator)
}

/// What `refusal` describes is in force, for the first node too, which is refused in these words; then the pool's nodes may go.
async fn refuse(bench: &Bench, refusal: &str, words: &str) {
    bench.apply("refusal.json", refusal).await.unwrap();
    in_force(bench, "n1", words).await;
    let going = POOL.replace("PAUSED", "false");
    bench.apply("pool.yaml", &going).await.unwrap();
}

/// How often a write to the Node by `user` was refused.
fn refusals(bench: &Bench, user: &str, name: &str) -> usize {
    let (calls, _) = bench.plane.calls_since(0).unwrap();
    let refused = calls.iter().filter(|call| {
        let real = !call.uri.contains("dryRun=All");
        call.user == user && call.name == name && call.code >= 400 && call.code != 409 && real
    });
    refused.count()
}

/// Waits until the pool says that this is why none of its nodes goes.
async fn pool_says(bench: &Bench, code: Code) {
    let path = "jsonpath={.status.conditions[?(@.type==\"Held\")].reason}";
    let look = async || {
        let get = ["get", "updatepool", "all", "--output", path];
        Ok((bench.plane.kubectl(&get).await? == code.as_str()).then_some(()))
    };
    seen(bench, &format!("the pool to be held by {code}"), look).await;
}

/// Four of five nodes can't be written, and they come first: nobody waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_a_policy_freezes_hold_up_no_other() {
    let (_folder, bench, operator_process) = all_wait(5).await;
    refuse(&bench, &policy("request.name != 'n5'"), "not this week").await;
    let start = Instant::now();
    let granted = async || Ok(bench.recorder.order().first().cloned());
    assert_eq!(seen(&bench, "a grant", granted).await, "n5");
    let waited = start.elapsed();
    assert!(waited < RESTS, "n5 waited for the others: {waited:?}");
    bench.settled_on(&["n5"], V2, PATIENCE).await.unwrap();
    verdict(&bench, &operator_process, Code::WriteRefused, 4).await;
    pool_says(&bench, Code::WriteRefused).await;
    let most = start.elapsed().as_secs() / RESTS.as_secs() + 1;
    let log = std::fs::read_to_string(operator_process.log()).unwrap();
    for name in ["n1", "n2", "n3", "n4"] {
        let tries = refusals(&bench, &operator(), name);
        assert!(
            (1..=most as usize).contains(&tries),
            "{name}: {tries} tries"
        );
        let reported = format!(
            "node-reserve of node {name}: forbidden: nodes \"{name}\" is forbidden: ValidatingAdmissionPolicy 'frozen' with binding \
             'frozen' denied request: not this week; others go first"
        );
        assert_eq!(log.matches(&reported).count(), 1, "{reported} in {log}");
    }
    assert_eq!(bench.recorder.order(), ["n5"]);

    delete(&bench, &["validatingadmissionpolicybinding", "frozen"]).await;
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// A webhook that only some Nodes are put to, and that nobody serves.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_behind_a_webhook_that_nobody_serves_hold_up_no_other() {
    let (_folder, bench, operator_process) = all_wait(5).await;
    let guarded = ["label", "nodes", "n1", "n2", "n3", "guarded=true"];
    bench.plane.kubectl(&guarded).await.unwrap();
    let selector = json!({"matchLabels": {"guarded": "true"}});
    let guard = webhook(
        &json!({"url": "https://127.0.0.1:1/"}),
        ("objectSelector", selector),
    );
    refuse(&bench, &guard, "failed calling webhook").await;
    bench.settled_on(&["n4", "n5"], V2, PATIENCE).await.unwrap();
    assert_eq!(bench.recorder.order(), ["n4", "n5"]);
    verdict(&bench, &operator_process, Code::WriteRefused, 3).await;
    pool_says(&bench, Code::WriteRefused).await;
    let log = std::fs::read_to_string(operator_process.log()).unwrap();
    for name in ["n1", "n2", "n3"] {
        let reported = format!("node-reserve of node {name}: the API server failed with 500");
        assert!(
            log.contains(&reported) && log.contains("guard.example.com"),
            "{log}"
        );
    }

    delete(&bench, &["validatingwebhookconfiguration", "guard"]).await;
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// A webhook refuses with whatever code it likes: that of an API server that has too much to do, of a conflict, of credentials that are not
/// accepted. It means the Node, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_a_webhook_refuses_with_holds_up_no_other() {
    let (_folder, bench, operator_process) = all_wait(4).await;
    let refuses = Webhook::start(&bench.plane, async |review: Review| {
        let deny = |code| Verdict::Deny(code, format!("not {}", review.name));
        match review.name.as_str() {
            "n1" => deny(429),
            "n2" => deny(409),
            "n3" => deny(401),
            _ => Verdict::Allow,
        }
    });
    let refuses = refuses.await.unwrap();
    let conditions = json!([{"name": "operator", "expression": by_operator()}]);
    let guard = webhook(&json!(refuses.client()), ("matchConditions", conditions));
    refuse(&bench, &guard, "not n1").await;
    bench.settled_on(&["n4"], V2, PATIENCE).await.unwrap();
    verdict(&bench, &operator_process, Code::WriteRefused, 3).await;
    assert_eq!(bench.recorder.order(), ["n4"]);
    let log = std::fs::read_to_string(operator_process.log()).unwrap();
    for (name, kind) in [
        ("n1", "too many requests"),
        ("n2", "forbidden"),
        ("n3", "forbidden"),
    ] {
        let reported = format!(
            "node-reserve of node {name}: {kind}: admission webhook \"guard.example.com\" denied the request: not {name}; others go first"
        );
        assert!(log.contains(&reported), "{reported} in {log}");
    }
    // Neither has everything waited, nor were the credentials looked at.
    assert!(!log.contains("trying again\n"), "{log}");
    assert_eq!(log.matches("using the credentials of").count(), 1, "{log}");

    delete(&bench, &["validatingwebhookconfiguration", "guard"]).await;
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// What can't be taken off a Node keeps its slot, and the others go through the one that is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_whose_release_is_refused_is_kept() {
    let (_folder, bench) = cluster(3).await;
    bench.start_agents().await.unwrap();
    let flags = vec!["--max-unavailable=2".to_owned()];
    let spec = OperatorSpec {
        flags,
        ..OperatorSpec::default()
    };
    let operator_process = bench.operator(spec).await.unwrap();
    settled(&bench, V1).await;
    let gate = bench.site("n1").unwrap().gate();
    gate.shut("agent-before-cordon").unwrap();
    bench.publish(V2).await.unwrap();
    held(&bench, "n1", "agent-before-cordon").await;
    let frozen = policy("request.name == 'n1'");
    bench.apply("frozen.json", &frozen).await.unwrap();
    in_force(&bench, "n1", "not this week").await;
    gate.open("agent-before-cordon").unwrap();

    boots(&bench, "n1", V2).await;
    bench.settled_on(&["n2", "n3"], V2, PATIENCE).await.unwrap();
    let refused = async || Ok((refusals(&bench, &operator(), "n1") >= 1).then_some(()));
    seen(&bench, "the release to be refused", refused).await;
    verdict(&bench, &operator_process, Code::WriteRefused, 1).await;
    let entries = ledger(&bench).await.unwrap().entries;
    let kept: Vec<_> = entries
        .iter()
        .map(|(name, entry)| (name.as_str(), entry.stage))
        .collect();
    assert_eq!(kept, [("n1", Stage::Granted)]);
    assert!(bench.node("n1").unwrap().operator.has_slot());

    delete(&bench, &["validatingadmissionpolicybinding", "frozen"]).await;
    settled(&bench, V2).await;
    bench.judge(2).unwrap();
}

/// A policy engine that has to be asked about each Node, and whose only pod was drained: nobody is there to let the agent go on, nor after the
/// boot to let it uncordon the node on which the pod could run.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_own_webhook_was_drained_is_uncordoned_once_somebody_serves_it() {
    let (_folder, bench) = cluster(1).await;
    let elsewhere = Arc::new(AtomicBool::new(false));
    let served = guard(&bench, Arc::clone(&elsewhere)).await;
    run(&bench, "guard", "n1", "0s").await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let by_nodes = json!([{"name": "nodes", "expression": "request.userInfo.username.startsWith('system:node:')"}]);
    let all = webhook(&json!(served.client()), ("matchConditions", by_nodes));
    bench.apply("guard.json", &all).await.unwrap();
    bench.publish(V2).await.unwrap();

    // What it says of the reboot is refused already.
    let site = bench.site("n1").unwrap();
    site.gate().shut("agent-before-finalize").unwrap();
    says_refused(&bench, "n1").await;
    event(&bench, "n1", "WriteRefused", SILENT).await;
    assert_eq!(site.reboots(), 0);
    elsewhere.store(true, Ordering::Relaxed);
    held(&bench, "n1", "agent-before-finalize").await;
    elsewhere.store(false, Ordering::Relaxed);
    site.gate().open("agent-before-finalize").unwrap();
    let rebooted = async || Ok((site.reboots() == 1).then_some(()));
    seen(&bench, "n1 to reboot", rebooted).await;

    says_refused(&bench, "n1").await;
    status_says_refused(&bench).await;
    // It goes on without end.
    let before = refusals(&bench, "system:node:n1", "n1");
    let again = async || Ok((refusals(&bench, "system:node:n1", "n1") >= before + 2).then_some(()));
    seen(&bench, "more tries", again).await;
    let kept = bench.node("n1").unwrap();
    assert!(kept.unschedulable && kept.operator.has_slot());

    run(&bench, "guard", "n1", "0s").await;
    settled(&bench, V2).await;
    let serves = |view: &NodeView| !view.unschedulable;
    node(&bench, "n1", "to be in service", serves).await;
    bench.judge(1).unwrap();
}

/// The webhook of [`webhook`], which is served while there is the pod `guard`, or somebody does so elsewhere.
async fn guard(bench: &Bench, elsewhere: Arc<AtomicBool>) -> Webhook {
    let pods = pods(bench);
    let served = Webhook::start(&bench.plane, move |_| {
        let (pods, elsewhere) = (pods.clone(), Arc::clone(&elsewhere));
        async move {
            let there = matches!(pods.get_opt("guard").await, Ok(Some(_)));
            if there || elsewhere.load(Ordering::Relaxed) {
                return Verdict::Allow;
            }
            std::future::pending().await
        }
    });
    served.await.unwrap()
}

/// How the agent names the webhook that does not answer.
const SILENT: &str = "the admission webhook guard.example.com does not answer";

/// Waits until the agent tells systemd whose answer its write lacks, which it can't say on the Node; the journal has it, too.
async fn says_refused(bench: &Bench, name: &str) {
    let site = bench.site(name).unwrap();
    let reported = async || {
        let line = site.machine.lock().await.agent_status();
        let line = line.context("no status yet")?;
        ensure!(line.contains(&format!("WriteRefused: {SILENT}")), "{line}");
        Ok(Some(()))
    };
    seen(bench, "systemd to be told", reported).await;
    let log = site.agent_log(usize::MAX).await;
    let words = "failed calling webhook \"guard.example.com\"";
    assert!(log.contains(words), "{log}");
}

/// Waits until the agent's status has it: right after a boot the agent has not tried to write yet.
async fn status_says_refused(bench: &Bench) {
    let reported = async || {
        let (code, report) = doctor::run(bench, "status", None).await;
        let reason = &report["reason"];
        let reported = reason["message"].as_str().unwrap_or_default();
        let expected = (0, &json!("WriteRefused"));
        ensure!((code, &reason["code"]) == expected, "{report}");
        ensure!(reported.contains(SILENT), "{report}");
        Ok(Some(()))
    };
    seen(bench, "the status to have it", reported).await;
}
