//! What people do to a Node in the middle of its update: they delete it, uncordon it, cordon it, or guard its pods.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, OperatorSpec, Site};
use cuo_lab::cluster::kubelet::TERMINATE_AFTER;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{DeleteParams, ListParams};

use crate::drain::says;
use crate::look::{
    answers, boots, held, is_free, no_slot, node, publish_to, reboots, seen, settled, shows,
    verdict,
};
use crate::{PATIENCE, V1, V2, V3, cluster};

async fn delete(bench: &Bench, name: &str) {
    let nodes: Api<Node> = Api::all(bench.plane.admin());
    let how = DeleteParams::default();
    nodes.delete(name, &how).await.unwrap();
}

async fn cordon(bench: &Bench, name: &str, cordoned: bool) {
    let verb = if cordoned { "cordon" } else { "uncordon" };
    bench.plane.kubectl(&[verb, name]).await.unwrap();
}

/// Each of three nodes is deleted at another step, and recreated when its kubelet is started again: at once, or with the next boot.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_node_leaks_no_slot_and_is_updated_once_it_is_back() {
    let (_folder, bench) = cluster(3).await;
    let [n1, n2, n3] = ["n1", "n2", "n3"].map(|name| bench.site(name).unwrap());
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();
    n1.gate().shut("agent-before-accept").unwrap();
    n2.gate().shut("agent-before-evict").unwrap();
    n3.gate().shut("agent-before-finalize").unwrap();
    run(&bench, "busy", "n2", "0s").await;

    // Granted: with the Node goes its slot.
    publish_to(&bench, &["n1"], V2).await;
    held(&bench, "n1", "agent-before-accept").await;
    delete(&bench, "n1").await;
    n1.gate().open("agent-before-accept").unwrap();

    // Being drained: the Node is back at once, and knows of nothing. That is a grant taken back.
    publish_to(&bench, &["n2"], V2).await;
    held(&bench, "n2", "agent-before-evict").await;
    let gone = async || Ok(bench.node("n1").is_err().then_some(()));
    seen(&bench, "n1 to be gone", gone).await;
    delete(&bench, "n2").await;
    n2.kubelet.register().await.unwrap();
    n2.gate().open("agent-before-evict").unwrap();
    answers(&bench, "n2", Outcome::Aborted, Some(Code::GrantRevoked)).await;
    assert_eq!(n2.reboots(), 0);

    // Rebooting: it can't be called off any more. The Node comes back with the boot.
    n3.may_reboot_unseen(true);
    publish_to(&bench, &["n3"], V2).await;
    held(&bench, "n3", "agent-before-finalize").await;
    delete(&bench, "n3").await;
    n3.gate().open("agent-before-finalize").unwrap();
    answers(&bench, "n3", Outcome::Done, None).await;
    n3.may_reboot_unseen(false);
    n1.kubelet.register().await.unwrap();
    settled(&bench, V2).await;
    no_slot(&bench).await;

    // Booted: what the Node was granted is gone with it. Where the operator finds the new Node in place of the old one, the slot stays
    // until the agent has told what came of it.
    n1.agent_after_boot(false);
    let before = bench.node("n1").unwrap().kubelet_boot;
    publish_to(&bench, &["n1"], V3).await;
    node(&bench, "n1", "to be up again", |node| {
        node.ready && node.kubelet_boot != before
    })
    .await;
    let step = "operator-before-node-confirm";
    operator.gate().shut(step).unwrap();
    delete(&bench, "n1").await;
    operator.gate().hit(step, PATIENCE).await.unwrap();
    n1.kubelet.register().await.unwrap();
    operator.gate().open(step).unwrap();
    publish_to(&bench, &["n2", "n3"], V3).await;
    verdict(&bench, &operator, Code::BudgetExhausted, 2).await;
    n1.start_agent().await.unwrap();
    answers(&bench, "n1", Outcome::Done, None).await;
    settled(&bench, V3).await;
    no_slot(&bench).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    assert_eq!([n1, n2, n3].map(|site| site.reboots()), [2, 2, 2]);
}

