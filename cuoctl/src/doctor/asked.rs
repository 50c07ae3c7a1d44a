//! Checks that ask the API server something of their own.

use cuo_cluster::node::try_node;
use cuo_cluster::rights::clock_ahead;
use cuo_cluster::source::DEADLINE;
use cuo_cluster::{ApiError, ClientSource};
use jiff::SignedDuration;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::check::{Check, some};
use crate::cluster::Cluster;
use crate::connect::Connection;
use crate::read::list;

/// The policies in `deploy/operator.yaml` without which nodes, or whoever may patch Nodes, could grant.
const POLICIES: [&str; 3] = ["cuo-node-keys", "cuo-operator-keys", "cuo-pauses"];
/// Clocks that differ by more than this make grants lapse before they are accepted.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// All of them; what may not be asked is unknown.
pub async fn all(source: &ClientSource, connection: &Connection, cluster: &Cluster) -> Vec<Check> {
    vec![
        policies(source).await,
        authorizer(connection, cluster).await,
        budgets(source).await,
        webhooks(source).await,
        clock(source).await,
    ]
}

async fn policies(source: &ClientSource) -> Check {
    const ABOUT: &str = "admission policies";
    let policies = list::<ValidatingAdmissionPolicy>(source).await;
    let bindings = list::<ValidatingAdmissionPolicyBinding>(source).await;
    let (policies, bindings) = match (policies, bindings) {
        (Ok(policies), Ok(bindings)) => (policies, bindings),
        (Err(error), _) | (_, Err(error)) => return Check::unknown(ABOUT, error.to_string()),
    };
    let in_force = |name: &&str| {
        let there = policies
            .iter()
            .any(|policy| policy.metadata.name.as_deref() == Some(*name));
        there && bindings.iter().any(|binding| denies(binding, name))
    };
    let missing = POLICIES.iter().filter(|name| !in_force(name));
    let missing: Vec<_> = missing.map(ToString::to_string).collect();
    match missing.is_empty() {
        true => Check::ok(ABOUT, "bound, and they deny"),
        false => Check::failed(
            ABOUT,
            format!("not in force: {}", some(&missing)),
            "`kubectl apply -f deploy/operator.yaml`; Kubernetes 1.30 or later serves them.",
        ),
    }
}

/// Whether the binding enforces `policy` on all objects: it denies, and does not merely warn or audit.
fn denies(binding: &ValidatingAdmissionPolicyBinding, policy: &str) -> bool {
    let spec = &binding.spec;
    spec.policy_name == policy
        && spec
            .validation_actions
            .iter()
            .any(|action| action == "Deny")
        && spec.match_resources.is_none()
}

/// Whether a node may write to another Node, by a dry run in a node's name.
async fn authorizer(connection: &Connection, cluster: &Cluster) -> Check {
    const ABOUT: &str = "Node authorizer";
    let [one, other, ..] = &cluster.nodes[..] else {
        return Check::unknown(ABOUT, "it takes two nodes to try it");
    };
    let node = Connection {
        act_as: Some(format!("system:node:{}", one.name)),
        groups: vec!["system:nodes".to_owned()],
        ..connection.clone()
    };
    let source = match node.open().await {
        Ok(source) => source,
        Err(error) => return Check::unknown(ABOUT, format!("{error:#}")),
    };
    match try_node(&source, &other.name, DEADLINE).await {
        Err(ApiError::Forbidden { message }) if message.contains("impersonate") => {
            Check::unknown(ABOUT, message)
        }
        Err(ApiError::Forbidden { .. }) => Check::ok(ABOUT, "keeps nodes from other Nodes"),
        Err(error) => Check::unknown(ABOUT, error.to_string()),
        Ok(()) => Check::failed(
            ABOUT,
            format!("{} may write to the Node {}", one.name, other.name),
            "Start the API server with --authorization-mode=Node,RBAC and the admission plugin NodeRestriction.",
        ),
    }
}

