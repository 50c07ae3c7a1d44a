//! Kubernetes' version skew policy: no kubelet is newer than the API server.

use std::fmt;

/// A minor version of Kubernetes, such as 1.34.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minor {
    major: u32,
    minor: u32,
}

impl Minor {
    /// Reads `v1.34.2+k3s1` of an API server, or `1.34.2-1.fc43` of a package, with or without an epoch.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.rsplit_once(':').map_or(text, |(_, version)| version);
        let mut parts = text.trim_start_matches('v').split('.');
        let digits = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        };
        Some(Self {
            major: digits(parts.next()?)?,
            minor: digits(parts.next()?)?,
        })
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The packages that bring a kubelet: Kubernetes' own, and Fedora's up to 40. Since 41 Fedora's have the minor version in their names.
const PACKAGES: [&str; 2] = ["kubelet", "kubernetes-node"];
const FEDORAS: &str = "kubernetes1.";

/// The kubelet among `packages`, by name and version.
pub fn kubelet<'a>(packages: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Minor> {
    let brings = |name: &str| {
        let minor = name.strip_prefix(FEDORAS);
        let fedora = minor.is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()));
        fedora || PACKAGES.contains(&name)
    };
    let mut found = packages.into_iter().filter(|(name, _)| brings(name));
    found.find_map(|(_, version)| Minor::parse(version))
}

/// What an update does to the kubelet, as far as packages tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Skew {
    /// The `id` of the deployment that is staged.
    pub update: String,
    /// The kubelet that it brings.
    pub kubelet: Minor,
    /// The API server.
    pub server: Minor,
}

impl Skew {
    /// The kubelet would be newer than the API server.
    pub fn is_too_new(&self) -> bool {
        self.kubelet > self.server
    }
}

#[cfg(test)]
mod tests;
