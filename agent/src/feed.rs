//! Finds the name of this host's Node, and follows the Node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cuo_cluster::node::{Keep, whoami};
use cuo_cluster::watch::{NodeEvent, watch_node};
use cuo_cluster::{ApiError, ClientSource, Retry, scattered};
use cuo_core::backoff::Doubling;
use cuo_core::ids::NodeName;
use futures::StreamExt;
use tokio::sync::mpsc;

/// Pauses before the API server is asked for the node's name again.
const PAUSES: Doubling = Doubling::new(Duration::from_secs(1), Duration::from_secs(30));

/// News about the Node.
#[derive(Debug)]
pub enum News {
    /// The Node's name; the first item, sent once.
    Named(NodeName),
    /// The Node, or why it is not known.
    Node(Box<NodeEvent>),
    /// The Node's name is not known, for this reason.
    Nameless(String),
}

/// Finds the name, then watches the Node until the receiver is dropped.
pub fn start(
    source: ClientSource,
    configured: Option<String>,
    root: &Path,
) -> mpsc::Receiver<News> {
    let (sender, receiver) = mpsc::channel(16);
    let root = root.to_owned();
    tokio::spawn(async move {
        let Some(name) = find_name(&source, configured, root, &sender).await else {
            return;
        };
        let mut events = watch_node(source, name.as_str(), Keep::default());
        if sender.send(News::Named(name)).await.is_err() {
            return;
        }
        while let Some(event) = events.next().await {
            if sender.send(News::Node(Box::new(event))).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// The configured name, else the one in the credential, else the host's. `None` once the receiver is dropped.
async fn find_name(
    source: &ClientSource,
    configured: Option<String>,
    root: PathBuf,
    sender: &mpsc::Sender<News>,
) -> Option<NodeName> {
    for tries in 1.. {
        let mut pause = PAUSES.pause(tries);
        let news = match named(source, configured.as_deref(), &root).await {
            Ok(Ok(name)) => return Some(name),
            Ok(Err(why)) => News::Nameless(why),
            Err(error) => {
                if let Retry::Later(Some(asked)) = error.retry_class() {
                    pause = pause.max(asked);
                }
                News::Node(Box::new(NodeEvent::Disconnected(error)))
            }
        };
        sender.send(news).await.ok()?;
        // Not earlier than the API server asked for, and not all nodes at once.
        tokio::time::sleep(scattered(pause, 1.0)).await;
    }
    None
}

/// The Node's name; the inner error says why it is not known.
pub(crate) async fn named(
    source: &ClientSource,
    configured: Option<&str>,
    root: &Path,
) -> Result<Result<NodeName, String>, ApiError> {
    if let Some(name) = configured {
        return Ok(name
            .parse()
            .map_err(|error| format!("node_name of the configuration: {error}")));
    }
    let identity = whoami(source).await?;
    if let Some(name) = identity.node() {
        return Ok(name
            .parse()
            .map_err(|error| format!("user {}: {error}", identity.user)));
    }
    let path = root.join("proc/sys/kernel/hostname");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            return Ok(Err(format!(
                "user {} is no node, and {}: {error}",
                identity.user,
                path.display()
            )));
        }
    };
    let name = text.trim().to_lowercase();
    Ok(name
        .parse()
        .map_err(|error| format!("the host's name: {error}; set node_name in the configuration")))
}
