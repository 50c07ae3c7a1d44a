//! What a host follows, as rpm-ostree writes it.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ReleaseId, serde_as_text};

/// A container image in a registry, `HOST[:PORT]/PATH`, with a tag or a digest, or both, or neither.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// `quay.io/fedora/fedora-coreos`.
    pub repository: String,
    /// The tag, which moves.
    pub tag: Option<String>,
    /// The manifest digest, which never does, and is all that counts beside a tag.
    digest: Option<[u8; 32]>,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, found {found:?}: {why}")]
pub struct OriginError {
    found: String,
    why: &'static str,
}

impl ImageName {
    /// What `tag` of `repository` names.
    pub fn tagged(repository: &str, tag: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            tag: Some(tag.to_owned()),
            digest: None,
        }
    }

    /// The release, if it is named by its digest.
    pub fn digest(&self) -> Option<ReleaseId> {
        self.digest.map(ReleaseId::Image)
    }

    /// What is to be followed to get it: its tag, where it has one.
    pub fn followed(&self) -> Self {
        Self {
            digest: self.digest.filter(|_| self.tag.is_none()),
            ..self.clone()
        }
    }
}

/// Most characters of an image name: 255 for the repository and 128 for the tag, as registries have them.
const LONGEST: usize = 255 + 1 + 128;

impl FromStr for ImageName {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why| OriginError {
            found: text.chars().take(LONGEST).collect(),
            why,
        };
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => match digest.parse() {
                Ok(ReleaseId::Image(digest)) => (rest, Some(digest)),
                Ok(ReleaseId::Commit(_)) | Err(_) => return Err(wrong("it has no sha256 digest")),
            },
            None => (text, None),
        };
        // A colon before the last slash is that of a port.
        let colon = rest
            .rfind(':')
            .filter(|colon| rest.rfind('/') < Some(*colon));
        let (repository, tag) = match colon {
            Some(colon) => (&rest[..colon], Some(&rest[colon + 1..])),
            None => (rest, None),
        };
        let Some((host, path)) = repository.split_once('/') else {
            return Err(wrong("it names no registry"));
        };
        let of = |allowed: &str, part: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || allowed.contains(c);
            !part.is_empty() && part.chars().all(fits)
        };
        if !of(".-:", host) {
            return Err(wrong("the registry is no host name"));
        }
        let lower = |part: &str| !part.chars().any(|c| c.is_ascii_uppercase());
        if !path.split('/').all(|part| of("._-", part) && lower(part)) {
            return Err(wrong("the path is none of a repository"));
        }
        if tag.is_some_and(|tag| !of("._-", tag) || tag.len() > 128) {
            return Err(wrong("the tag is none"));
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest() {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

serde_as_text!(ImageName);

/// How a reference to an image begins, up to its name: which signatures are asked for, and how it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Form {
    /// `ostree-image-signed:`: `/etc/containers/policy.json` verifies it.
    Signed,
    /// `ostree-remote-image:REMOTE:` or `ostree-remote-registry:REMOTE:`: the ostree commit inside is signed as that remote demands.
    Remote(String),
    /// `ostree-unverified-image:` or `ostree-unverified-registry:`: nothing is verified.
    Unverified,
}

/// What a host follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An ostree branch, `REMOTE:BRANCH`.
    Branch {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// A container image in a registry.
    Image {
        /// Who vouches for it.
        form: Form,
        /// The reference up to the image's name, as it was written.
        prefix: String,
        /// The image.
        image: ImageName,
    },
    /// Anything else, such as a bare commit or an image that is in no registry, as it was written.
    Other(String),
}

/// The transports of images in registries, as containers-transports(5) and ostree's own shorthand write them.
const REGISTRY: [&str; 2] = ["docker://", "registry:"];

impl Origin {
    /// Reads a reference as rpm-ostree writes it.
    pub fn parse(reference: &str) -> Self {
        Self::image(reference)
            .or_else(|| Self::branch(reference))
            .unwrap_or_else(|| Self::Other(reference.to_owned()))
    }

    fn branch(reference: &str) -> Option<Self> {
        let (remote, branch) = reference.split_once(':')?;
        let plain = !remote.is_empty() && !branch.is_empty();
        (plain && !reference.starts_with("ostree-") && !branch.contains(':')).then(|| {
            Self::Branch {
                remote: remote.to_owned(),
                branch: branch.to_owned(),
            }
        })
    }

    fn image(reference: &str) -> Option<Self> {
        let (scheme, rest) = reference.split_once(':')?;
        let transport = |rest: &str| REGISTRY.iter().find(|one| rest.starts_with(**one)).copied();
        let remote = |rest: &str| -> Option<(String, usize)> {
            let (remote, _) = rest.split_once(':')?;
            Some((remote.to_owned(), remote.len() + 1))
        };
        let (form, skip) = match scheme {
            "ostree-image-signed" => (Form::Signed, transport(rest)?.len()),
            "ostree-unverified-image" => (Form::Unverified, transport(rest)?.len()),
            "ostree-unverified-registry" => (Form::Unverified, 0),
            "ostree-remote-image" => {
                let (remote, skip) = remote(rest)?;
                let transport = transport(&rest[skip..])?;
                (Form::Remote(remote), skip + transport.len())
            }
            "ostree-remote-registry" => {
                let (remote, skip) = remote(rest)?;
                (Form::Remote(remote), skip)
            }
            _ => return None,
        };
        let start = scheme.len() + 1 + skip;
        Some(Self::Image {
            form,
            prefix: reference[..start].to_owned(),
            image: reference[start..].parse().ok()?,
        })
    }

    /// The update stream: last part of the branch, or tag of the image. `None` for a bare commit and for an image by digest only.
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Branch { branch, .. } => {
                branch.rsplit('/').next().filter(|last| !last.is_empty())
            }
            Self::Image { image, .. } => image.tag.as_deref(),
            Self::Other(text) => tag_in(text),
        }
    }
}

/// The tag of an image that is in no registry, such as `ostree-unverified-image:oci:/srv/os:stable`.
fn tag_in(text: &str) -> Option<&str> {
    let (_, name) = text.strip_prefix("ostree-")?.split_once(':')?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let (_, last) = name.rsplit_once(':')?;
    (!last.is_empty() && !last.contains('/')).then_some(last)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch { remote, branch } => write!(f, "{remote}:{branch}"),
            Self::Image { prefix, image, .. } => write!(f, "{prefix}{image}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
