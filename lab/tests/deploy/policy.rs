//! The policies that keep keys of CUO from those who do not write them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cuo_core::keys::{self, Key, Writer};
use cuo_lab::wait::until;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::{Bench, SOON};

/// What a node would like to write.
pub const GRANT: &str = r#"{"metadata":{"annotations":{"cuo.coreos.com/reboot-ok":"mine"}}}"#;

/// Whoever merely may patch Nodes, and whoever may grant besides.
const ROLES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: patches}
rules:
  - {apiGroups: [""], resources: [nodes, nodes/status], verbs: [create, get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: grants}
rules:
  - {apiGroups: [cuo.coreos.com], resources: [nodes], verbs: [grant]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: patches}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: patches}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: patcher}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: granter}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: grants}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: grants}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: granter}
"#;

/// Everybody who writes Nodes here.
struct Who {
    operator: Api<Node>,
    /// The kubelet of n1.
    node: Api<Node>,
    /// The kubelet of n9, which has no Node yet.
    newcomer: Api<Node>,
    /// It may patch and create Nodes, and nothing else.
    patcher: Api<Node>,
    /// It may grant besides.
    granter: Api<Node>,
}

impl Who {
    async fn new(bench: &Bench) -> Result<Self> {
        let user = async |name: &str| -> Result<Api<Node>> {
            let path = bench.dir.join(format!("{name}.kubeconfig"));
            bench.plane.client_kubeconfig(name, "people", &path)?;
            Ok(Api::all(bench.plane.client(&path).await?))
        };
        let operator = bench.account("cuo-operator").await?;
        Ok(Self {
            operator: Api::all(bench.plane.client(&operator).await?),
            node: Api::all(bench.plane.client(&bench.node("n1")?).await?),
            newcomer: Api::all(bench.plane.client(&bench.node("n9")?).await?),
            patcher: user("patcher").await?,
            granter: user("granter").await?,
        })
    }
}

/// How the policy `name` refuses a write of the Node `node`.
fn by(policy: &str, node: &str, why: &str) -> Result<(), String> {
    Err(format!(
        "nodes \"{node}\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {why}"
    ))
}

/// How a node is refused these keys.
fn not_a_nodes(node: &str, names: &str) -> Result<(), String> {
    let why = format!("a node writes no keys of CUO but those of its agent, so not {names}");
    by("cuo-node-keys", node, &why)
}

/// How whoever may not grant is refused these keys.
fn not_granted(node: &str, names: &str) -> Result<(), String> {
    let why = format!(
        "cuo-operator writes {names}; for anybody else that takes the verb grant on nodes of the API group cuo.coreos.com"
    );
    by("cuo-operator-keys", node, &why)
}

/// The places in `metadata` of `key`.
fn places(key: &Key) -> impl Iterator<Item = &'static str> {
    let annotations = key.is_annotation().then_some("annotations");
    annotations
        .into_iter()
        .chain(key.is_label().then_some("labels"))
}

/// The keys of `writer`, each with a place in `metadata`.
fn keys_of(writer: Writer) -> Vec<(&'static str, &'static str)> {
    let keys = keys::TABLE.iter().filter(|key| key.writer == writer);
    keys.flat_map(|key| places(key).map(|place| (place, key.name)))
        .collect()
}

fn patch(place: &str, name: &str, value: &Value) -> String {
    json!({"metadata": {place: {name: value}}}).to_string()
}

/// Every key of the agent, and a cordon, as one patch.
fn own_keys(value: &Value) -> String {
    let mut patch =
        json!({"metadata": {"annotations": {}, "labels": {}}, "spec": {"unschedulable": true}});
    let keys = keys_of(Writer::Agent);
    for (place, name) in keys
        .iter()
        .filter(|(_, name)| !keys::GROWING.contains(name))
    {
        patch["metadata"][place][name] = value.clone();
    }
    if value.is_null() {
        patch["spec"]["unschedulable"] = Value::Null;
    }
    patch.to_string()
}

