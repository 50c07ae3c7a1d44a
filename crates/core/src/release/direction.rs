//! What the next look of a host is for: from what it follows, what its configuration prefers, and what the cluster assigns to it.

use super::graph::{Aim, GraphRelease};
use super::{Assigned, Form, ImageName, ImagePolicy, Origin, Source};
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};

/// The repository of Fedora CoreOS's images, to which its hosts on branches go on, and the remote of those branches.
pub const FCOS: &str = "quay.io/fedora/fedora-coreos";
const FEDORA: &str = "fedora";
/// How a reference to an image begins whose signature is verified.
pub(super) const SIGNED: &str = "ostree-image-signed:docker://";

/// What the host's configuration says about releases.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Preference {
    /// The one source to use; `None` chooses.
    pub source: Option<Source>,
    /// Repositories that the cluster may assign images of, besides the one that the host follows. A `*` at the end stands for any text.
    pub allow: Vec<String>,
    /// The cluster may assign an older release.
    pub allow_downgrade: bool,
}

/// What is known of a host when a look begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// What it follows.
    pub origin: &'a Origin,
    /// What it runs.
    pub booted: &'a ReleaseId,
    /// What its configuration says.
    pub preference: &'a Preference,
    /// Which images it verifies.
    pub policy: &'a ImagePolicy,
}

/// What a look is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction<'a> {
    /// The head of the branch or tag that the host follows.
    Head,
    /// The next release on the update graph.
    Graph(Aim<'a>),
    /// Exactly this.
    Deploy(Deploy),
    /// Nothing: the host is to stay on what it runs.
    Stay,
    /// Nothing, since what is assigned is not for this host.
    Refused(Reason),
}

/// What rpm-ostree is asked to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Which release; `None` is the head of the new reference.
    pub revision: Option<Revision>,
    /// What the host follows from then on, as rpm-ostree writes it, where that changes.
    pub reference: Option<String>,
    /// It may be older than what runs.
    pub downgrade: bool,
}

/// How a release is named to rpm-ostree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// By what it contains.
    Release(ReleaseId),
    /// By its version, which rpm-ostree looks for in the branch.
    Version(String),
}

impl Origin {
    /// Fedora CoreOS, whose releases come from an update graph.
    pub fn is_fedora_coreos(&self) -> bool {
        match self {
            Self::Branch { remote, branch } => {
                let parts: Vec<_> = branch.split('/').collect();
                remote == FEDORA && matches!(parts[..], ["fedora", _, "coreos", _])
            }
            Self::Image { image, .. } => image.repository == FCOS,
            Self::Other(_) => false,
        }
    }
}

