//! Where releases come from.

use std::path::Path;

use cuo_core::release::{Following, Source};

use super::check::Check;
use crate::config::{Choice, Config};
use crate::look::{Follows, Look};
use crate::rpmostree::{Client, Overview};
use crate::store::Store;

pub(super) const NAME: &str = "releases";

/// Asks the source of the host's releases, as far as the agent would: what its cluster last assigned counts.
pub(super) async fn look(root: &Path, config: &Config, client: &Client, found: Overview) -> Check {
    let state = Store::new(root).peek().unwrap_or_default();
    let look = Look {
        root: root.to_owned(),
        client: client.clone(),
        host: found.host,
        follows: Follows {
            origin: found.origin,
            stream: found.stream,
        },
        assigned: state.assigned,
        preference: config.release.preference(),
        graph: config.graph.clone(),
        failed: state.failed.ids().collect(),
        stage: false,
    };
    match look.foresee().await {
        Ok((following, None)) => Check::ok(NAME, described(config, &following)),
        Ok((following, Some(reason))) => {
            let found = format!("{}; {reason}", described(config, &following));
            Check::warning(NAME, found, reason.code.remedy())
        }
        Err(error) => Check::warning(NAME, error.to_string(), error.code().remedy()),
    }
}

/// The source, and why it is the one.
fn described(config: &Config, following: &Following) -> String {
    let source = match following.source {
        Source::Origin => "come from the head of what the host follows".to_owned(),
        Source::Graph => format!("come from the update graph at {}", config.graph.url),
        Source::Cluster => "come from what the cluster declares".to_owned(),
    };
    let why = match (config.release.source, following.source) {
        (Choice::Auto, Source::Origin) => "since nothing else is set and it is not Fedora CoreOS",
        (Choice::Auto, Source::Graph) => "since the host is Fedora CoreOS",
        (Choice::Auto, Source::Cluster) => "since a pool of the node declares a release",
        (Choice::Origin | Choice::Graph | Choice::Cluster, _) => "as `release.source` says",
    };
    let goal = following.goal.as_ref().map(|goal| {
        let name = goal
            .version
            .clone()
            .unwrap_or_else(|| goal.identity.short());
        format!("; they lead to {name}")
    });
    format!("{source}, {why}{}", goal.unwrap_or_default())
}
