//! rpm-ostree's dictionaries, as far as decisions need them.
//!
//! Keys come and go with its versions, so only the few that are needed are looked for, and all others are passed over. The key
//! `finalization-locked` is not among them: it is absent for locked deployments too (seen with rpm-ostree 2026.2).

use std::collections::HashMap;

use cuo_core::host::{Deployment, Host};
use cuo_core::ids::ReleaseId;
use cuo_core::release::Origin;
use zbus::OwnedVariant;

use super::Error;

/// Keys of the lists of what is requested on a host besides the base.
const REQUESTS: [&str; 5] = [
    "requested-packages",
    "requested-local-packages",
    "requested-local-fileoverride-packages",
    "requested-base-removals",
    "requested-base-local-replacements",
];

/// A dictionary `a{sv}`.
pub(super) type Dict = HashMap<String, OwnedVariant>;

/// What was read in one go.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Object path of the booted stateroot.
    pub(super) os_path: String,
    /// Properties of that object.
    pub(super) os: Dict,
    /// Properties of the sysroot.
    pub(super) sysroot: Dict,
}

impl Snapshot {
    /// The deployments.
    pub(super) fn host(&self) -> Result<Host, Error> {
        let booted = self.booted()?;
        let default = deployment(&self.deployment_property("DefaultDeployment"))?;
        let pending = default.filter(|default| default.id != booted.id);
        let others = self.others(&booted, pending.as_ref());
        Ok(Host {
            booted,
            pending,
            others,
        })
    }

    /// A transaction is active, or is over and has not been left by all of its clients yet.
    pub(super) fn busy(&self) -> bool {
        text(&self.sysroot, "ActiveTransactionPath").is_some_and(|path| !path.is_empty())
    }

    /// `BootedDeployment`; its key `booted` is not looked at, old versions leave it out.
    fn booted(&self) -> Result<Deployment, Error> {
        deployment(&self.deployment_property("BootedDeployment"))?.ok_or(Error::NotBooted)
    }

    /// The deployments of the same stateroot that are neither booted nor pending. Nothing depends on one of them being complete, so
    /// one that can't be read is left out.
    fn others(&self, booted: &Deployment, pending: Option<&Deployment>) -> Vec<Deployment> {
        let osname = text(&self.deployment_property("BootedDeployment"), "osname");
        let all: Vec<Dict> = value(&self.sysroot, "Deployments").unwrap_or_default();
        all.iter()
            .filter(|dict| text(dict, "osname") == osname)
            .filter_map(|dict| deployment(dict).ok().flatten())
            .filter(|other| other.id != booted.id && pending.is_none_or(|p| p.id != other.id))
            .collect()
    }

    /// Where the booted deployment came from.
    pub(super) fn origin(&self) -> Origin {
        let booted = self.deployment_property("BootedDeployment");
        let image = text(&booted, "container-image-reference");
        let reference = image.or_else(|| text(&booted, "origin"));
        Origin::parse(&reference.unwrap_or_default())
    }

    /// The stream that the booted deployment says it is of, as Fedora CoreOS's releases do: a label of the image, else an annotation of its
    /// manifest; the commit's own key where the host follows a branch.
    pub(super) fn stream(&self) -> Option<String> {
        let booted = self.deployment_property("BootedDeployment");
        let meta: Dict = value(&booted, "base-commit-meta")?;
        let json = |key: &str| -> Option<serde_json::Value> {
            serde_json::from_str(&text(&meta, key)?).ok()
        };
        let at = |json: Option<serde_json::Value>, place: &str| {
            Some(json?.pointer(place)?.as_str()?.to_owned())
        };
        at(
            json("ostree.container.image-config"),
            "/config/Labels/com.coreos.stream",
        )
        .or_else(|| at(json("ostree.manifest"), "/annotations/fedora-coreos.stream"))
        .or_else(|| text(&meta, "fedora-coreos.stream"))
        .filter(|stream| !stream.is_empty())
    }

