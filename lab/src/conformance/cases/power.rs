//! Finalization, and what is refused after it.

use anyhow::Result;
use futures::FutureExt;

use super::staging::{first, lock};
use crate::conformance::client::{Options, options};
use crate::conformance::{Case, Seen, V2};
use crate::machine::OriginKind::{Container, Ostree};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a finalization wants the commit of a branch",
        why: "a grant names what is booted, and nothing else is finalized",
        origin: Ostree,
        look: |seen| wrong(seen).boxed_local(),
    },
    Case {
        name: "a finalization wants the digest of an image",
        why: "a grant names what is booted, and nothing else is finalized",
        origin: Container,
        look: |seen| wrong(seen).boxed_local(),
    },
    Case {
        name: "a lock of mode block stops a finalization",
        why: "that is told as an inhibitor, and the lock is kept",
        origin: Ostree,
        look: |seen| inhibited(seen).boxed_local(),
    },
    Case {
        name: "what is unlocked is finalized only if that is allowed",
        why: "the agent allows it, for an attempt of its own may have unlocked it",
        origin: Ostree,
        look: |seen| unlocked(seen).boxed_local(),
    },
    Case {
        name: "after a finalization nothing new is accepted",
        why: "that is told from being busy",
        origin: Ostree,
        look: |seen| finalized(seen).boxed_local(),
    },
    Case {
        name: "a rollback needs something to go back to",
        why: "a way back that is none is told",
        origin: Ostree,
        look: |seen| rollback(seen).boxed_local(),
    },
];

async fn finalize(seen: &mut Seen, options: Options) -> Result<()> {
    seen.ran("FinalizeDeployment", &(options,)).await
}

fn checksum(text: &str) -> Options {
    options([("checksum", text.to_owned().into())])
}

async fn stage(seen: &mut Seen, options: Options) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(options,)).await
}

async fn wrong(seen: &mut Seen) -> Result<()> {
    finalize(seen, checksum("abc")).await?;
    stage(seen, lock()).await?;
    finalize(seen, Options::new()).await?;
    finalize(seen, checksum("abc")).await?;
    // The commit that an import of the image made.
    let commit = seen
        .client
        .values("DefaultDeployment", &["checksum"])
        .await?;
    let commit = commit.concat();
    let (_, commit) = commit.rsplit_once(' ').unwrap_or_default();
    if seen
        .client
        .dictionary("DefaultDeployment")
        .await?
        .contains_key("container-image-reference")
    {
        finalize(seen, checksum(commit)).await?;
    }
    first(seen).await
}

async fn inhibited(seen: &mut Seen) -> Result<()> {
    stage(seen, lock()).await?;
    let two = seen.host.commit(V2)?;
    seen.host.inhibit(Some("block"))?;
    finalize(seen, checksum(&two)).await?;
    first(seen).await?;
    seen.host.inhibit(Some("delay"))?;
    finalize(seen, checksum(&two)).await?;
    first(seen).await
}

async fn unlocked(seen: &mut Seen) -> Result<()> {
    stage(seen, Options::new()).await?;
    let two = seen.host.commit(V2)?;
    finalize(seen, checksum(&two)).await?;
    let mut allowed = checksum(&two);
    allowed.insert("allow-unlocked", true.into());
    finalize(seen, allowed).await?;
    first(seen).await
}

async fn finalized(seen: &mut Seen) -> Result<()> {
    stage(seen, lock()).await?;
    let two = seen.host.commit(V2)?;
    finalize(seen, checksum(&two)).await?;
    first(seen).await?;
    finalize(seen, checksum(&two)).await?;
    let refused = seen.client.begin("Upgrade", &(Options::new(),)).await?;
    seen.say(format!("{refused:?}"));
    let refused = seen.client.begin_check().await?;
    seen.say(format!("{refused:?}"));
    seen.client.reload().await?;
    seen.say("reloaded");
    Ok(())
}

async fn rollback(seen: &mut Seen) -> Result<()> {
    seen.ended("Rollback", &(Options::new(),)).await?;
    stage(seen, lock()).await?;
    seen.ended("Rollback", &(Options::new(),)).await
}