/// What the API server says when it refuses is an inner error.
fn said<T>(done: kube::Result<T>) -> Result<Result<(), String>> {
    match done {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Patches n1. `kubectl` can't do this: it reads a subresource before it changes it, which a node may not.
async fn write(who: &Api<Node>, patch: &str, subresource: &str) -> Result<Result<(), String>> {
    let patch: Value = serde_json::from_str(patch)?;
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    said(match subresource {
        "" => who.patch("n1", &parameters, &patch).await,
        _ => {
            who.patch_subresource(subresource, "n1", &parameters, &patch)
                .await
        }
    })
}

pub async fn guards(bench: &Bench) -> Result<()> {
    let roles = bench.dir.join("roles.yaml");
    std::fs::write(&roles, ROLES)?;
    let roles = roles.to_str().context("the path is text")?;
    bench.plane.kubectl(&["apply", "-f", roles]).await?;
    let who = Who::new(bench).await?;
    // New policies and roles take a moment to be in force; nothing before this waited for them.
    until("the policies to be in force", SOON, async || {
        let (node, patcher) = (
            write(&who.node, GRANT, "").await?,
            write(&who.patcher, GRANT, "").await?,
        );
        let refused = node == not_a_nodes("n1", keys::REBOOT_OK)
            && patcher == not_granted("n1", keys::REBOOT_OK);
        let granted = write(&who.granter, GRANT, "").await?.is_ok();
        Ok((refused && granted).then_some(()))
    })
    .await?;
    operators_keys(&who).await?;
    administrators_keys(&who).await?;
    agents_keys(&who).await?;
    lists(&who).await?;
    created(&who).await?;
    ordinary_writers(bench, &who).await?;
    crowded(&who).await?;
    bench.plane.kubectl(&["delete", "-f", roles]).await?;
    type_checked(bench, "cuo-node-keys").await?;
    type_checked(bench, "cuo-operator-keys").await
}

async fn operators_keys(who: &Who) -> Result<()> {
    let (one, other, none) = (json!("true"), json!("false"), Value::Null);
    let changes = [
        ("set", &none, &one),
        ("changed", &one, &other),
        ("removed", &one, &none),
    ];
    for (place, name) in keys_of(Writer::Operator) {
        for (what, before, after) in changes {
            let free = what == "removed" && keys::REVOCABLE.contains(&name);
            let patcher = if free {
                Ok(())
            } else {
                not_granted("n1", name)
            };
            let cases = [
                ("a node", &who.node, not_a_nodes("n1", name)),
                ("whoever may patch", &who.patcher, patcher),
                ("whoever may grant", &who.granter, Ok(())),
                ("the operator", &who.operator, Ok(())),
            ];
            for (by, client, expected) in &cases {
                for subresource in ["", "status"] {
                    // The operator may do nothing to the subresource, whatever the key.
                    if subresource == "status" && *by == "the operator" {
                        continue;
                    }
                    let reset = write(&who.operator, &patch(place, name, before), "").await?;
                    assert_eq!(reset, Ok(()), "{name} before it is {what} by {by}");
                    let done = write(client, &patch(place, name, after), subresource).await?;
                    assert_eq!(&done, expected, "{name} {what} by {by}, {subresource:?}");
                }
            }
        }
        // Something else can be written beside it, and it can be written as it is.
        let reset = write(&who.operator, &patch(place, name, &one), "").await?;
        assert_eq!(reset, Ok(()), "{name}");
        for client in [&who.node, &who.patcher] {
            let mut same = json!({"metadata": {"annotations": {"example.com/other": "x"}}});
            same["metadata"][place][name] = one.clone();
            let done = write(client, &same.to_string(), "").await?;
            assert_eq!(done, Ok(()), "{name} as it was");
        }
        let reset = write(&who.operator, &patch(place, name, &none), "").await?;
        assert_eq!(reset, Ok(()), "{name}");
    }
    Ok(())
}

/// A node writes none of them, nor any key that is not known, which may be one of theirs or of the operator's in a later version.
async fn administrators_keys(who: &Who) -> Result<()> {
    let known = keys_of(Writer::Administrator);
    let known = known
        .into_iter()
        .map(|(place, name)| (place, name.to_owned()));
    let coming = ["reboot-requested", "retry"];
    let coming = coming.map(|name| ("annotations", format!("{}{name}", keys::PREFIX)));
    // A key of the agent in the wrong place is none of its keys.
    let misplaced = [("labels", keys::BOOTED), ("annotations", keys::GROUP)];
    let misplaced = misplaced.map(|(place, name)| (place, name.to_owned()));
    for (place, name) in known.chain(coming).chain(misplaced) {
        for value in [json!("true"), json!("false"), Value::Null] {
            let change = patch(place, &name, &value);
            let done = write(&who.node, &change, "").await?;
            assert_eq!(done, not_a_nodes("n1", &name), "{change} by a node");
            let done = write(&who.patcher, &change, "").await?;
            assert_eq!(done, Ok(()), "{change} by whoever may patch");
        }
    }
    Ok(())
}

async fn agents_keys(who: &Who) -> Result<()> {
    for value in [json!("true"), json!("false"), Value::Null] {
        let done = write(&who.node, &own_keys(&value), "").await?;
        assert_eq!(done, Ok(()), "the agent's own keys");
        for place in ["annotations", "labels"] {
            let later = format!("{}of-a-later-version", keys::AGENTS_PREFIX);
            let done = write(&who.node, &patch(place, &later, &value), "").await?;
            assert_eq!(done, Ok(()), "a later agent's key");
        }
    }
    Ok(())
}

/// Values of a list, one written over the other, and whether a node may do so; anybody else may.
pub const LISTS: [(Option<&str>, Option<&str>, bool); 9] = [
    (None, Some("etcd"), true),
    (Some("etcd"), Some("etcd,kube-apiserver"), true),
    (
        Some("kube-apiserver, etcd"),
        Some("etcd,kube-apiserver,"),
        true,
    ),
    (Some(""), None, true),
    (Some("etcd,kube-apiserver"), Some("etcd"), false),
    (Some("etcd"), Some("etcd-x"), false),
    (Some("etcd"), Some(""), false),
    (Some("etcd"), None, false),
    (Some("{\"garbage"), Some("etcd,{\"garbage"), true),
];

async fn lists(who: &Who) -> Result<()> {
    for key in keys::GROWING {
        let change = |value: Option<&str>| patch("annotations", key, &json!(value));
        let refusal = by(
            "cuo-node-keys",
            "n1",
            &format!("a node takes nothing away from {key}"),
        );
        let long = "x".repeat(2001);
        let lists = LISTS.into_iter();
        for (before, after, grows) in lists.chain([(None, Some(long.as_str()), false)]) {
            let expected = if grows { Ok(()) } else { refusal.clone() };
            for (client, expected) in [(&who.node, expected), (&who.patcher, Ok(()))] {
                for subresource in ["", "status"] {
                    let reset = write(&who.operator, &change(before), "").await?;
                    assert_eq!(reset, Ok(()), "{key} is {before:?}");
                    let done = write(client, &change(after), subresource).await?;
                    assert_eq!(done, expected, "{key} from {before:?} to {after:?}");
                }
            }
        }
        let reset = write(&who.operator, &change(None), "").await?;
        assert_eq!(reset, Ok(()), "{key}");
    }
    Ok(())
}

/// A Node is made without a grant, also by itself, and may be paused from the beginning.
async fn created(who: &Who) -> Result<()> {
    let operators = keys_of(Writer::Operator).into_iter();
    let operators = operators.map(|(place, name)| (place, name, [false, false, true]));
    let agents = keys_of(Writer::Agent).into_iter();
    let agents = agents.map(|(place, name)| (place, name, [true, true, true]));
    let others = [
        ("annotations", keys::REBOOT_PAUSED, [false, true, true]),
        ("labels", keys::REBOOT_PAUSED, [true, true, true]),
        ("annotations", "example.com/other", [true, true, true]),
    ];
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for (place, name, allowed) in operators.chain(agents).chain(others) {
        let node = json!({"metadata": {"name": "n9", place: {name: "true"}}});
        let node: Node = serde_json::from_value(node)?;
        let refusals = [not_a_nodes("n9", name), not_granted("n9", name), Ok(())];
        let clients = [&who.newcomer, &who.patcher, &who.granter];
        for ((client, allowed), refusal) in clients.into_iter().zip(allowed).zip(refusals) {
            let expected = if allowed { Ok(()) } else { refusal };
            let done = said(client.create(&dry, &node).await)?;
            assert_eq!(done, expected, "a Node with {name} in {place}");
        }
    }
    Ok(())
}

/// What a kubelet reports.
fn beat(reason: &str) -> Value {
    let condition = json!({"type": "Lab", "status": "True", "reason": reason, "message": ""});
    json!({"status": {"conditions": [condition]}})
}

/// Neither policy is evaluated for writes that change no key of CUO, such as heartbeats: one that has the same conditions, and refuses
/// whatever gets past them, refuses none.
async fn ordinary_writers(bench: &Bench, who: &Who) -> Result<()> {
    let judged = [
        ("cuo-node-keys", &who.node, keys::STATUS),
        ("cuo-operator-keys", &who.granter, keys::REBOOT_OK),
    ];
    let mut writes = 0;
    for (policy, client, key) in judged {
        let file = strict(bench, policy).await?;
        let file = file.to_str().context("the path is text")?;
        bench.plane.kubectl(&["apply", "-f", file]).await?;
        let mut looks = 0;
        until("the strict policy to be in force", SOON, async || {
            looks += 1; // another value each time
            let change = patch("annotations", key, &json!(looks.to_string()));
            let done = write(client, &change, "").await?;
            Ok((done == by(STRICT, "n1", "no")).then_some(()))
        })
        .await?;
        for who in [&who.node, &who.patcher, &who.granter] {
            for (what, subresource) in [
                ("status", "status"),
                ("metadata", ""),
                ("metadata", "status"),
            ] {
                writes += 1; // another value each time
                let value = format!("x{writes}");
                let change = match what {
                    "status" => beat(&value),
                    _ => {
                        json!({"metadata": {"annotations": {"example.com/a": value}, "labels": {"example.com/l": value}}})
                    }
                };
                let done = write(who, &change.to_string(), subresource).await?;
                assert_eq!(done, Ok(()), "{policy} judged {change}");
            }
        }
        bench.plane.kubectl(&["delete", "-f", file]).await?;
        until("the strict policy to be gone", SOON, async || {
            let reset = patch("annotations", key, &Value::Null);
            Ok(write(client, &reset, "").await?.ok())
        })
        .await?;
    }
    Ok(())
}

/// A Node with more on it than the API server could go through is written as ever by all but its own node, which still has its heartbeats.
async fn crowded(who: &Who) -> Result<()> {
    let crowd = |value: Value| -> Value {
        let labels = (0..4001).map(|label| (format!("l{label}"), value.clone()));
        let labels: serde_json::Map<_, _> = labels.collect();
        json!({"metadata": {"labels": labels}})
    };
    let done = write(&who.patcher, &crowd(json!("")).to_string(), "").await?;
    assert_eq!(done, Ok(()));
    let other = patch("annotations", "example.com/a", &json!("crowded"));
    let [grant, revoked] =
        [json!("crowded"), Value::Null].map(|value| patch("annotations", keys::REBOOT_OK, &value));
    let refusal = by(
        "cuo-node-keys",
        "n1",
        "a node changes no annotation or label while its Node has thousands of them",
    );
    let cases = [
        (&who.node, beat("Crowded").to_string(), "status", Ok(())),
        (&who.node, other.clone(), "", refusal),
        (&who.patcher, other, "", Ok(())),
        (
            &who.patcher,
            grant.clone(),
            "",
            not_granted("n1", keys::REBOOT_OK),
        ),
        (&who.operator, grant, "", Ok(())),
        (&who.patcher, revoked, "", Ok(())),
        (&who.patcher, crowd(Value::Null).to_string(), "", Ok(())),
    ];
    for (client, change, subresource, expected) in cases {
        let done = write(client, &change, subresource).await?;
        assert_eq!(done, expected, "{change:.200}");
    }
    Ok(())
}

/// A policy that takes this name has the conditions of another, and refuses all that they let through.
const STRICT: &str = "strict";

async fn strict(bench: &Bench, policy: &str) -> Result<PathBuf> {
    let mut list = json!({"apiVersion": "v1", "kind": "List", "items": []});
    for kind in [
        "validatingadmissionpolicy",
        "validatingadmissionpolicybinding",
    ] {
        let text = bench
            .kubectl(&format!("get {kind} {policy} -o json"))
            .await?;
        let mut object: Value = serde_json::from_str(&text)?;
        object["metadata"] = json!({"name": STRICT});
        match kind {
            "validatingadmissionpolicy" => {
                object["spec"]["variables"] = json!([]);
                object["spec"]["validations"] =
                    json!([{"expression": "false", "message": "no", "reason": "Forbidden"}]);
            }
            _ => object["spec"]["policyName"] = json!(STRICT),
        }
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        if let Some(items) = list["items"].as_array_mut() {
            items.push(object);
        }
    }
    let file = bench.dir.join("strict.json");
    std::fs::write(&file, list.to_string())?;
    Ok(file)
}

/// The API server found nothing wrong with the types in the expressions of the policy `name`.
pub async fn type_checked(bench: &Bench, name: &str) -> Result<()> {
    let checked = until("the policy's types to be checked", SOON, async || {
        let text = bench
            .kubectl(&format!("get validatingadmissionpolicy {name} -o json"))
            .await?;
        let policy: Value = serde_json::from_str(&text)?;
        let done = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
        Ok(done.then(|| policy["status"]["typeChecking"].clone()))
    });
    assert_eq!(checked.await?, json!({}));
    Ok(())
}
