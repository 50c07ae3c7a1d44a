//! What a deployment comes from, as rpm-ostree writes it.

use serde::{Deserialize, Serialize};

/// Where the images of Fedora CoreOS are.
pub const FCOS_REPOSITORY: &str = "quay.io/fedora/fedora-coreos";

/// Where a deployment comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Plain ostree: `remote:branch`.
    Ostree {
        /// For example `fedora:fedora/stable/x86_64/iot`.
        refspec: String,
    },
    /// Container image.
    Container {
        /// For example `ostree-unverified-registry:127.0.0.1:8972/fcos:stable`.
        reference: String,
    },
}

/// Who vouches for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verifier<'a> {
    /// The host's policy, which has to ask for signatures.
    Policy,
    /// The keys of this remote, with which the commit inside is signed.
    Remote(&'a str),
    /// Nobody.
    Nobody,
}

impl Origin {
    /// The text of the `origin` or `container-image-reference` key.
    pub fn text(&self) -> &str {
        match self {
            Self::Ostree { refspec } => refspec,
            Self::Container { reference } => reference,
        }
    }

    /// Parses what `rpm-ostree rebase` takes: a container reference starts with `ostree-`.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("ostree-") {
            Self::Container {
                reference: text.to_owned(),
            }
        } else {
            Self::Ostree {
                refspec: text.to_owned(),
            }
        }
    }

    /// Whether it is an image.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Container { .. })
    }

    /// The digest by which an image is followed in place of a tag: there is never anything newer.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Ostree { .. } => None,
            Self::Container { reference } => reference.split_once('@').map(|(_, digest)| digest),
        }
    }

    /// The same image by digest. The tag is dropped.
    pub(super) fn at(&self, digest: &str) -> Self {
        let text = self.text();
        let name = self.name();
        let start = text.strip_suffix(name).unwrap_or_default();
        Self::Container {
            reference: format!("{start}{}@{digest}", self.repository()),
        }
    }

    /// The branch without its remote, or the image with registry and tag but without what begins a reference.
    pub fn name(&self) -> &str {
        let text = self.text();
        if !self.is_image() {
            return text.split_once(':').map_or(text, |(_, branch)| branch);
        }
        let (_, rest) = text.split_once(':').unwrap_or(("", text));
        let rest = match self.verifier() {
            Verifier::Remote(remote) => rest
                .strip_prefix(remote)
                .and_then(|rest| rest.strip_prefix(':'))
                .unwrap_or(rest),
            Verifier::Policy | Verifier::Nobody => rest,
        };
        let registry = ["docker://", "registry:"];
        let plain = registry.iter().find_map(|start| rest.strip_prefix(start));
        plain.unwrap_or(rest)
    }

    /// Who vouches for it. Of a branch this is the remote's configuration, which is not part of the origin.
    pub(super) fn verifier(&self) -> Verifier<'_> {
        let (scheme, rest) = self.text().split_once(':').unwrap_or_default();
        match scheme {
            "ostree-image-signed" => Verifier::Policy,
            "ostree-remote-image" | "ostree-remote-registry" => {
                Verifier::Remote(rest.split_once(':').map_or(rest, |(remote, _)| remote))
            }
            _ => Verifier::Nobody,
        }
    }

    /// As messages show it, which is not always as it was written. From the source of ostree-ext 0.15.3, at the revision that rpm-ostree
    /// 2026.2 is built with.
    pub(super) fn shown(&self) -> String {
        let name = self.name();
        match self.verifier() {
            _ if !self.is_image() => self.text().to_owned(),
            Verifier::Policy => format!("ostree-image-signed:docker://{name}"),
            Verifier::Remote(remote) => format!("ostree-remote-image:{remote}:docker://{name}"),
            Verifier::Nobody => format!("ostree-unverified-registry:{name}"),
        }
    }

    /// The image without its tag or digest; a colon before the last slash is a port. The name of a branch is all of it.
    pub fn repository(&self) -> &str {
        let name = self.name();
        if !self.is_image() {
            return name;
        }
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let end = match (name.rfind(':'), name.rfind('/')) {
            (Some(colon), Some(slash)) if colon > slash => colon,
            _ => name.len(),
        };
        name.get(..end).unwrap_or(name)
    }

    /// The tag of an image.
    pub fn tag(&self) -> Option<&str> {
        let tagged = Some(self.name()).filter(|_| self.is_image());
        let name = tagged?.split('@').next()?;
        name.strip_prefix(self.repository())?.strip_prefix(':')
    }

    /// Whether Fedora CoreOS is published there.
    pub fn is_fcos(&self) -> bool {
        self.stream().is_some()
    }

    /// The stream of Fedora CoreOS, where it is one: the end of the branch, or the tag. What is followed by digest is of `stable`.
    pub fn stream(&self) -> Option<&str> {
        if self.is_image() {
            let fcos = self.repository() == FCOS_REPOSITORY;
            return fcos.then(|| self.tag().unwrap_or("stable"));
        }
        let (_, stream) = self.name().split_once("/coreos/")?;
        Some(stream)
    }
}

#[cfg(test)]
mod tests;
