//! Staging what branch or tag point at, and its lock.

use anyhow::Result;
use futures::FutureExt;

use crate::conformance::client::{Options, options};
use crate::conformance::{Case, Seen, V1, V2, V3};
use crate::machine::OriginKind::{Container, Ostree};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a branch is staged locked",
        why: "updates are staged locked, so that no other reboot applies them",
        origin: Ostree,
        look: |seen| locked(seen).boxed_local(),
    },
    Case {
        name: "a tag is staged locked",
        why: "updates are staged locked, so that no other reboot applies them",
        origin: Container,
        look: |seen| locked(seen).boxed_local(),
    },
    Case {
        name: "a branch without news stages nothing",
        why: "success alone is no update",
        origin: Ostree,
        look: |seen| nothing(seen).boxed_local(),
    },
    Case {
        name: "a tag without news stages nothing",
        why: "success alone is no update",
        origin: Container,
        look: |seen| nothing(seen).boxed_local(),
    },
    Case {
        name: "what is staged unlocked is not locked by asking again",
        why: "the agent drops such an update and stages it anew",
        origin: Ostree,
        look: |seen| again(seen).boxed_local(),
    },
    Case {
        name: "a newer release takes the place of what is staged",
        why: "a host goes to the newest, whatever was staged",
        origin: Ostree,
        look: |seen| replaced(seen).boxed_local(),
    },
    Case {
        name: "a newer image takes the place of what is staged",
        why: "a host goes to the newest, whatever was staged",
        origin: Container,
        look: |seen| replaced(seen).boxed_local(),
    },
    Case {
        name: "a branch that went back is refused",
        why: "an older version is told as such, and needs allow-downgrade",
        origin: Ostree,
        look: |seen| back(seen).boxed_local(),
    },
    Case {
        name: "a tag that went back is refused",
        why: "an older version is told as such, and needs allow-downgrade",
        origin: Container,
        look: |seen| back(seen).boxed_local(),
    },
    Case {
        name: "what is staged is dropped by a cleanup",
        why: "a release that is withdrawn leaves a host this way",
        origin: Ostree,
        look: |seen| cleaned(seen).boxed_local(),
    },
    Case {
        name: "a check forgets what is staged, the deployments don't",
        why: "what is staged is read from the deployments alone",
        origin: Ostree,
        look: |seen| forgotten(seen).boxed_local(),
    },
];

/// What is known of the deployment that comes first, and of its lock.
pub(super) async fn first(seen: &mut Seen) -> Result<()> {
    let keys = [
        "version",
        "staged",
        "booted",
        "serial",
        "finalization-locked",
    ];
    seen.shows("DefaultDeployment", &keys).await?;
    let note = match seen.host.locked()? {
        None => "no note of a staged deployment",
        Some(true) => "the note is locked",
        Some(false) => "the note is not locked",
    };
    seen.say(note);
    Ok(())
}

pub(super) fn lock() -> Options {
    options([
        ("lock-finalization", true.into()),
        ("initiating-command-line", "contract: stage".into()),
    ])
}

pub(super) async fn upgrade(seen: &mut Seen, options: Options) -> Result<()> {
    seen.ran("Upgrade", &(options,)).await
}

async fn locked(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    upgrade(seen, lock()).await?;
    first(seen).await?;
    let keys = ["version", "checksum", "ref-has-new-commit"];
    seen.shows("CachedUpdate", &keys).await?;
    let keys = [
        "container-image-reference",
        "container-image-reference-digest",
        "origin",
    ];
    seen.shows("DefaultDeployment", &keys).await
}

async fn nothing(seen: &mut Seen) -> Result<()> {
    upgrade(seen, lock()).await?;
    first(seen).await
}

async fn again(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    first(seen).await?;
    upgrade(seen, lock()).await?;
    first(seen).await
}

async fn replaced(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    seen.host.publish(V3).await?;
    upgrade(seen, lock()).await?;
    first(seen).await
}

async fn back(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    // What is staged counts, not only what runs.
    seen.host.publish(V1).await?;
    upgrade(seen, Options::new()).await?;
    seen.checked().await?;
    let allowed = options([("allow-downgrade", true.into())]);
    seen.ended("Upgrade", &(allowed,)).await?;
    first(seen).await
}

async fn cleaned(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(lock(),)).await?;
    let what = vec!["pending-deploy"];
    seen.ran("Cleanup", &(what,)).await?;
    first(seen).await?;
    seen.ended("Upgrade", &(lock(),)).await?;
    first(seen).await
}

async fn forgotten(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(lock(),)).await?;
    let deployment = ["deployment", "version"];
    seen.shows("CachedUpdate", &deployment).await?;
    seen.client.check(&seen.host).await?;
    seen.shows("CachedUpdate", &deployment).await?;
    first(seen).await
}
