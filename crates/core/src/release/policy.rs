//! Which images a host verifies: containers-policy.json(5).

use std::collections::BTreeMap;

use serde::Deserialize;

/// The host's `/etc/containers/policy.json`, as far as images in registries are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct ImagePolicy {
    #[serde(default)]
    default: Vec<Requirement>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Requirement {
    #[serde(rename = "type")]
    kind: String,
}

/// The transport of images in registries.
const DOCKER: &str = "docker";
/// The requirements that ask for a signature.
const SIGNED: [&str; 2] = ["signedBy", "sigstoreSigned"];

impl ImagePolicy {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is none of its kind.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A signature is demanded of every image of `repository`. All requirements of the most specific scope have to be met, so one that asks
    /// for a signature suffices.
    pub fn verifies(&self, repository: &str) -> bool {
        let scopes = self.transports.get(DOCKER);
        let found = scopes.and_then(|scopes| {
            let exact = parents(repository).find_map(|scope| scopes.get(scope));
            let wild = || domains(repository).find_map(|scope| scopes.get(&scope));
            exact.or_else(wild).or_else(|| scopes.get(""))
        });
        let requirements = found.unwrap_or(&self.default);
        let signed = |one: &Requirement| SIGNED.contains(&one.kind.as_str());
        requirements.iter().any(signed)
    }
}

/// `quay.io/a/b`, `quay.io/a`, `quay.io`.
fn parents(repository: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(repository), |scope| {
        scope.rsplit_once('/').map(|(parent, _)| parent)
    })
}

/// `*.a.example.com`, `*.example.com`, `*.com` for `x.a.example.com/b`.
fn domains(repository: &str) -> impl Iterator<Item = String> {
    let host = repository.split('/').next().unwrap_or_default();
    std::iter::successors(Some(host), |name| {
        name.split_once('.').map(|(_, above)| above)
    })
    .skip(1)
    .map(|above| format!("*.{above}"))
}

#[cfg(test)]
mod tests;
