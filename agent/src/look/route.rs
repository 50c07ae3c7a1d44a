//! The way that the update graph shows.

use cuo_core::ids::ReleaseId;
use cuo_core::reason::{Code, Reason};
use cuo_core::release::{
    Aim, Deploy, FCOS, Graph, Here, NamedRelease, Origin, Place, Route, Runs, Walk,
};

use super::Look;
use crate::graph::{self, Asks, Platform, fetch};

/// What the graph says to this host.
#[derive(Debug)]
pub(super) struct Way {
    /// The next release, or why there is none, if something is wrong.
    pub(super) next: Result<Deploy, Option<Reason>>,
    /// The last one that it leads to.
    pub(super) goal: Option<NamedRelease>,
    /// How many are newer than what runs.
    pub(super) behind: u32,
}

impl Way {
    fn nowhere(reason: Option<Reason>) -> Self {
        Self {
            next: Err(reason),
            goal: None,
            behind: 0,
        }
    }
}

impl Look {
    /// Fetches the graph and finds the way from what runs.
    pub(super) async fn way(&self, place: &Place<'_>, aim: Aim<'_>) -> Result<Way, graph::Error> {
        let origin = &self.follows.origin;
        let stream = self.follows.stream.as_deref().or_else(|| origin.stream());
        let Some(stream) = stream else {
            let text = format!("{origin} names no stream, and the release that runs says none");
            return Ok(Way::nowhere(Some(Reason::new(Code::OriginUnusable, text))));
        };
        let booted = &self.host.booted;
        let runs = Runs {
            version: &booted.version,
            stream,
        };
        let repository = match origin {
            Origin::Image { image, .. } => Some(image.repository.clone()),
            Origin::Branch { .. } | Origin::Other(_) => None,
        };
        let graph = self.fetch(stream, repository).await?;
        let avoid = self.failed.iter().chain(&self.assigned.avoid).copied();
        let avoid = avoid.collect();
        let route = graph.route(Here::Release(&booted.identity), aim, &avoid);
        if let Route::Hop(walk) = &route {
            return Ok(hop(place, walk, stream));
        }
        let branch = matches!(origin, Origin::Branch { .. }) && origin.is_fedora_coreos();
        if !branch {
            return Ok(Way::nowhere(place.reported(runs, &graph, aim, &route)));
        }
        // Fedora publishes no branches any more: the images' graph leads on from the release of the same version.
        let images = self.fetch(stream, Some(FCOS.to_owned())).await?;
        let there = Here::Version(&booted.version);
        Ok(match images.route(there, aim, &avoid) {
            Route::Hop(walk) => hop(place, &walk, stream),
            Route::NotInGraph => Way::nowhere(Some(place.retired(runs, &images))),
            route => Way::nowhere(place.reported(runs, &images, aim, &route)),
        })
    }

    async fn fetch(&self, stream: &str, repository: Option<String>) -> Result<Graph, graph::Error> {
        let booted = &self.host.booted;
        let asks = Asks {
            stream: stream.to_owned(),
            version: booted.version.clone(),
            checksum: match (&repository, booted.identity) {
                (Some(repository), identity @ ReleaseId::Image(_)) => {
                    format!("{repository}@{identity}")
                }
                (_, identity) => identity.to_string(),
            },
            images: repository.is_some(),
            platform: Platform::of(&self.root),
        };
        fetch(&self.root, &self.graph, &asks).await
    }
}

fn hop(place: &Place<'_>, walk: &Walk<'_>, stream: &str) -> Way {
    let goal = walk.goal.identity.map(|identity| NamedRelease {
        identity,
        version: Some(walk.goal.version.clone()),
    });
    Way {
        next: place.hop(walk.next, stream).map_err(Some),
        goal,
        behind: u32::try_from(walk.behind).unwrap_or(u32::MAX),
    }
}
