//! What objects, properties and dictionaries look like.

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use zbus::Variant;

use crate::conformance::client::{Dictionary, OS, SYSROOT, plain};
use crate::conformance::{Case, Seen, V2};
use crate::machine::OriginKind::{Container, Ostree};
use crate::machine::ostree::NAME;
use crate::process::bound;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "methods and properties have these types",
        why: "the agent calls these methods and reads these properties",
        origin: Ostree,
        look: |seen| interfaces(seen).boxed_local(),
    },
    Case {
        name: "a host without news shows nothing pending",
        why: "a survey of the host begins with these",
        origin: Ostree,
        look: |seen| fresh(seen).boxed_local(),
    },
    Case {
        name: "a deployment of a branch has these keys",
        why: "release, version and origin of a host are read from them",
        origin: Ostree,
        look: |seen| keys(seen).boxed_local(),
    },
    Case {
        name: "a deployment of an image has these keys",
        why: "release, version and origin of a host are read from them",
        origin: Container,
        look: |seen| keys(seen).boxed_local(),
    },
    Case {
        name: "a cached update of a branch has these keys",
        why: "what a check found is read from them",
        origin: Ostree,
        look: |seen| cached_keys(seen).boxed_local(),
    },
    Case {
        name: "a cached update of an image has these keys",
        why: "what a check found is read from them",
        origin: Container,
        look: |seen| cached_keys(seen).boxed_local(),
    },
];

/// The members that the agent uses.
const MEMBERS: [(&str, &str, &[&str]); 2] = [
    (
        SYSROOT,
        "org.projectatomic.rpmostree1.Sysroot",
        &[
            "ActiveTransaction",
            "ActiveTransactionPath",
            "AutomaticUpdatePolicy",
            "Booted",
            "Deployments",
            "Path",
            "RegisterClient",
            "Reload",
            "UnregisterClient",
        ],
    ),
    (
        OS,
        "org.projectatomic.rpmostree1.OS",
        &[
            "AutomaticUpdateTrigger",
            "BootedDeployment",
            "CachedUpdate",
            "Cleanup",
            "DefaultDeployment",
            "Deploy",
            "FinalizeDeployment",
            "GetDeploymentsRpmDiff",
            "HasCachedUpdateRpmDiff",
            "Name",
            "Rollback",
            "RollbackDeployment",
            "UpdateDeployment",
            "Upgrade",
        ],
    ),
];

async fn interfaces(seen: &mut Seen) -> Result<()> {
    let address = format!("--address={}", seen.host.bus_address());
    for (path, interface, members) in MEMBERS {
        let mut busctl = bound("busctl");
        busctl.args([&*address, "--no-pager", "--no-legend", "introspect", NAME]);
        let output = busctl.args([path, interface]).output().await;
        let output = output.context("run busctl")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "busctl introspect {path}: {said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for member in members {
            let mut words = text.lines().map(|line| line.split_whitespace());
            let found = words.find_map(|mut words| {
                let name = words.next()?.strip_prefix('.')?;
                (name == *member).then(|| words.collect::<Vec<_>>())
            });
            seen.say(match found.as_deref() {
                None => format!("{member} -"),
                Some(["method", from, to, ..]) => format!("{member} method {from} -> {to}"),
                // Of a property, its type and what is said of it; the value is in between.
                Some([kind, of, .., last]) => format!("{member} {kind} {of} {last}"),
                Some(_) => format!("{member} ?"),
            });
        }
    }
    Ok(())
}

async fn fresh(seen: &mut Seen) -> Result<()> {
    let sysroot = seen.client.properties(SYSROOT).await?;
    for name in [
        "ActiveTransaction",
        "ActiveTransactionPath",
        "AutomaticUpdatePolicy",
        "Booted",
        "Path",
    ] {
        let value = sysroot.get(name).map(|value| plain(value));
        seen.say(format!("{name} {}", value.unwrap_or_default()));
    }
    let os = seen.client.properties(OS).await?;
    for name in [
        "Name",
        "HasCachedUpdateRpmDiff",
        "CachedUpdate",
        "RollbackDeployment",
    ] {
        let value = os.get(name).map(|value| plain(value));
        seen.say(format!("{name} {}", value.unwrap_or_default()));
    }
    let booted = seen.client.dictionary("BootedDeployment").await?;
    let default = seen.client.dictionary("DefaultDeployment").await?;
    seen.say(format!(
        "the default is what is booted: {}",
        booted == default
    ));
    Ok(())
}

/// The types of a dictionary's values, in the order of their keys.
fn types(all: &Dictionary) -> Vec<String> {
    let mut lines: Vec<_> = all
        .iter()
        .map(|(key, value)| format!("{key} {}", value.value_signature()))
        .collect();
    lines.sort();
    lines
}

async fn keys(seen: &mut Seen) -> Result<()> {
    let booted = seen.client.dictionary("BootedDeployment").await?;
    seen.say_all(types(&booted));
    if let Some(Variant::Dict(_)) = booted.get("base-commit-meta").map(|value| &**value) {
        let meta = booted
            .get("base-commit-meta")
            .context("no base-commit-meta")?;
        let meta: Dictionary = meta.try_clone()?.try_into()?;
        let known = types(&meta).into_iter();
        let known = known.filter(|line| KNOWN_META.iter().any(|key| line.starts_with(key)));
        seen.say_all(known.map(|line| format!("meta {line}")));
    }
    Ok(())
}

/// What is told of a commit on each host; a compose may say more.
const KNOWN_META: [&str; 6] = [
    "ostree.bootable",
    "ostree.container.image-config",
    "ostree.linux",
    "ostree.manifest",
    "ostree.ref-binding",
    "version",
];

async fn cached_keys(seen: &mut Seen) -> Result<()> {
    seen.host.publish(V2).await?;
    seen.client.check(&seen.host).await?;
    let checked = types(&seen.client.dictionary("CachedUpdate").await?);
    seen.say_all(checked.into_iter().map(|line| format!("checked {line}")));
    let options = crate::conformance::client::Options::new();
    seen.client.run(&seen.host, "Upgrade", &(options,)).await?;
    let staged = types(&seen.client.dictionary("CachedUpdate").await?);
    seen.say_all(staged.into_iter().map(|line| format!("staged {line}")));
    Ok(())
}