/// Deleted before there was a grant, and when all is done but the answer: the operator sees to the one, the agent to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_deleted_with_a_reservation_or_before_its_release_is_let_go() {
    let (_folder, bench) = cluster(2).await;
    let [n1, n2] = ["n1", "n2"].map(|name| bench.site(name).unwrap());
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();

    // Reserved: the slot is the next one's.
    let step = "operator-after-node-reserve";
    operator.gate().shut(step).unwrap();
    publish_to(&bench, &["n1"], V2).await;
    operator.gate().hit(step, PATIENCE).await.unwrap();
    let reserved = |node: &NodeView| !node.operator.reserved.is_absent();
    node(&bench, "n1", "to be reserved", reserved).await;
    delete(&bench, "n1").await;
    operator.gate().open(step).unwrap();

    // Back in service, still cordoned, and about to answer: what was granted is gone with the Node.
    n2.gate().shut("agent-before-release").unwrap();
    publish_to(&bench, &["n2"], V2).await;
    held(&bench, "n2", "agent-before-release").await;
    assert!(bench.node("n2").unwrap().unschedulable);
    assert_eq!([n1, n2].map(|site| site.reboots()), [0, 1]);
    delete(&bench, "n2").await;
    let gone = async || Ok(bench.node("n2").is_err().then_some(()));
    seen(&bench, "n2 to be gone", gone).await;
    for site in [n1, n2] {
        site.kubelet.register().await.unwrap();
    }
    n2.gate().open("agent-before-release").unwrap();
    settled(&bench, V2).await;
    no_slot(&bench).await;
    bench.judge(1).unwrap();
    assert_eq!([n1, n2].map(|site| site.reboots()), [1, 1]);
    let cordons = ["n1", "n2"].map(|name| bench.node(name).unwrap().unschedulable);
    assert_eq!(cordons, [false, false]);
    assert_eq!(bench.recorder.most_down(), 1);
}

/// The operator goes by the pool, which has so many nodes.
pub async fn pool_seen(bench: &Bench, name: &str, nodes: u32) {
    let get = [
        "get",
        "updatepool",
        name,
        "--output=jsonpath={.status.nodes.total}",
    ];
    let count = async || Ok((bench.plane.kubectl(&get).await? == nodes.to_string()).then_some(()));
    seen(bench, &format!("{nodes} nodes in the pool {name}"), count).await;
}

pub fn pods(bench: &Bench) -> Api<Pod> {
    Api::namespaced(bench.plane.admin(), "default")
}

/// A pod on `node` that takes as long as `ending` says to end, and has all the time for it.
pub async fn run(bench: &Bench, name: &str, node: &str, ending: &str) {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {name}}}, \
         annotations: {{{TERMINATE_AFTER}: {ending}}}}}\n\
         spec: {{nodeName: {node}, terminationGracePeriodSeconds: 7200, containers: [{{name: c, image: none}}]}}\n"
    );
    bench
        .apply(&format!("{name}.yaml"), &manifest)
        .await
        .unwrap();
    let ready = async || {
        let status = pods(bench).get(name).await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let ready = |one: &_| matches!(one, k8s_openapi::api::core::v1::PodCondition { type_, status, .. } if type_ == "Ready" && status == "True");
        Ok(conditions.iter().any(ready).then_some(()))
    };
    seen(bench, &format!("{name} to be ready"), ready).await;
    aged(bench, name).await
}

/// Waits until the second of the pod's creation is over: a cordon in that second leaves the pod alone, as one that came after.
pub async fn aged(bench: &Bench, name: &str) {
    let over = async || {
        let made = pods(bench).get(name).await?.metadata.creation_timestamp;
        let over = |made: Timestamp| Timestamp::now().as_second() > made.as_second();
        Ok(made.is_some_and(|made| over(made.0)).then_some(()))
    };
    seen(bench, &format!("{name} to be older than a second"), over).await
}

/// The pod is gone at once, if it is still there.
pub async fn end(bench: &Bench, name: &str) {
    let gone = async || {
        let at_once = DeleteParams::default().grace_period(0);
        if pods(bench).get_opt(name).await?.is_some() {
            pods(bench).delete(name, &at_once).await?;
        }
        Ok(pods(bench).get_opt(name).await?.is_none().then_some(()))
    };
    seen(bench, &format!("{name} to be gone"), gone).await
}

/// Makes the agent rest long enough after a grant that came to nothing that everything it says then can be seen.
pub async fn rest_longer(site: &Site) {
    let machine = site.machine.lock().await;
    let config = machine.root().join("etc/cuo-agent/config.d/60-rest.toml");
    std::fs::write(config, "[retry]\nfirst = \"8s\"\ncap = \"8s\"\n").unwrap();
}

