//! What the host's policy asks of container images: containers-policy.json(5), as skopeo 1.22 and ostree-ext 0.15.3 read it.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::files::NodeRoot;
use super::origin::{Origin, Verifier};
use super::release::{Release, Remote};
use super::state::Deployed;
use super::texts;

/// Where programs look for it.
const POLICY: &str = "etc/containers/policy.json";
/// Where rpm-ostreed is given another one at that place: on Fedora CoreOS since 42.20250914.1.0 (coreos/fedora-coreos-config 3737).
/// Administrators mask it by a file of the same name in `etc`.
const DROP_IN: &str = "systemd/system/rpm-ostreed.service.d/coreos-containers-policy.conf";

/// What releases of Fedora CoreOS bring for that: their own repository is verified.
const FCOS_FILES: [(&str, &str); 2] = [
    (
        "usr/lib/coreos/coreos-containers-policy.json",
        include_str!("../../../assets/host/coreos-policy.json"),
    ),
    (
        "usr/lib/systemd/system/rpm-ostreed.service.d/coreos-containers-policy.conf",
        include_str!("../../../assets/host/coreos-policy.conf"),
    ),
];
/// The first day of such releases, 2025-09-14, in seconds since 1970.
const FCOS_SINCE: u64 = 1_757_808_000;

/// Makes the system's own policy that of the release that boots. Who follows a signed image has it from the beginning.
///
/// # Errors
/// When a file can't be written or removed; it is named.
pub(super) fn boot(root: &NodeRoot, booted: &Deployed) -> anyhow::Result<()> {
    let signed = booted.origin.verifier() == Verifier::Policy;
    let has = booted.origin.is_fcos() && (signed || booted.release.timestamp >= FCOS_SINCE);
    for (path, text) in FCOS_FILES {
        match has {
            true => root.write(path, text)?,
            false => root.remove(path)?,
        }
    }
    Ok(())
}

/// A policy.
#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    #[serde(default)]
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Debug, Deserialize)]
struct Requirement {
    #[serde(rename = "type")]
    kind: String,
}

/// The policy as rpm-ostreed sees it; the error is the text of `Finished`.
pub(super) fn load(root: &NodeRoot) -> Result<Policy, String> {
    let given = ["etc", "usr/lib"].iter().find_map(|place| {
        // Of what is masked, nothing is left to read.
        fs::read_to_string(root.join(place).join(DROP_IN)).ok()
    });
    let bound = given.and_then(|unit| {
        let bind = unit.lines().find_map(|line| {
            let bind = line.strip_prefix("BindReadOnlyPaths=")?;
            bind.strip_suffix(&format!(":/{POLICY}"))
        });
        bind.map(|from| from.trim_start_matches('/').to_owned())
    });
    let path = root.join(bound.as_deref().unwrap_or(POLICY));
    let Ok(text) = fs::read_to_string(&path) else {
        return Err(texts::no_policy());
    };
    serde_json::from_str(&text).map_err(|error| format!("lab: {}: {error}", path.display()))
}

impl Policy {
    /// Whether it lets in what it says nothing about. What claims to be signed is then not fetched at all, whatever else it says: so
    /// ostree-ext decides without skopeo.
    fn accepts_anything(&self) -> bool {
        matches!(&*self.default, [only] if only.kind == "insecureAcceptAnything")
    }

    /// What it asks of an image: the entry of its whole name, else of its repository, of what that is in, of the domains of its registry,
    /// else of all registries, else the default.
    fn of(&self, image: &Origin) -> &[Requirement] {
        let Some(scopes) = self.transports.get("docker") else {
            return &self.default;
        };
        let repository = image.repository();
        let name = match image.digest().or(image.tag()) {
            Some(_) => image.name().to_owned(),
            None => format!("{repository}:latest"),
        };
        let ends = repository.match_indices('/').map(|(end, _)| end).rev();
        let parents = ends.filter_map(|end| repository.get(..end));
        let registry = repository.split(['/', ':']).next().unwrap_or_default();
        let dots = registry.match_indices('.');
        let domains = dots.map(|(dot, _)| format!("*{}", registry.get(dot..).unwrap_or_default()));
        let places = [name.as_str(), repository].into_iter().chain(parents);
        let places = places.map(str::to_owned).chain(domains);
        let places = places.chain([String::new()]);
        let found = places.into_iter().find_map(|place| scopes.get(&place));
        found.unwrap_or(&self.default)
    }
}

/// Refuses what is to be verified by a policy that verifies nothing by itself, before anything is fetched.
pub(super) fn check_form(policy: &Policy, image: &Origin) -> Result<(), String> {
    if image.verifier() == Verifier::Policy && policy.accepts_anything() {
        return Err(texts::refusing_usage());
    }
    Ok(())
}

/// Refuses what the policy does not let in, once the registry told what it is. The policy counts for every image, however it is followed.
pub(super) fn check_image(
    policy: &Policy,
    image: &Origin,
    release: &Release,
    remote: &Remote,
) -> Result<(), String> {
    for requirement in policy.of(image) {
        match requirement.kind.as_str() {
            "reject" => return Err(texts::rejected(image)),
            "signedBy" | "sigstoreSigned" if remote.unsigned.contains(&release.version) => {
                return Err(texts::no_signature());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
