//! One look for updates: where the next release comes from, and what is staged of it.

mod policy;
mod route;

use std::collections::BTreeSet;
use std::path::PathBuf;

use cuo_core::host::Host;
use cuo_core::ids::ReleaseId;
use cuo_core::reason::{Code, Reason};
use cuo_core::release::{
    Assigned, Deploy, Direction, Following, ImagePolicy, NamedRelease, Origin, Place, Preference,
    Revision, Source,
};

use crate::rpmostree::{Checked, Client, Staged};
use crate::{config, graph, rpmostree};

/// What a look begins with.
#[derive(Debug)]
pub struct Look {
    /// Where the host's files are.
    pub root: PathBuf,
    /// rpm-ostree.
    pub client: Client,
    /// The deployments that the look was decided on.
    pub host: Host,
    /// What the host follows.
    pub follows: Follows,
    /// What the cluster assigns to it.
    pub assigned: Assigned,
    /// What its configuration says of releases.
    pub preference: Preference,
    /// What its configuration says of the update graph.
    pub graph: config::Graph,
    /// Releases that failed here.
    pub failed: BTreeSet<ReleaseId>,
    /// Download and stage what is found.
    pub stage: bool,
}

/// What a host follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follows {
    /// The branch or image.
    pub origin: Origin,
    /// The stream that what runs says it is of.
    pub stream: Option<String>,
}

/// What a look came to.
#[derive(Debug)]
pub struct Looked {
    /// What was found, and staged.
    pub ended: Result<Ended, Error>,
    /// Where releases come from, for the Node.
    pub following: Following,
}

/// How a look ended that did not fail.
#[derive(Debug)]
pub enum Ended {
    /// rpm-ostree was made to stage something.
    Staged(Box<Staged>),
    /// rpm-ostree was made to look.
    Checked(Checked),
    /// There was nothing to be asked of rpm-ostree, for this reason if something is wrong.
    Nothing(Option<Reason>),
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// rpm-ostree did not do it.
    #[error(transparent)]
    RpmOstree(#[from] rpmostree::Error),
    /// There is no update graph.
    #[error(transparent)]
    Graph(#[from] graph::Error),
}

impl Error {
    /// What it counts as.
    pub fn code(&self) -> Code {
        match self {
            Self::RpmOstree(error) => error.code(),
            Self::Graph(error) => error.code(),
        }
    }
}

impl Look {
    /// Looks, and stages what is found where that is asked for. `progress` gets short lines for people.
    pub async fn run(self, mut progress: impl FnMut(&str) + Send) -> Looked {
        let policy = policy::read(&self.root);
        let place = self.place(&policy);
        let mut following = self.following(&place);
        let ended = match place.direction(&self.assigned) {
            Direction::Head => self.head(&mut progress).await,
            Direction::Stay => Ok(Ended::Nothing(None)),
            Direction::Refused(reason) => Ok(Ended::Nothing(Some(reason))),
            Direction::Deploy(deploy) => {
                following.goal = self.named(&deploy);
                self.deploy(&deploy, &mut progress).await
            }
            Direction::Graph(aim) => {
                progress("fetching the update graph");
                match self.way(&place, aim).await {
                    Err(error) => Err(error.into()),
                    Ok(way) => {
                        (following.goal, following.behind) = (way.goal, Some(way.behind));
                        match way.next {
                            Ok(deploy) => self.deploy(&deploy, &mut progress).await,
                            Err(reason) => Ok(Ended::Nothing(reason)),
                        }
                    }
                }
            }
        };
        if following.source == Source::Cluster && following.goal.is_none() {
            following.goal = self.resolved(ended.as_ref().ok());
        }
        Looked { ended, following }
    }

    /// Where releases come from, and what is wrong with that, without anything being asked of rpm-ostree.
    ///
    /// # Errors
    /// When the update graph can't be fetched.
    pub async fn foresee(&self) -> Result<(Following, Option<Reason>), graph::Error> {
        let policy = policy::read(&self.root);
        let place = self.place(&policy);
        let mut following = self.following(&place);
        let reason = match place.direction(&self.assigned) {
            Direction::Head | Direction::Stay | Direction::Deploy(_) => None,
            Direction::Refused(reason) => Some(reason),
            Direction::Graph(aim) => {
                let way = self.way(&place, aim).await?;
                (following.goal, following.behind) = (way.goal, Some(way.behind));
                way.next.err().flatten()
            }
        };
        Ok((following, reason))
    }

    /// Where releases come from, and nothing yet of where that leads.
    fn following(&self, place: &Place<'_>) -> Following {
        Following {
            source: place.source(&self.assigned),
            reference: self.follows.origin.to_string(),
            goal: None,
            behind: None,
        }
    }

    fn place<'a>(&'a self, policy: &'a ImagePolicy) -> Place<'a> {
        Place {
            origin: &self.follows.origin,
            booted: &self.host.booted.identity,
            preference: &self.preference,
            policy,
        }
    }

    /// Where the cluster names a release, that is the goal.
    fn named(&self, deploy: &Deploy) -> Option<NamedRelease> {
        let Some(Revision::Release(identity)) = deploy.revision else {
            return None;
        };
        Some(NamedRelease {
            identity,
            version: self.assigned.version.clone(),
        })
    }

    /// What a tag or a version that the cluster declares turned out to name: what was staged for it, or is there already.
    fn resolved(&self, ended: Option<&Ended>) -> Option<NamedRelease> {
        let Some(Ended::Staged(staged)) = ended else {
            return None;
        };
        let found = match &**staged {
            Staged::New { deployment, .. } => deployment,
            Staged::NoUpdate { .. } => self.host.pending.as_ref().unwrap_or(&self.host.booted),
            Staged::Pinned(_) | Staged::Foreign { .. } => return None,
        };
        Some(NamedRelease {
            identity: found.identity,
            version: found.named_version(),
        })
    }

    async fn head(&self, progress: &mut (impl FnMut(&str) + Send)) -> Result<Ended, Error> {
        Ok(match self.stage {
            true => {
                let staged = self.client.stage(Some(&self.host), progress);
                Ended::Staged(staged.await?.into())
            }
            false => Ended::Checked(self.client.check(progress).await?),
        })
    }

    async fn deploy(
        &self,
        deploy: &Deploy,
        progress: &mut (impl FnMut(&str) + Send),
    ) -> Result<Ended, Error> {
        let pending = self.host.pending.as_ref().map(|pending| pending.identity);
        let wanted = match &deploy.revision {
            Some(Revision::Release(identity)) => Some(*identity),
            Some(Revision::Version(_)) | None => None,
        };
        if wanted.is_some() && wanted == pending {
            return Ok(Ended::Nothing(None));
        }
        if !self.stage {
            let version = self.worded(deploy);
            return Ok(Ended::Checked(Checked::Update(version)));
        }
        let staged = self.client.deploy(Some(&self.host), deploy, progress);
        Ok(Ended::Staged(staged.await?.into()))
    }

    /// What `deploy` is about, in a word.
    fn worded(&self, deploy: &Deploy) -> String {
        match (&deploy.revision, &deploy.reference) {
            (Some(Revision::Version(version)), _) => version.clone(),
            (Some(Revision::Release(identity)), _) => identity.short(),
            (None, Some(reference)) => reference.clone(),
            (None, None) => self.follows.origin.to_string(),
        }
    }
}
