//! The operator's ledger and lease.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_cluster::{ApiError, ClientSource};
use cuo_coordination::lease::{self, Leadership, campaign};
use cuo_coordination::ledger;
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::wait::until;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::{NAMESPACE, OPERATOR, SOON, apply, source};

/// The operator with only what its Role needs for the ledger and the lease.
pub async fn minimal_role(plane: &ControlPlane, dir: &Path) -> Result<ClientSource> {
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
        lease = lease::NAME,
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
        let place = lease::Place {
            namespace: NAMESPACE.to_owned(),
            name: lease::NAME,
        };
        let task = tokio::spawn(campaign(
            source.clone(),
            place,
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

pub async fn succession(operator: &ClientSource) -> Result<()> {
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

pub async fn frozen(plane: &ControlPlane, operator: &ClientSource) -> Result<()> {
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
