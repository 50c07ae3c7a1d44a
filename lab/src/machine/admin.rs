//! What an administrator of the host does, through the same D-Bus methods as the `rpm-ostree` command.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use zbus::{Connection, MessageStream, OwnedObjectPath, Proxy, Type, Variant, connection};

use super::Machine;
use crate::machine::ostree::{self, Origin, Release};

const SYSROOT: &str = "/org/projectatomic/rpmostree1/Sysroot";
const DEADLINE: Duration = Duration::from_secs(60);
/// What rpm-ostreed says to whoever comes while something else is being done.
const BUSY: &str = "Transaction in progress";
const AGAIN: Duration = Duration::from_millis(200);

type Options = HashMap<&'static str, Variant<'static>>;

impl Machine {
    /// A connection to the host's bus.
    ///
    /// # Errors
    /// When the bus is down.
    pub async fn connect(&self) -> Result<Connection> {
        let address = self.root.bus_address();
        let connecting = connection::Builder::address(address.as_str())
            .method_timeout(DEADLINE)
            .build();
        connecting
            .await
            .with_context(|| format!("connect to {address}"))
    }

    /// `rpm-ostree deploy VERSION`: stages that version, unlocked.
    ///
    /// # Errors
    /// With rpm-ostree's text when it refuses.
    pub async fn admin_deploy(&self, version: &str) -> Result<()> {
        let release = Release::new(version);
        let sysroot = self.sysroot()?;
        let booted = sysroot.booted().context("nothing is booted")?;
        let revision = match booted.origin {
            Origin::Ostree { .. } => format!("version={version}"),
            Origin::Container { .. } => release.digest(),
        };
        self.transaction("Deploy", &(revision, Options::new()))
            .await
    }

    /// `rpm-ostree upgrade`: stages the newest version, unlocked.
    ///
    /// # Errors
    /// With rpm-ostree's text when it refuses.
    pub async fn admin_upgrade(&self) -> Result<()> {
        self.transaction("Upgrade", &(Options::new(),)).await
    }

    /// `rpm-ostree rebase REFERENCE [REVISION]`: stages what another branch or image has, unlocked.
    ///
    /// # Errors
    /// With rpm-ostree's text when it refuses.
    pub async fn admin_rebase(&self, reference: &str, revision: Option<&str>) -> Result<()> {
        let mut modifiers = Options::from([("set-refspec", reference.to_owned().into())]);
        if let Some(revision) = revision {
            modifiers.insert("set-revision", revision.to_owned().into());
        }
        self.transaction("UpdateDeployment", &(modifiers, Options::new()))
            .await
    }

    /// `rpm-ostree rollback`.
    ///
    /// # Errors
    /// With rpm-ostree's text when it refuses.
    pub async fn admin_rollback(&self) -> Result<()> {
        self.transaction("Rollback", &(Options::new(),)).await
    }

    /// `rpm-ostree cleanup -p`: drops what is pending.
    ///
    /// # Errors
    /// With rpm-ostree's text when it refuses.
    pub async fn admin_cleanup_pending(&self) -> Result<()> {
        self.transaction("Cleanup", &(vec!["pending-deploy"],))
            .await
    }

    /// Calls a method of the stateroot's object that returns an address, and carries the transaction out.
    async fn transaction<B: Serialize + Type>(&self, method: &str, body: &B) -> Result<()> {
        let bus = self.connect().await?;
        let interface = "org.projectatomic.rpmostree1.Sysroot";
        let sysroot = Proxy::new(&bus, ostree::NAME, SYSROOT, interface).await?;
        let os: OwnedObjectPath = sysroot.get_property("Booted").await.context("Booted")?;
        let interface = Some("org.projectatomic.rpmostree1.OS");
        let begin = Instant::now();
        let reply = loop {
            let called = bus.call_method(Some(ostree::NAME), &os, interface, method, body);
            match called.await {
                // A person waits for whatever else is going on, such as a look for updates, and tries again.
                Err(error) if error.to_string().contains(BUSY) && begin.elapsed() < DEADLINE => {
                    sleep(AGAIN).await;
                }
                reply => break reply.with_context(|| method.to_owned())?,
            }
        };
        let address: String = reply.body().deserialize()?;
        timeout(DEADLINE, carry_out(&address))
            .await
            .with_context(|| format!("{method}: no end within {DEADLINE:?}"))?
            .with_context(|| method.to_owned())
    }
}

async fn carry_out(address: &str) -> Result<()> {
    let peer = connection::Builder::address(address)
        .p2p()
        .build()
        .await
        .context("peer")?;
    let mut messages = MessageStream::from(&peer);
    let starting = peer.clone();
    let start = tokio::spawn(async move {
        let interface = Some("org.projectatomic.rpmostree1.Transaction");
        starting
            .call_method(None::<&str>, "/", interface, "Start", &())
            .await
    });
    while let Some(message) = messages.next().await {
        let message = message.context("peer")?;
        let header = message.header();
        if header.member().is_some_and(|member| member == "Finished") {
            let (success, text): (bool, String) =
                message.body().deserialize().context("Finished")?;
            if !success {
                bail!("{text}");
            }
            start.await.context("Start")?.context("Start")?;
            return Ok(());
        }
    }
    bail!("the daemon went away")
}