/// Who uncordons a node that is being drained wants to keep it; who cordons it, before its turn or after that, finds it cordoned.
#[tokio::test(flavor = "multi_thread")]
async fn administrators_uncordon_and_cordon_as_they_like() {
    let (_folder, bench) = cluster(2).await;
    let n1 = bench.site("n1").unwrap();
    rest_longer(n1).await;
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    run(&bench, "slow", "n1", "1h").await;

    // Cordoned before its turn: it is somebody's, and counts as out of service.
    cordon(&bench, "n2", true).await;
    node(&bench, "n2", "to be cordoned", |node| node.unschedulable).await;
    bench.publish(V2).await.unwrap();
    let cordoned = Some(Code::CordonedByOther);
    shows(&bench, "n2", Phase::Waiting, cordoned).await;
    says(&bench, "n2", Code::CordonedByOther, "by kubectl").await;
    verdict(&bench, &operator, Code::CordonedByOther, 1).await;
    verdict(&bench, &operator, Code::BudgetExhausted, 1).await;
    assert_eq!((reboots(&bench), bench.recorder.most_granted()), (0, 0));

    // Where a pool says so it is the one that may go, as it is out of service anyway, and stays cordoned.
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {cordoned: Update}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    answers(&bench, "n2", Outcome::Done, None).await;
    boots(&bench, "n2", V2).await;
    node(&bench, "n2", "to be free", is_free).await;
    no_slot(&bench).await;
    verdict(&bench, &operator, Code::BudgetExhausted, 1).await;
    assert!(bench.node("n2").unwrap().unschedulable);
    assert_eq!(n1.reboots(), 0);

    // Uncordoned while a pod takes its time.
    cordon(&bench, "n2", false).await;
    shows(&bench, "n1", Phase::Draining, None).await;
    let leaving = async || {
        let pod = pods(&bench).get("slow").await?;
        Ok(pod.metadata.deletion_timestamp.map(drop))
    };
    seen(&bench, "the pod to be asked to leave", leaving).await;
    cordon(&bench, "n1", false).await;
    answers(&bench, "n1", Outcome::Aborted, Some(Code::Uncordoned)).await;
    shows(&bench, "n1", Phase::Held, Some(Code::Uncordoned)).await;
    node(&bench, "n1", "to be free", is_free).await;
    assert!(!bench.node("n1").unwrap().unschedulable);

    // The same once more, and they change their mind before the agent has written that it gave up.
    n1.gate().shut("agent-before-release").unwrap();
    shows(&bench, "n1", Phase::Draining, None).await;
    cordon(&bench, "n1", false).await;
    held(&bench, "n1", "agent-before-release").await;
    cordon(&bench, "n1", true).await;
    n1.gate().open("agent-before-release").unwrap();
    end(&bench, "slow").await;
    settled(&bench, V2).await;
    no_slot(&bench).await;
    let cordons = ["n1", "n2"].map(|name| bench.node(name).unwrap().unschedulable);
    assert_eq!(cordons, [true, false]);
    bench.judge(1).unwrap();
}

/// A budget that allows no disruption, and a pool that wants to know before: the node is not even cordoned and the others go; once the
/// budget is gone, it goes too.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_would_be_blocked_does_not_begin_where_the_pool_says_so() {
    let (_folder, bench) = cluster(2).await;
    let n1 = bench.site("n1").unwrap();
    rest_longer(n1).await;
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    run(&bench, "guarded", "n1", "0s").await;
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: guard, namespace: default}\n\
                  spec: {minAvailable: 1, selector: {matchLabels: {app: guarded}}}\n";
    bench.apply("guard.yaml", budget).await.unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.plane.admin(), "default");
    let counted = async || {
        let status = budgets.get("guard").await?.status.unwrap_or_default();
        Ok((status.current_healthy == Some(1)).then_some(()))
    };
    seen(&bench, "the budget to be counted", counted).await;
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {drain: {preflight: Require}}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    pool_seen(&bench, "all", 2).await;
    let before = pods(&bench).list(&ListParams::default()).await.unwrap();
    bench.recorder.reset();

    bench.publish(V2).await.unwrap();
    let reported = |node: &NodeView, code| {
        let reason = node.agent.reason.value();
        let says = |text: &str| reason.is_some_and(|reason| reason.message.contains(text));
        reason.is_some_and(|reason| reason.code == code)
            && says("default/guarded: Cannot evict pod")
            && says("The disruption budget guard needs 1 healthy pods and has 1 currently")
    };
    let what = "to say what is in the way";
    let code = Code::PreflightBlocked;
    answers(&bench, "n1", Outcome::Refused, Some(code)).await;
    node(&bench, "n1", what, |node| {
        reported(node, code) && !node.unschedulable
    })
    .await;
    node(&bench, "n1", "to be free", is_free).await;
    assert!(!bench.node("n1").unwrap().unschedulable);

    boots(&bench, "n2", V2).await;
    let after = pods(&bench).list(&ListParams::default()).await.unwrap();
    let uids = |list: &kube::core::ObjectList<Pod>| {
        let uids = list.iter().map(|pod| pod.metadata.uid.clone());
        uids.collect::<Vec<_>>()
    };
    assert_eq!(uids(&after), uids(&before), "the pod was not touched");
    assert_eq!(n1.reboots(), 0);

    let how = DeleteParams::default();
    budgets.delete("guard", &how).await.unwrap();
    settled(&bench, V2).await;
    no_slot(&bench).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    assert_eq!(n1.reboots(), 1);
}
