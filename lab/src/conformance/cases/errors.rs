//! Refusals and failures, by name and text.

use anyhow::Result;
use futures::FutureExt;

use crate::conformance::client::{OS, Options, SYSROOT, options};
use crate::conformance::subject::Server;
use crate::conformance::{Case, Seen, V2};
use crate::machine::OriginKind::Ostree;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "calls that make no sense are refused by name",
        why: "the name of an error decides what it is",
        origin: Ostree,
        look: |seen| refused(seen).boxed_local(),
    },
    Case {
        name: "options that nobody knows are ignored",
        why: "the agent gives options that older ones don't know",
        origin: Ostree,
        look: |seen| ignored(seen).boxed_local(),
    },
    Case {
        name: "a driver outside of any unit is refused at the end",
        why: "the agent asks again without",
        origin: Ostree,
        look: |seen| driver(seen).boxed_local(),
    },
    Case {
        name: "a remote that is down",
        why: "the text tells the network from other failures",
        origin: Ostree,
        look: |seen| trouble(seen, Server::Down).boxed_local(),
    },
    Case {
        name: "a remote that answers 404",
        why: "the text tells the network from other failures",
        origin: Ostree,
        look: |seen| trouble(seen, Server::Status(404)).boxed_local(),
    },
    Case {
        name: "a remote that answers 403",
        why: "the text tells credentials from other failures",
        origin: Ostree,
        look: |seen| trouble(seen, Server::Status(403)).boxed_local(),
    },
    Case {
        name: "a remote that answers 500",
        why: "the text tells the network from other failures",
        origin: Ostree,
        look: |seen| trouble(seen, Server::Status(500)).boxed_local(),
    },
    Case {
        name: "a branch that does not exist any more",
        why: "the text tells an unusable origin from other failures",
        origin: Ostree,
        look: |seen| trouble(seen, Server::WithoutBranch).boxed_local(),
    },
];

async fn refused(seen: &mut Seen) -> Result<()> {
    let unknown = seen
        .client
        .call::<_, zbus::OwnedObjectPath>(SYSROOT, "GetOS", &"nope")
        .await?;
    seen.say(format!("GetOS {}", unknown.err().unwrap_or_default()));
    for mode in ["none", "auto", "bogus"] {
        let body = (options([("mode", mode.into())]),);
        let reply = seen
            .client
            .call::<_, (bool, String)>(OS, "AutomaticUpdateTrigger", &body)
            .await?;
        seen.say(format!("mode {mode} {reply:?}"));
    }
    let body = (vec!["everything"],);
    let said = seen.client.run(&seen.host, "Cleanup", &body).await?;
    seen.say(format!("Cleanup {}", said.join(" | ")));
    let said = seen.client.call::<_, String>(OS, "Nonesuch", &()).await?;
    seen.say(format!("Nonesuch {}", name(said)));
    let said = seen.client.call::<_, String>(OS, "Upgrade", &()).await?;
    seen.say(format!("Upgrade() {}", name(said)));
    Ok(())
}

/// The name of an error; its text is the library's.
fn name(reply: Result<String, String>) -> String {
    let error = reply.err().unwrap_or_default();
    let (name, _) = error.split_once(':').unwrap_or_default();
    name.to_owned()
}

async fn ignored(seen: &mut Seen) -> Result<()> {
    let odd = options([
        ("nonesuch", true.into()),
        ("download-only", "yes".into()),
        ("lock-finalization", 1_u32.into()),
    ]);
    seen.host.publish(V2).await?;
    seen.ended("Upgrade", &(odd,)).await?;
    super::staging::first(seen).await
}

async fn driver(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    let driver = options([("register-driver", "contract".into())]);
    seen.ran("Upgrade", &(driver,)).await?;
    super::staging::first(seen).await
}

async fn trouble(seen: &mut Seen, server: Server) -> Result<()> {
    seen.host.publish(V2).await?;
    let two = seen.host.commit(V2)?;
    seen.host.serve(server).await?;
    let end = seen
        .client
        .outcome(&seen.host, "Upgrade", &(Options::new(),))
        .await?;
    seen.say(format!("upgrade: {end}"));
    let said = seen.client.check(&seen.host).await?;
    seen.say(format!("check: {}", said.join(" | ")));
    for skip in [false, true] {
        let options = options([("skip-branch-check", skip.into())]);
        let body = (options_of(&two), options);
        let end = seen
            .client
            .outcome(&seen.host, "UpdateDeployment", &body)
            .await?;
        seen.say(format!("commit, branch skipped {skip}: {end}"));
    }
    Ok(())
}

fn options_of(commit: &str) -> Options {
    options([("set-revision", commit.to_owned().into())])
}
