//! What goes wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_core::keys::{BEFORE_REBOOT, ONLY_NODE, REBOOT_PAUSED};
use cuo_lab::wait::until;
use cuo_operator::narration::GATES;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::{Bench, Lead, NAMESPACE, SOON, operator};

/// How long the API server is away: long enough for several tries.
const AWAY: Duration = Duration::from_secs(3);

impl Bench {
    async fn start_again(&mut self, lead: Lead) -> Result<()> {
        self.operator.kill().await?;
        self.operator = operator(&self.dir, lead)?;
        Ok(())
    }

    /// Kills the operator at each gate of an update; where an ordinary one does not come there, something has to happen first.
    pub async fn killed(&mut self) -> Result<()> {
        self.start_again(Lead::AtOnce).await?;
        for gate in GATES {
            eprintln!("  {gate}");
            let (closed, hit) = (self.gate(gate), self.gate(&format!("{gate}.hit")));
            std::fs::write(&closed, "")?;
            let (mut provoked, mut killed) = (false, false);
            let change = change(gate);
            self.update(async |bench| {
                if hit.exists() {
                    bench.operator.kill().await?;
                    std::fs::remove_file(&hit)?;
                    std::fs::remove_file(&closed)?;
                    bench.start_again(Lead::AtOnce).await?;
                    bench.pause("n1", false).await?;
                    killed = true;
                }
                if !provoked {
                    provoked = bench.provoke(change).await?;
                }
                // The grant stays as it is until then.
                let goes = matches!(
                    change,
                    Change::None | Change::Label | Change::Lone | Change::Pool
                );
                Ok(killed || goes)
            })
            .await
            .with_context(|| format!("killed at {gate}"))?;
            ensure!(killed, "{gate} was not come to");
            self.no_pool(change).await?;
        }
        Ok(())
    }

    fn gate(&self, name: &str) -> std::path::PathBuf {
        self.dir.join("gates").join(name)
    }

    async fn pause(&self, name: &str, paused: bool) -> Result<()> {
        let value = paused.then_some("true");
        self.agents.annotate(name, REBOOT_PAUSED, value).await
    }

    /// Makes the change once it makes sense; whether it did.
    async fn provoke(&mut self, change: Change) -> Result<bool> {
        let n1 = self.agents.node("n1").await?;
        let granted = !n1.operator.grant.is_absent();
        match change {
            Change::None => {}
            Change::Label => {
                let label = format!("{BEFORE_REBOOT}=true");
                self.plane.kubectl(&["label", "node", "n3", &label]).await?;
            }
            Change::Lone => self.agents.annotate("n3", ONLY_NODE, Some("true")).await?,
            Change::Pool => {
                let path = self.dir.join("pool.yaml");
                std::fs::write(&path, CANARY)?;
                let path = path.display().to_string();
                self.plane.kubectl(&["apply", "--filename", &path]).await?;
            }
            _ if !granted => return Ok(false),
            Change::Pause => self.pause("n1", true).await?,
            Change::DeleteLedger => {
                self.delete_ledger().await?;
                // One that runs reads it with its next write only.
                self.start_again(Lead::AtOnce).await?;
            }
        }
        Ok(true)
    }

    async fn no_pool(&self, change: Change) -> Result<()> {
        if change == Change::Pool {
            let delete = ["delete", "updatepool", "all"];
            self.plane.kubectl(&delete).await?;
        }
        Ok(())
    }

    async fn delete_ledger(&self) -> Result<()> {
        let delete = ["delete", "configmap", "cuo-ledger", "--namespace"];
        let arguments = [&delete[..], &[NAMESPACE]].concat();
        self.plane.kubectl(&arguments).await.map(drop)
    }