    /// The image that is followed by its digest, as updates go on from the default deployment.
    pub(super) fn digest(&self) -> Option<String> {
        let default = self.deployment_property("DefaultDeployment");
        let image = text(&default, "container-image-reference");
        image.filter(|reference| reference.contains('@'))
    }

    /// The host follows an image and no branch.
    pub(super) fn is_image(&self) -> bool {
        let booted = self.deployment_property("BootedDeployment");
        booted.contains_key("container-image-reference")
    }

    /// The commit below what is layered, of the deployment `id` if that is the default.
    pub(super) fn base(&self, id: &str) -> Option<String> {
        let default = self.deployment_property("DefaultDeployment");
        let base = text(&default, "base-checksum").or_else(|| text(&default, "checksum"));
        base.filter(|_| text(&default, "id").as_deref() == Some(id))
    }

    /// What people requested in addition to, or instead of, what comes with the default deployment.
    pub(super) fn requested(&self) -> Vec<String> {
        let default = self.deployment_property("DefaultDeployment");
        let lists = REQUESTS.iter().filter_map(|key| value(&default, key));
        let mut all: Vec<String> = lists.flat_map(|list: Vec<String>| list).collect();
        all.sort_unstable();
        all
    }

    /// The version of an update that rpm-ostree knows of, but that is not what a reboot would boot.
    ///
    /// For branches that is a local ref ahead of the default deployment. For images it is the last check's result, which can be older
    /// than what is pending, so that it counts only where nothing is; even then it is a hint and nothing more.
    pub(super) fn unstaged(&self) -> Option<String> {
        let default = self.deployment_property("DefaultDeployment");
        if let Some(commit) = text(&default, "pending-base-checksum") {
            return text(&default, "pending-base-version").or(Some(commit));
        }
        if text(&default, "id") != text(&self.deployment_property("BootedDeployment"), "id") {
            return None;
        }
        let cached: Dict = value(&self.os, "CachedUpdate").unwrap_or_default();
        let checked = cached.contains_key("manifest-diff") && !cached.contains_key("deployment");
        let version = text(&cached, "version").filter(|_| checked);
        version.filter(|version| text(&default, "version").as_ref() != Some(version))
    }

    fn deployment_property(&self, name: &str) -> Dict {
        value(&self.os, name).unwrap_or_default()
    }
}

/// The value of `key`, if it is there and of that type.
pub(super) fn value<T: TryFrom<OwnedVariant>>(dict: &Dict, key: &str) -> Option<T> {
    let value = dict.get(key)?.try_clone().ok()?;
    T::try_from(value).ok()
}

fn text(dict: &Dict, key: &str) -> Option<String> {
    value(dict, key)
}

/// A deployment's dictionary; the empty one stands for none.
fn deployment(dict: &Dict) -> Result<Option<Deployment>, Error> {
    if dict.is_empty() {
        return Ok(None);
    }
    let bad = |why: String| {
        let id = text(dict, "id").unwrap_or_default();
        let what = format!("the deployment {id:?}");
        Error::Protocol { what, why }
    };
    let required = |key: &str| text(dict, key).ok_or_else(|| bad(format!("no text {key:?}")));
    let checksum = required("checksum")?;
    let named = text(dict, "container-image-reference-digest")
        .or_else(|| text(dict, "base-checksum"))
        .unwrap_or_else(|| checksum.clone());
    let identity: ReleaseId = named.parse().map_err(|error| bad(format!("{error}")))?;
    Ok(Some(Deployment {
        id: required("id")?,
        identity,
        version: text(dict, "version").unwrap_or_else(|| identity.short()),
        staged: value(dict, "staged").unwrap_or(false),
        // Of what is layered, the other one is when it was made on this host.
        published: value(dict, "base-timestamp")
            .or_else(|| value(dict, "timestamp"))
            .unwrap_or(0),
        checksum,
    }))
}

#[cfg(test)]
mod tests;
