//! Digests under a tag, and what a registry does not have.

use anyhow::Result;
use futures::FutureExt;

use super::staging::{first, lock};
use crate::conformance::client::{Options, options};
use crate::conformance::subject::Server;
use crate::conformance::{Case, Seen, V1, V2, V3};
use crate::machine::OriginKind::Container;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a digest is staged and the tag stays followed",
        why: "an assigned release is staged by its digest",
        origin: Container,
        look: |seen| digest(seen).boxed_local(),
    },
    Case {
        name: "a digest that is deployed already changes nothing",
        why: "staging what is there is no update",
        origin: Container,
        look: |seen| same(seen).boxed_local(),
    },
    Case {
        name: "a deployed digest is left by the next upgrade",
        why: "an override in the origin is no hold",
        origin: Container,
        look: |seen| left(seen).boxed_local(),
    },
    Case {
        name: "a rebase to a digest follows that digest",
        why: "nothing newer is ever found there, which the agent tells",
        origin: Container,
        look: |seen| pinned(seen).boxed_local(),
    },
    Case {
        name: "what a repository does not have is unknown there",
        why: "the reason quotes these texts, and their class decides on the backoff",
        origin: Container,
        look: |seen| unknown(seen).boxed_local(),
    },
    Case {
        name: "an older digest needs permission",
        why: "going back needs a consent of the host",
        origin: Container,
        look: |seen| older(seen).boxed_local(),
    },
    Case {
        name: "a registry that is down",
        why: "the text tells the network from other failures",
        origin: Container,
        look: |seen| down(seen).boxed_local(),
    },
];

async fn deploy(seen: &mut Seen, modifiers: Options) -> Result<()> {
    seen.ran("UpdateDeployment", &(modifiers, lock())).await
}

fn revision(text: String) -> Options {
    options([("set-revision", text.into())])
}

async fn follows(seen: &mut Seen) -> Result<()> {
    let keys = [
        "container-image-reference",
        "container-image-reference-digest",
        "version",
    ];
    seen.shows("DefaultDeployment", &keys).await
}

async fn digest(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V3).await?;
    let two = seen.host.digest(V2)?;
    deploy(seen, revision(two)).await?;
    first(seen).await?;
    follows(seen).await?;
    seen.shows("CachedUpdate", &["version", "deployment"]).await
}

async fn same(seen: &mut Seen) -> Result<()> {
    let one = seen.host.digest(V1)?;
    deploy(seen, revision(one)).await?;
    first(seen).await?;
    seen.host.publish(V3).await?;
    let two = seen.host.digest(V2)?;
    for _ in 0..2 {
        deploy(seen, revision(two.clone())).await?;
    }
    first(seen).await
}

async fn left(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V3).await?;
    let two = seen.host.digest(V2)?;
    deploy(seen, revision(two)).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    follows(seen).await
}

async fn pinned(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V3).await?;
    let reference = format!("{}@{}", seen.host.image(), seen.host.digest(V2)?);
    deploy(seen, options([("set-refspec", reference.into())])).await?;
    follows(seen).await?;
    seen.ran("Upgrade", &(Options::new(),)).await?;
    seen.checked().await?;
    seen.shows("CachedUpdate", &["version"]).await
}

async fn unknown(seen: &mut Seen) -> Result<()> {
    let image = seen.host.image();
    let nobodys = format!("sha256:{}", "ab".repeat(32));
    for modifiers in [
        revision(nobodys),
        revision(V2.to_owned()),
        options([("set-refspec", format!("{image}:gone").into())]),
        options([("set-refspec", format!("{image}:stable").into())]),
    ] {
        let body = (modifiers, Options::new());
        seen.ended("UpdateDeployment", &body).await?;
    }
    first(seen).await
}

async fn older(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    let one = seen.host.digest(V1)?;
    let body = (revision(one.clone()), Options::new());
    seen.ended("UpdateDeployment", &body).await?;
    let allow = options([("allow-downgrade", true.into())]);
    let body = (revision(one), allow);
    seen.ended("UpdateDeployment", &body).await?;
    follows(seen).await
}

async fn down(seen: &mut Seen) -> Result<()> {
    let one = seen.host.digest(V2)?;
    seen.host.serve(Server::Down).await?;
    seen.ended("Upgrade", &(Options::new(),)).await?;
    let body = (revision(one), Options::new());
    seen.ended("UpdateDeployment", &body).await?;
    seen.checked().await
}
