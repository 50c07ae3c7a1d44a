//! What is reported of a graph that leads nowhere, with what a person can do about it.

use super::direction::SIGNED;
use super::{Aim, Graph, GraphRelease, Origin, Place, Route};
use crate::ids::ReleaseId;
use crate::reason::{Code, Reason};

/// What runs, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs<'a> {
    /// Its version.
    pub version: &'a str,
    /// The stream that it is of.
    pub stream: &'a str,
}

impl Place<'_> {
    /// What is to be reported where `graph` leads to no next release by this `route`; `None` where nothing is wrong.
    pub fn reported(
        &self,
        runs: Runs<'_>,
        graph: &Graph,
        aim: Aim<'_>,
        route: &Route<'_>,
    ) -> Option<Reason> {
        let Runs { version, stream } = runs;
        Some(match route {
            Route::Hop(_) | Route::There => return None,
            Route::NotInGraph => {
                let what = self.booted.short();
                let text = format!("the update graph of {stream} does not have {version} ({what})");
                let way = graph.newest().and_then(|newest| self.rebase(newest));
                Reason::new(Code::NotInGraph, text + &way.unwrap_or_default())
            }
            Route::DeadEnd(why) => {
                let text =
                    format!("{version} is a dead end of the update graph of {stream}: {why}");
                Reason::new(Code::DeadEnd, text)
            }
            Route::Avoided(release) => {
                let text = format!(
                    "{} is next on the update graph of {stream}, and it failed here or elsewhere",
                    release.version
                );
                Reason::new(Code::IdentityFailed, text)
            }
            Route::Elsewhere => {
                let goal = match aim {
                    Aim::Newest => "anywhere".to_owned(),
                    Aim::Release(identity) => identity.to_string(),
                    Aim::Version(goal) => goal.to_owned(),
                };
                let text =
                    format!("the update graph of {stream} does not lead from {version} to {goal}");
                Reason::new(Code::ReleaseRefused, text)
            }
        })
    }

    /// The command that takes the host to `newest`, as the end of a sentence.
    fn rebase(&self, newest: &GraphRelease) -> Option<String> {
        let (identity, version) = (newest.identity?, &newest.version);
        let reference = match (self.origin, identity, &newest.repository) {
            (Origin::Branch { .. }, ReleaseId::Commit(_), _) => {
                format!("{} {identity}", self.origin)
            }
            (Origin::Image { prefix, .. }, ReleaseId::Image(_), Some(repository)) => {
                format!("{prefix}{repository}@{identity}")
            }
            (Origin::Branch { .. } | Origin::Image { .. } | Origin::Other(_), _, _) => return None,
        };
        Some(format!(
            "; `rpm-ostree rebase --bypass-driver {reference}` takes the node to {version}, which it has"
        ))
    }

    /// What is to be reported of a host whose branch gets no releases any more, and whose version the graph of images does not have.
    pub fn retired(&self, runs: Runs<'_>, images: &Graph) -> Reason {
        let newest = images.newest();
        let named = newest.and_then(|newest| Some((newest, newest.repository.as_ref()?)));
        let way = named.and_then(|(newest, repository)| {
            let (identity, version) = (newest.identity?, &newest.version);
            Some(format!(
                "; `rpm-ostree rebase --bypass-driver {SIGNED}{repository}@{identity}` takes the node to {version}"
            ))
        });
        let text = format!(
            "{} gets no releases any more, and the graph of the images of {} does not have {}",
            self.origin, runs.stream, runs.version
        );
        Reason::new(Code::OriginRetired, text + &way.unwrap_or_default())
    }
}

impl Graph {
    /// The newest release that says what it contains.
    pub fn newest(&self) -> Option<&GraphRelease> {
        let known = self.releases.iter().filter(|one| one.identity.is_some());
        known.max_by_key(|one| one.age)
    }
}