/// Budgets that allow no disruption even when every pod is well.
async fn budgets(source: &ClientSource) -> Check {
    const ABOUT: &str = "disruption budgets";
    let budgets = match list::<PodDisruptionBudget>(source).await {
        Ok(budgets) => budgets,
        Err(error) => return Check::unknown(ABOUT, error.to_string()),
    };
    let never = budgets.iter().filter(|budget| {
        let status = budget.status.as_ref();
        status.is_some_and(|status| {
            let pods = status.expected_pods.unwrap_or_default();
            pods > 0 && status.desired_healthy.unwrap_or_default() >= pods
        })
    });
    let names = never.map(|budget| {
        let (space, name) = (&budget.metadata.namespace, &budget.metadata.name);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}", text(space), text(name))
    });
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => Check::ok(ABOUT, format!("{}, and all let pods go", budgets.len())),
        false => Check::warning(
            ABOUT,
            format!("these never let a pod go: {}", some(&names)),
            "Allow one disruption, or run one more replica; until then drains of their nodes are given up.",
        ),
    }
}

/// Webhooks that fail closed on what drains and agents do.
async fn webhooks(source: &ClientSource) -> Check {
    const ABOUT: &str = "webhooks";
    let validating = list::<ValidatingWebhookConfiguration>(source).await;
    let mutating = list::<MutatingWebhookConfiguration>(source).await;
    let (validating, mutating) = match (validating, mutating) {
        (Ok(validating), Ok(mutating)) => (validating, mutating),
        (Err(error), _) | (_, Err(error)) => return Check::unknown(ABOUT, error.to_string()),
    };
    let validating = validating.into_iter().flat_map(|one| one.webhooks);
    let validating = validating
        .flatten()
        .map(|hook| (hook.name, hook.failure_policy, hook.rules));
    let mutating = mutating.into_iter().flat_map(|one| one.webhooks);
    let mutating = mutating
        .flatten()
        .map(|hook| (hook.name, hook.failure_policy, hook.rules));
    let closed = validating.chain(mutating).filter(|(_, policy, rules)| {
        let rules = rules.as_deref().unwrap_or_default();
        policy.as_deref() != Some("Ignore") && rules.iter().any(concerns)
    });
    let names: Vec<_> = closed.map(|(name, _, _)| name).collect();
    match names.is_empty() {
        true => Check::ok(
            ABOUT,
            "none that fails closed is asked about Nodes or evictions",
        ),
        false => Check::warning(
            ABOUT,
            format!(
                "these are asked about Nodes or evictions, and fail closed: {}",
                some(&names)
            ),
            "See that what serves them has another node to run on while its own is drained.",
        ),
    }
}

fn concerns(rule: &RuleWithOperations) -> bool {
    let resources = rule.resources.as_deref().unwrap_or_default();
    let core = rule.api_groups.as_deref().unwrap_or_default();
    let of_core = core.iter().any(|group| group.is_empty() || group == "*");
    const ASKED: [&str; 6] = ["*", "*/*", "nodes", "nodes/*", "pods/eviction", "pods/*"];
    of_core && resources.iter().any(|one| ASKED.contains(&one.as_str()))
}

async fn clock(source: &ClientSource) -> Check {
    const ABOUT: &str = "clock";
    match clock_ahead(source).await {
        Ok(ahead) if ahead.abs() <= SKEW => Check::ok(ABOUT, "agrees with the API server's"),
        Ok(ahead) => Check::warning(
            ABOUT,
            format!(
                "the API server's clock is {:#} {} this one",
                ahead.abs(),
                if ahead.is_negative() {
                    "behind"
                } else {
                    "ahead of"
                }
            ),
            "Synchronise the clocks: forecasts, windows and deadlines follow them.",
        ),
        Err(error) => Check::unknown(ABOUT, error.to_string()),
    }
}