    /// Takes the API server away before each write of an update, one write after the other, with one operator that goes on all the time.
    pub async fn outage(&mut self) -> Result<()> {
        self.start_again(Lead::AtOnce).await?;
        for gate in GATES.iter().filter(|gate| gate.contains("-before-")) {
            eprintln!("  {gate}");
            let (closed, hit) = (self.gate(gate), self.gate(&format!("{gate}.hit")));
            std::fs::write(&closed, "")?;
            let (mut provoked, mut away) = (false, false);
            let change = change(gate);
            self.update(async |bench| {
                if !away && hit.exists() {
                    away = true;
                    bench.plane.stop_api().await?;
                    std::fs::remove_file(&closed)?;
                    std::fs::remove_file(&hit)?;
                    sleep(AWAY).await;
                    bench.plane.start_api().await?;
                    bench.pause("n1", false).await?;
                }
                if !provoked {
                    provoked = bench.provoke(change).await?;
                }
                // The grant stays as it is until then.
                Ok(away || matches!(change, Change::None | Change::Label | Change::Pool))
            })
            .await
            .with_context(|| format!("away at {gate}"))?;
            ensure!(away, "{gate} was not come to");
            self.no_pool(change).await?;
            let ended = self.operator.try_wait()?;
            ensure!(ended.is_none(), "the operator ended at {gate}: {ended:?}");
        }
        Ok(())
    }

    pub async fn broken_ledger(&mut self) -> Result<()> {
        let broken = r#"{"data":{"ledger.json":"{}"}}"#;
        let patch = ["patch", "configmap", "cuo-ledger", "--patch", broken];
        let arguments = [&patch[..], &["--namespace", NAMESPACE]].concat();
        self.plane.kubectl(&arguments).await?;
        let mut seen = false;
        self.update(async |bench| {
            if !seen && bench.log()?.contains("the ledger is invalid") {
                let nodes = bench.agents.nodes().await?;
                let idle = nodes.iter().all(|node| !node.operator.has_slot());
                ensure!(idle, "{nodes:#?}");
                ensure!(bench.ledger().await? == "{}", "the ledger was written");
                bench.delete_ledger().await?;
                seen = true;
            }
            Ok(true)
        })
        .await?;
        ensure!(seen, "the broken ledger was not noticed");
        Ok(())
    }

    pub async fn stopped(&mut self) -> Result<()> {
        // The first one was killed, so its lease has to run out.
        let killed = self.holder().await?;
        self.start_again(Lead::WithLease).await?;
        until("the operator to lead", SOON, async || {
            let holder = self.holder().await?;
            Ok((holder.starts_with("op-") && holder != killed).then_some(()))
        })
        .await?;
        let pid = self.operator.id().context("the operator has ended")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        let ended = timeout(SOON, self.operator.wait()).await??;
        ensure!(ended.success(), "it ended with {ended}");
        let holder = self.holder().await?;
        ensure!(holder.is_empty(), "the lease is still held by {holder:?}");
        Ok(())
    }

    pub async fn holder(&self) -> Result<String> {
        let get = ["get", "lease", "cuo-operator", "--namespace", NAMESPACE];
        let holder = "--output=jsonpath={.spec.holderIdentity}";
        self.plane.kubectl(&[&get[..], &[holder]].concat()).await
    }
}

/// What has to happen for the operator to come to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// An administrator pauses a node that was granted.
    Pause,
    /// Somebody sets a label of the operator.
    Label,
    /// Somebody says that one of the nodes is the only one.
    Lone,
    /// Somebody deletes the ledger while a grant is out.
    DeleteLedger,
    /// There is a pool whose nodes go to one release at a time.
    Pool,
}

/// The pool of all nodes, one of which tries each release.
const CANARY: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {canary: {count: 1, soak: 1s}}
";

fn change(gate: &str) -> Change {
    if gate.ends_with("-pool-release") || gate.ends_with("-node-assign") {
        return Change::Pool;
    }
    match gate.rsplit_once("-node-").or(gate.rsplit_once("-ledger-")) {
        Some((_, "withdraw")) => Change::Pause,
        Some((_, "clean")) => Change::Label,
        Some((_, "lone")) => Change::Lone,
        Some((_, "restore")) => Change::DeleteLedger,
        _ => Change::None,
    }
}
