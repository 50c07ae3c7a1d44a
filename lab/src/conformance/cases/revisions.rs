//! Staging a release by its commit or its version.

use anyhow::Result;
use futures::FutureExt;

use super::staging::first;
use crate::conformance::client::{Options, options};
use crate::conformance::{BRANCH, Case, Seen, V1, V2, V3};
use crate::machine::OriginKind::Ostree;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a commit of the branch is staged",
        why: "an assigned release is staged by its commit",
        origin: Ostree,
        look: |seen| commit(seen, false).boxed_local(),
    },
    Case {
        name: "a commit is staged without a look at the branch",
        why: "an update graph names commits that the branch has left behind",
        origin: Ostree,
        look: |seen| commit(seen, true).boxed_local(),
    },
    Case {
        name: "a version of the branch is staged",
        why: "a declared release is staged by its version",
        origin: Ostree,
        look: |seen| version(seen).boxed_local(),
    },
    Case {
        name: "what the branch does not have is refused",
        why: "the reason quotes these texts",
        origin: Ostree,
        look: |seen| unknown(seen).boxed_local(),
    },
    Case {
        name: "a commit that is deployed already changes nothing",
        why: "staging what runs is no update",
        origin: Ostree,
        look: |seen| same(seen).boxed_local(),
    },
    Case {
        name: "an older commit needs permission",
        why: "UpdateDeployment refuses it against what its documentation says",
        origin: Ostree,
        look: |seen| older(seen).boxed_local(),
    },
    Case {
        name: "a deployed commit is left by the next upgrade",
        why: "an override in the origin is no hold",
        origin: Ostree,
        look: |seen| left(seen).boxed_local(),
    },
    Case {
        name: "a rebase to the same branch is refused",
        why: "the agent never asks for that without need",
        origin: Ostree,
        look: |seen| rebased(seen).boxed_local(),
    },
];

fn modifiers(revision: String) -> Options {
    options([("set-revision", revision.into())])
}

async fn deploy(seen: &mut Seen, revision: String, skip: bool) -> Result<()> {
    let options = options([
        ("lock-finalization", true.into()),
        ("skip-branch-check", skip.into()),
    ]);
    let body = (modifiers(revision), options);
    seen.ran("UpdateDeployment", &body).await
}

async fn commit(seen: &mut Seen, skip: bool) -> Result<()> {
    seen.host.publish(V3).await?;
    let two = seen.host.commit(V2)?;
    deploy(seen, format!("revision={two}"), skip).await?;
    first(seen).await?;
    seen.shows("CachedUpdate", &["version", "deployment"])
        .await?;
    seen.shows("DefaultDeployment", &["origin", "checksum"])
        .await
}

async fn version(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V3).await?;
    deploy(seen, format!("version={V2}"), true).await?;
    first(seen).await
}

async fn unknown(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    let nobodys = "ab".repeat(32);
    let three = seen.host.commit(V3)?;
    for (revision, skip) in [
        (nobodys.clone(), false),
        (nobodys, true),
        ("version=99.9".to_owned(), false),
        ("99.9".to_owned(), true),
        ("revision=abc".to_owned(), false),
        // It is there, and the branch does not lead to it.
        (three, false),
    ] {
        deploy(seen, revision, skip).await?;
    }
    first(seen).await
}

async fn same(seen: &mut Seen) -> Result<()> {
    let one = seen.host.commit(V1)?;
    deploy(seen, one, true).await?;
    first(seen).await
}

async fn older(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    let one = seen.host.commit(V1)?;
    deploy(seen, one.clone(), true).await?;
    deploy(seen, one.clone(), false).await?;
    let end = seen
        .client
        .outcome(&seen.host, "Deploy", &(one, Options::new()))
        .await?;
    seen.say(format!("Deploy: {end}"));
    Ok(())
}

async fn left(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V3).await?;
    let two = seen.host.commit(V2)?;
    deploy(seen, two, true).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    first(seen).await
}

async fn rebased(seen: &mut Seen) -> Result<()> {
    for reference in [format!("fedora:{BRANCH}"), "fedora:nonesuch".to_owned()] {
        let body = (options([("set-refspec", reference.into())]), Options::new());
        seen.ended("UpdateDeployment", &body).await?;
    }
    first(seen).await
}
