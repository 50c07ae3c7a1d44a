//! What `cuo_cluster` relies on, asked of a real API server.
//!
//! One control plane serves all steps, one after the other: each leaves behind only objects that no other step looks at.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_cluster::events::{About, Severity, publish};
use cuo_cluster::evict::{Evicted, evict};
use cuo_cluster::lease::{Leadership, campaign};
use cuo_cluster::ledger;
use cuo_cluster::node::{Keep, get_node, patch_node, whoami};
use cuo_cluster::pods::pods_of;
use cuo_cluster::watch::{NodeEvent, NodesEvent, watch_node, watch_nodes};
use cuo_cluster::{ApiError, ClientSource, Credentials, Program};
use cuo_core::drain::RawPod;
use cuo_core::raw::{NodePatch, RawNode};
use cuo_core::reason::{Code, Reason};
use cuo_lab::controlplane::{ControlPlane, NodeCredential, Options};
use cuo_lab::wait::until;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

const AGENT: Program = Program {
    name: "cuo-agent",
    version: "0.0.0-test",
};
const OPERATOR: Program = Program {
    name: "cuo-operator",
    version: "0.0.0-test",
};
const NAMESPACE: &str = "cuo-system";
const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_is_relied_on_is_so() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(&dir.path().join("plane"), Options::default())
        .await
        .unwrap();
    let step = |name: &str| eprintln!("{name}");
    for name in ["n1", "n2"] {
        apply(
            &plane,
            dir.path(),
            &format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}"),
        )
        .await
        .unwrap();
    }
    let n1 = node_source(&plane, dir.path(), "n1").await.unwrap();

    step("a node changes its own Node, conditionally");
    own_node(&n1).await.unwrap();
    step("evictions are accepted, refused and told apart");
    evictions(&plane, dir.path(), &n1).await.unwrap();
    step("an Event shows with the Node");
    event(&plane, &n1).await.unwrap();
    step("a certificate is replaced when it runs out");
    rotation(&plane, dir.path()).await.unwrap();
    step("the operator's role suffices, and for nothing else");
    let operator = minimal_role(&plane, dir.path()).await.unwrap();
    step("the lease goes from one to the next");
    lease(&operator).await.unwrap();
    step("nobody leads while the API server is frozen");
    frozen(&plane, &operator).await.unwrap();
    step("watches get over a restart of the API server");
    restart(&plane, &n1, &operator).await.unwrap();
}

async fn apply(plane: &ControlPlane, dir: &Path, manifest: &str) -> Result<()> {
    let file = dir.join("manifest.yaml");
    std::fs::write(&file, manifest)?;
    let file = file.to_str().context("the path is text")?;
    plane
        .kubectl(&["apply", "--server-side", "-f", file])
        .await
        .map(drop)
}

async fn node_source(plane: &ControlPlane, dir: &Path, node: &str) -> Result<ClientSource> {
    let path = dir.join(node).join("kubeconfig");
    plane.node_kubeconfig(node, &path, NodeCredential::Embedded, HOUR)?;
    Ok(source(&path, AGENT).await)
}

async fn source(path: &Path, program: Program) -> ClientSource {
    let credentials = Credentials::File {
        path: path.to_owned(),
        root: "/".into(),
    };
    ClientSource::start(credentials, program).await
}

async fn read(source: &ClientSource, name: &str) -> Result<RawNode> {
    let found = get_node(source, name, &Keep::default()).await?;
    found.with_context(|| format!("there is no Node {name}"))
}

async fn own_node(n1: &ClientSource) -> Result<()> {
    assert_eq!(whoami(n1).await?.node(), Some("n1"));
    let set = NodePatch {
        resource_version: String::new(),
        annotations: [(
            "cuo.coreos.com/status".to_owned(),
            Some("idle since now".to_owned()),
        )]
        .into(),
        labels: [("cuo.coreos.com/id".to_owned(), Some("fedora".to_owned()))].into(),
        unschedulable: Some(true),
    };
    let (before, after) = change(n1, &set).await?;
    let mut expected = before.clone();
    expected
        .resource_version
        .clone_from(&after.resource_version);
    expected
        .annotations
        .insert("cuo.coreos.com/status".into(), "idle since now".into());
    expected
        .labels
        .insert("cuo.coreos.com/id".into(), "fedora".into());
    expected.unschedulable = true;
    assert_eq!(after, expected);
    assert_ne!(after.resource_version, before.resource_version);

    let late = NodePatch {
        resource_version: before.resource_version.clone(),
        ..set
    };
    let refused = patch_node(n1, "n1", &late, &Keep::default()).await;
    ensure!(
        matches!(refused, Err(ApiError::Conflict { .. })),
        "{refused:?}"
    );

    let undo = NodePatch {
        resource_version: String::new(),
        annotations: [("cuo.coreos.com/status".to_owned(), None)].into(),
        labels: [("cuo.coreos.com/id".to_owned(), None)].into(),
        unschedulable: Some(false),
    };
    let (_, undone) = change(n1, &undo).await?;
    let expected = RawNode {
        resource_version: undone.resource_version.clone(),
        ..before
    };
    assert_eq!(undone, expected);

    let other = patch_node(n1, "n2", &late, &Keep::default()).await;
    ensure!(
        matches!(other, Err(ApiError::Forbidden { .. })),
        "{other:?}"
    );
    let absent = get_node(n1, "n3", &Keep::default()).await;
    ensure!(
        matches!(absent, Err(ApiError::Forbidden { .. })),
        "{absent:?}"
    );
    Ok(())
}

