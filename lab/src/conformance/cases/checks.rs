//! Looking for updates.

use anyhow::Result;
use futures::FutureExt;

use crate::conformance::client::{Options, Peer};
use crate::conformance::{Case, Seen, V2, V3};
use crate::machine::OriginKind::{Container, Ostree};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a check of a branch without news",
        why: "nothing may seem to be new",
        origin: Ostree,
        look: |seen| nothing(seen).boxed_local(),
    },
    Case {
        name: "a check of a branch finds an update",
        why: "the version of an update is read after a check",
        origin: Ostree,
        look: |seen| found(seen).boxed_local(),
    },
    Case {
        name: "a check of a tag without news",
        why: "nothing may seem to be new",
        origin: Container,
        look: |seen| nothing(seen).boxed_local(),
    },
    Case {
        name: "a check of a tag finds an update",
        why: "the version of an update is read after a check; its digest is nowhere",
        origin: Container,
        look: |seen| found(seen).boxed_local(),
    },
    Case {
        name: "what a check of a tag found is seen late",
        why: "the agent reloads before it reads",
        origin: Container,
        look: |seen| late(seen).boxed_local(),
    },
    Case {
        name: "a check of a tag stays at what was pulled once",
        why: "the agent stages without asking a check first",
        origin: Container,
        look: |seen| stuck(seen).boxed_local(),
    },
    Case {
        name: "the bus tells of a check of a branch",
        why: "the agent reads again when deployments or the slot change",
        origin: Ostree,
        look: |seen| told(seen).boxed_local(),
    },
];

const SHOWN: [&str; 6] = [
    "version",
    "checksum",
    "origin",
    "ref-has-new-commit",
    "deployment",
    "timestamp",
];

async fn look(seen: &mut Seen) -> Result<()> {
    seen.checked().await?;
    seen.shows("CachedUpdate", &SHOWN).await
}

async fn nothing(seen: &mut Seen) -> Result<()> {
    look(seen).await
}

async fn found(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    look(seen).await?;
    let keys = ["version", "pending-base-version", "pending-base-checksum"];
    seen.shows("BootedDeployment", &keys).await?;
    // It does not change by being found again.
    look(seen).await
}

async fn late(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    let address = match seen.client.begin_check().await? {
        Ok(address) => address,
        Err(refused) => {
            seen.say(refused);
            return Ok(());
        }
    };
    let mut peer = Peer::connect(&seen.host, &address).await?;
    let started = peer.start().await?;
    seen.say(format!("started {started}"));
    let said = peer.finish().await?;
    seen.say_all(said.into_iter().filter(|line| line.starts_with("Finished")));
    let before = seen.client.values("CachedUpdate", &["version"]).await?;
    seen.say_all(before.into_iter().map(|line| format!("at once: {line}")));
    seen.client.reload().await?;
    let after = seen.client.values("CachedUpdate", &["version"]).await?;
    seen.say_all(after.into_iter().map(|line| format!("reloaded: {line}")));
    let active = seen.client.active().await?;
    seen.say(format!("active {}", active.0));
    peer.leave().await;
    Ok(())
}

async fn stuck(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    let options = (Options::new(),);
    seen.ended("Upgrade", &options).await?;
    seen.host.publish(V3).await?;
    seen.client.check(&seen.host).await?;
    seen.shows("CachedUpdate", &["version"]).await?;
    seen.ended("Upgrade", &options).await?;
    seen.shows("DefaultDeployment", &["version", "staged"])
        .await
}

async fn told(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    // Wakes the daemon, so that what is seen is of the check.
    seen.client.reload().await?;
    let mut changes = seen.client.watch().await?;
    seen.client.check(&seen.host).await?;
    let changes = changes.until_free().await?;
    seen.say_all(changes);
    Ok(())
}