impl Place<'_> {
    /// Where releases come from when `assigned` is on the Node.
    pub fn source(&self, assigned: &Assigned) -> Source {
        match self.preference.source {
            Some(source) => source,
            None if assigned.is_declaration() => Source::Cluster,
            None if self.origin.is_fedora_coreos() => Source::Graph,
            None => Source::Origin,
        }
    }

    /// What the next look is for.
    pub fn direction<'a>(&self, assigned: &'a Assigned) -> Direction<'a> {
        let declared = assigned.is_declaration();
        match self.source(assigned) {
            Source::Cluster if declared => self.declared(assigned),
            Source::Cluster => Direction::Stay,
            // A host whose own configuration names the source takes no declaration.
            Source::Graph if declared => Direction::Graph(Aim::Newest),
            Source::Origin if declared => Direction::Head,
            Source::Graph => Direction::Graph(assigned.aim()),
            Source::Origin => self.named(assigned),
        }
    }

    /// A release of the branch or tag that the host follows.
    fn named<'a>(&self, assigned: &Assigned) -> Direction<'a> {
        match assigned.identity {
            None => Direction::Head,
            Some(identity) => self.exactly(identity, assigned),
        }
    }

    fn declared<'a>(&self, assigned: &'a Assigned) -> Direction<'a> {
        let digest = || assigned.image.as_ref()?.digest();
        let identity = assigned.identity.or_else(digest);
        match (identity, &assigned.image, &assigned.version) {
            (Some(identity), _, _) => self.exactly(identity, assigned),
            (None, Some(image), _) => self.head_of(image, assigned),
            (None, None, Some(version)) => self.version(version, assigned),
            (None, None, None) => Direction::Stay,
        }
    }

    fn version<'a>(&self, version: &'a str, assigned: &Assigned) -> Direction<'a> {
        match self.origin {
            origin if origin.is_fedora_coreos() => Direction::Graph(Aim::Version(version)),
            Origin::Branch { .. } => {
                let revision = Some(Revision::Version(version.to_owned()));
                self.deploy(revision, None, assigned)
            }
            Origin::Image { .. } | Origin::Other(_) => refused(&format!(
                "version {version} is assigned, and only branches and update graphs know versions, while the host follows {}",
                self.origin
            )),
        }
    }

    fn head_of<'a>(&self, image: &ImageName, assigned: &Assigned) -> Direction<'a> {
        match self.reference(image) {
            Err(reason) => Direction::Refused(reason),
            Ok(None) => Direction::Head,
            Ok(reference) => self.deploy(None, reference, assigned),
        }
    }

    fn exactly<'a>(&self, identity: ReleaseId, assigned: &Assigned) -> Direction<'a> {
        if identity == *self.booted {
            return Direction::Stay;
        }
        let reference = match (identity, self.origin) {
            (ReleaseId::Commit(_), Origin::Branch { .. }) => Ok(None),
            (ReleaseId::Image(_), Origin::Image { .. } | Origin::Branch { .. }) => {
                self.reference_for(assigned.image.as_ref())
            }
            (ReleaseId::Commit(_), Origin::Image { .. } | Origin::Other(_))
            | (ReleaseId::Image(_), Origin::Other(_)) => Err(reason(&format!(
                "{identity} is assigned, and the host follows {}",
                self.origin
            ))),
        };
        match reference {
            Err(reason) => Direction::Refused(reason),
            Ok(reference) => {
                let revision = Some(Revision::Release(identity));
                self.deploy(revision, reference, assigned)
            }
        }
    }

    fn deploy<'a>(
        &self,
        revision: Option<Revision>,
        reference: Option<String>,
        assigned: &Assigned,
    ) -> Direction<'a> {
        Direction::Deploy(Deploy {
            revision,
            reference,
            // Only where both the cluster and the host let it.
            downgrade: assigned.downgrade && self.preference.allow_downgrade,
        })
    }

    /// What the host has to follow to get a digest of `image`, where that is another reference than it follows now.
    fn reference_for(&self, image: Option<&ImageName>) -> Result<Option<String>, Reason> {
        match (image, self.origin) {
            (Some(image), Origin::Image { image: own, .. }) => {
                // A digest is deployed under the tag that is followed; only what names another tag or repository changes that.
                let same = image.repository == own.repository && own.digest().is_none();
                match &image.tag {
                    None if same => Ok(None),
                    _ => self.reference(image),
                }
            }
            (Some(image), _) => self.reference(image),
            (None, Origin::Image { .. }) => Ok(None),
            (None, _) => Err(reason(&format!(
                "a digest is assigned without its image, and the host follows {}",
                self.origin
            ))),
        }
    }

    /// The reference to `image` in the form of what the host follows, which verifies no less; `None` where that is the same.
    fn reference(&self, image: &ImageName) -> Result<Option<String>, Reason> {
        self.allowed(image)?;
        let image = &image.followed();
        let prefix = match self.origin {
            Origin::Image { image: own, .. } if own == image => return Ok(None),
            Origin::Image { prefix, .. } => prefix.clone(),
            // Branches are signed, so only a signed image is no worse.
            Origin::Branch { .. } if self.policy.verifies(&image.repository) => SIGNED.to_owned(),
            Origin::Branch { .. } | Origin::Other(_) => {
                return Err(reason(&format!(
                    "{image} is assigned, the host follows {}, and its /etc/containers/policy.json does not verify that image",
                    self.origin
                )));
            }
        };
        Ok(Some(format!("{prefix}{image}")))
    }

    fn allowed(&self, image: &ImageName) -> Result<(), Reason> {
        let own = match self.origin {
            Origin::Image { image: own, .. } => own.repository == image.repository,
            Origin::Branch { .. } | Origin::Other(_) => false,
        };
        let patterns = &self.preference.allow;
        if own
            || patterns
                .iter()
                .any(|pattern| fits(pattern, &image.repository))
        {
            return Ok(());
        }
        Err(reason(&format!(
            "{image} is assigned, the host follows {}, and `release.allow` does not name {}",
            self.origin, image.repository
        )))
    }

    /// How the host gets to `next` of the update graph of `stream`.
    ///
    /// # Errors
    /// Where the graph names an image that the host does not accept.
    pub fn hop(&self, next: &GraphRelease, stream: &str) -> Result<Deploy, Reason> {
        let Some(identity) = next.identity else {
            let text = format!(
                "the update graph does not say what {} contains",
                next.version
            );
            return Err(Reason::new(Code::GraphInvalid, text));
        };
        let reference = match (self.origin, &next.repository) {
            (Origin::Branch { .. }, None) => None,
            (Origin::Branch { remote, .. }, Some(repository)) => {
                let image = ImageName::tagged(repository, stream);
                if repository != FCOS {
                    self.allowed(&image)?;
                }
                // Until the release that brings the policy, the commit inside the image is signed as the branch was.
                let prefix = match self.policy.verifies(repository) {
                    true => SIGNED.to_owned(),
                    false => format!("ostree-remote-image:{remote}:docker://"),
                };
                Some(format!("{prefix}{image}"))
            }
            (
                Origin::Image {
                    form,
                    prefix,
                    image,
                },
                Some(repository),
            ) => {
                let next = ImageName::tagged(repository, stream);
                self.allowed(&next)?;
                let signed = matches!(form, Form::Remote(_)) && self.policy.verifies(repository);
                let prefix = if signed { SIGNED } else { prefix };
                (signed || *image != next).then(|| format!("{prefix}{next}"))
            }
            (Origin::Image { .. }, None) | (Origin::Other(_), _) => {
                let text = format!(
                    "the update graph has {identity} as {}, and the host follows {}",
                    next.version, self.origin
                );
                return Err(Reason::new(Code::GraphInvalid, text));
            }
        };
        Ok(Deploy {
            revision: Some(Revision::Release(identity)),
            reference,
            downgrade: false,
        })
    }
}

impl Assigned {
    /// Somebody declared it, and it says where to go, not only what to avoid.
    fn is_declaration(&self) -> bool {
        let names = self.identity.is_some() || self.version.is_some() || self.image.is_some();
        self.declared && names
    }

    fn aim(&self) -> Aim<'_> {
        match (&self.identity, &self.version) {
            (Some(identity), _) => Aim::Release(identity),
            (None, Some(version)) => Aim::Version(version),
            (None, None) => Aim::Newest,
        }
    }
}

fn reason(text: &str) -> Reason {
    Reason::new(Code::ReleaseRefused, text)
}

fn refused<'a>(text: &str) -> Direction<'a> {
    Direction::Refused(reason(text))
}

/// Whether `pattern` names `repository`.
fn fits(pattern: &str, repository: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => repository.starts_with(prefix),
        None => repository == pattern,
    }
}

#[cfg(test)]
mod tests;