/// Applies `patch` to what the Node is now, and returns both versions. Controllers write to a new Node too, so it may take some tries.
async fn change(n1: &ClientSource, patch: &NodePatch) -> Result<(RawNode, RawNode)> {
    until("a write that nobody came before", SOON, async || {
        let before = read(n1, "n1").await?;
        let patch = NodePatch {
            resource_version: before.resource_version.clone(),
            ..patch.clone()
        };
        Ok(Some((
            before,
            patch_node(n1, "n1", &patch, &Keep::default()).await?,
        )))
    })
    .await
}

async fn evictions(plane: &ControlPlane, dir: &Path, n1: &ClientSource) -> Result<()> {
    let pod = |name: &str, node: &str, app: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {app}}}}}\n\
             spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]}}\n---\n"
        )
    };
    let budget = |name: &str, app: &str| {
        format!(
            "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}, namespace: default}}\n\
             spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {app}}}}}}}\n---\n"
        )
    };
    let manifest = [
        pod("free", "n1", "free"),
        pod("guarded", "n1", "guarded"),
        pod("twice", "n1", "twice"),
        pod("elsewhere", "n2", "free"),
        budget("guard", "guarded"),
        budget("once", "twice"),
        budget("again", "twice"),
    ];
    apply(plane, dir, &manifest.concat()).await?;
    for name in ["free", "guarded", "twice"] {
        // There is no kubelet: a budget counts only pods that are ready.
        let running =
            r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        plane
            .kubectl(&["patch", "pod", name, "--subresource=status", "-p", running])
            .await?;
    }
    let pods = pods_of(n1, "n1").await?;
    let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["free", "guarded", "twice"]);
    let named = |name: &str| {
        pods.iter()
            .find(|pod| pod.name == name)
            .cloned()
            .context("the pod is listed")
    };

    let guarded = named("guarded")?;
    let expected = "The disruption budget guard needs 1 healthy pods and has 1 currently";
    until(
        "the budget to be counted and to refuse",
        SOON,
        async || match evict(n1, &guarded).await? {
            Evicted::Refused { message, .. } => Ok(message.ends_with(expected).then_some(())),
            other => anyhow::bail!("{other:?}"),
        },
    )
    .await?;

    let twice = evict(n1, &named("twice")?).await;
    let Ok(Evicted::Refused { message, .. }) = &twice else {
        anyhow::bail!("two budgets: {twice:?}");
    };
    ensure!(
        message.contains("more than one PodDisruptionBudget"),
        "{message}"
    );

    let other = RawPod {
        uid: "another".into(),
        ..named("free")?
    };
    assert_eq!(evict(n1, &other).await?, Evicted::Gone);
    assert_eq!(evict(n1, &named("free")?).await?, Evicted::Accepted);
    until("the evicted pod to be on its way", SOON, async || {
        let pods = pods_of(n1, "n1").await?;
        Ok(pods
            .iter()
            .all(|pod| pod.name != "free" || pod.terminating)
            .then_some(()))
    })
    .await?;
    let absent = RawPod {
        name: "absent".into(),
        ..other
    };
    let found = evict(n1, &absent).await;
    ensure!(
        matches!(found, Ok(Evicted::Gone) | Err(ApiError::Forbidden { .. })),
        "{found:?}"
    );
    let elsewhere = RawPod {
        name: "elsewhere".into(),
        ..absent
    };
    let refused = evict(n1, &elsewhere).await;
    ensure!(
        matches!(refused, Err(ApiError::Forbidden { .. })),
        "{refused:?}"
    );
    Ok(())
}

async fn event(plane: &ControlPlane, n1: &ClientSource) -> Result<()> {
    let node = read(n1, "n1").await?;
    let about = About {
        node: node.name,
        uid: node.uid,
    };
    let reason = Reason::new(Code::DrainBlocked, "default/guarded is blocked by guard.");
    publish(
        n1,
        &about,
        Severity::Warning,
        "Drain",
        &reason,
        "n1",
        jiff::Timestamp::now(),
    )
    .await?;
    let described = plane.kubectl(&["describe", "node", "n1"]).await?;
    ensure!(
        described.contains("default/guarded is blocked by guard."),
        "{described}"
    );
    Ok(())
}

async fn rotation(plane: &ControlPlane, dir: &Path) -> Result<()> {
    let path = dir.join("n2").join("kubeconfig");
    plane.node_kubeconfig(
        "n2",
        &path,
        NodeCredential::Rotating,
        Duration::from_secs(5),
    )?;
    let source = source(&path, AGENT).await;
    let mut feed = watch_node(source.clone(), "n2", Keep::default());
    let first = next(&mut feed).await?;
    ensure!(matches!(first, NodeEvent::Present(_)), "{first:?}");
    until("the certificate to run out", SOON, async || {
        match whoami(&source).await {
            Err(ApiError::Unauthorized { .. }) => Ok(Some(())),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await?;
    plane.rotate_node_cert("n2", &path, HOUR)?;
    until("the new certificate to be used", SOON, async || {
        Ok((whoami(&source).await?.node() == Some("n2")).then_some(()))
    })
    .await?;
    // The open watch has moved to the new client by itself.
    plane
        .kubectl(&[
            "annotate",
            "node",
            "n2",
            "cuo.coreos.com/reboot-paused=true",
        ])
        .await?;
    until("the watch to go on", SOON, async || {
        match next(&mut feed).await? {
            NodeEvent::Present(node)
                if node
                    .annotations
                    .contains_key("cuo.coreos.com/reboot-paused") =>
            {
                Ok(Some(()))
            }
            _ => Ok(None),
        }
    })
    .await
}

async fn next<T>(feed: &mut BoxStream<'static, T>) -> Result<T> {
    let event = timeout(SOON, feed.next())
        .await
        .context("no event in time")?;
    event.context("the feed ended")
}

/// The operator with only what its Role needs for the ledger and the lease.
async fn minimal_role(plane: &ControlPlane, dir: &Path) -> Result<ClientSource> {
    let manifest = format!(
        "
{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: cuo-operator, namespace: {NAMESPACE}}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: cuo-operator, namespace: {NAMESPACE}}}
rules:
- {{apiGroups: [\"\"], resources: [configmaps], resourceNames: [{ledger}], verbs: [create, get, patch, update]}}
- {{apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [{lease}], verbs: [create, get, patch, update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: cuo-operator, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: cuo-operator}}
subjects: [{{kind: ServiceAccount, name: cuo-operator, namespace: {NAMESPACE}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: cuo-operator}}
rules:
- {{apiGroups: [\"\"], resources: [nodes], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: cuo-operator}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cuo-operator}}
subjects: [{{kind: ServiceAccount, name: cuo-operator, namespace: {NAMESPACE}}}]
",
        ledger = ledger::NAME,
        lease = cuo_cluster::lease::NAME,
    );
    apply(plane, dir, &manifest).await?;
    let path = dir.join("operator.kubeconfig");
    plane
        .service_account_kubeconfig(NAMESPACE, "cuo-operator", &path)
        .await?;
    let operator = source(&path, OPERATOR).await;

    let empty = until("the role to be in force", SOON, async || {
        Ok(Some(ledger::read(&operator, NAMESPACE).await?))
    })
    .await?;
    assert_eq!(empty.text(), None);
    let first = ledger::replace(&operator, NAMESPACE, &empty, "{\"v\":1}").await?;
    assert_eq!(first.text(), Some("{\"v\":1}"));
    let late = ledger::replace(&operator, NAMESPACE, &empty, "{\"v\":2}").await;
    ensure!(matches!(late, Err(ApiError::Conflict { .. })), "{late:?}");
    assert_eq!(ledger::read(&operator, NAMESPACE).await?, first);

    let elsewhere = ledger::read(&operator, "default").await;
    ensure!(
        matches!(elsewhere, Err(ApiError::Forbidden { .. })),
        "{elsewhere:?}"
    );
    let path = path.to_str().context("the path is text")?;
    let others = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n",
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: other}\n",
    ];
    for other in others {
        let file = dir.join("other.yaml");
        std::fs::write(&file, other)?;
        let file = file.to_str().context("the path is text")?;
        for how in [&["create"][..], &["apply", "--server-side"]] {
            let whose = ["--kubeconfig", path, "-n", NAMESPACE, "-f", file];
            let Err(refused) = plane.kubectl(&[how, &whose[..]].concat()).await else {
                anyhow::bail!("the operator may make {other}");
            };
            ensure!(
                format!("{refused:#}").contains("is forbidden"),
                "{refused:#}"
            );
        }
    }
    Ok(operator)
}

struct Candidate {
    state: watch::Receiver<Leadership>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Candidate {
    fn start(source: &ClientSource, me: &str) -> Self {
        let (sender, state) = watch::channel(Leadership::UNKNOWN);
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(campaign(
            source.clone(),
            NAMESPACE.to_owned(),
            me.to_owned(),
            sender,
            stopped,
        ));
        Self { state, stop, task }
    }

    async fn becomes(&self, expected: &Leadership) -> Result<Duration> {
        let begun = Instant::now();
        let mut state = self.state.clone();
        let waited = timeout(2 * SOON, state.wait_for(|state| state == expected)).await;
        let last = self.state.borrow().clone();
        waited.with_context(|| format!("not {expected:?} but {last:?}"))??;
        Ok(begun.elapsed())
    }
}

fn following(holder: &str) -> Leadership {
    Leadership::Waiting {
        holder: Some(holder.to_owned()),
        error: None,
    }
}

async fn lease(operator: &ClientSource) -> Result<()> {
    let a = Candidate::start(operator, "a");
    a.becomes(&Leadership::Leading).await?;
    let b = Candidate::start(operator, "b");
    b.becomes(&following("a")).await?;
    a.stop.send(()).ok();
    a.task.await?;
    let handed_over = b.becomes(&Leadership::Leading).await?;
    eprintln!("handed over within {handed_over:?}");
    ensure!(
        handed_over < Duration::from_secs(4),
        "handing over took {handed_over:?}"
    );

    let c = Candidate::start(operator, "c");
    c.becomes(&following("b")).await?;
    b.task.abort();
    let taken_over = c.becomes(&Leadership::Leading).await?;
    eprintln!("taken over from the silent within {taken_over:?}");
    ensure!(
        taken_over > Duration::from_secs(10),
        "taken over after {taken_over:?}"
    );
    c.stop.send(()).ok();
    c.task.await?;
    Ok(())
}

/// A feed that is read all the time, as the programs do.
struct Reader<T> {
    seen: mpsc::UnboundedReceiver<T>,
    _task: JoinSet<()>,
}

impl<T: Send + 'static> Reader<T> {
    fn start(mut feed: BoxStream<'static, T>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(event) = feed.next().await {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { seen, _task: task }
    }

    async fn next(&mut self) -> Result<T> {
        let event = timeout(2 * SOON, self.seen.recv())
            .await
            .context("no event in time")?;
        event.context("the feed ended")
    }
}

async fn restart(plane: &ControlPlane, n1: &ClientSource, operator: &ClientSource) -> Result<()> {
    let mut own = Reader::start(watch_node(n1.clone(), "n1", Keep::default()));
    let mut all = Reader::start(watch_nodes(operator.clone(), Keep::default()));
    let before = own.next().await?;
    ensure!(matches!(before, NodeEvent::Present(_)), "{before:?}");
    let NodesEvent::Reset(nodes) = all.next().await? else {
        anyhow::bail!("a feed begins with all there is");
    };
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2"]);

    plane.stop_api().await?;
    let stopped = Instant::now();
    for tries in 1..=3 {
        let own = own.next().await?;
        ensure!(
            matches!(own, NodeEvent::Disconnected(ApiError::Unreachable { .. })),
            "{own:?}"
        );
        let all = all.next().await?;
        ensure!(
            matches!(all, NodesEvent::Disconnected(ApiError::Unreachable { .. })),
            "{all:?}"
        );
        eprintln!("try {tries} failed after {:?}", stopped.elapsed());
    }
    plane.start_api().await?;
    let started = Instant::now();
    let mut tries = 0;
    let after = loop {
        match own.next().await? {
            NodeEvent::Disconnected(_) => tries += 1,
            event => break event,
        }
    };
    assert_eq!(after, before);
    let again = loop {
        match all.next().await? {
            NodesEvent::Disconnected(_) => tries += 1,
            event => break event,
        }
    };
    assert_eq!(again, NodesEvent::Reset(nodes));
    eprintln!(
        "connected again {:?} after the start, and {tries} more tries",
        started.elapsed()
    );
    ensure!(tries < 12, "tried {tries} times more");
    Ok(())
}

async fn frozen(plane: &ControlPlane, operator: &ClientSource) -> Result<()> {
    let leader = Candidate::start(operator, "d");
    leader.becomes(&Leadership::Leading).await?;
    plane.pause_api()?;
    let lost = leader.becomes(&Leadership::UNKNOWN).await;
    plane.resume_api()?;
    let lost = lost?;
    eprintln!("stopped to lead after {lost:?}");
    ensure!(
        lost < Duration::from_secs(11),
        "led for {lost:?} without an answer"
    );
    leader.becomes(&Leadership::Leading).await?;
    leader.stop.send(()).ok();
    leader.task.await?;
    Ok(())
}
