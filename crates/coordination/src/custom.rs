//! Reads custom resources. Where one is not defined, there are no objects of it.

use futures::StreamExt;
use futures::stream::BoxStream;

use cuo_cluster::ApiError;
use cuo_cluster::ClientSource;
use cuo_cluster::watch::{Change, Objects, feed, list};
use cuo_cluster::wire::Wire;

/// Watches all objects at `path`, as [`watch_nodes`](cuo_cluster::watch::watch_nodes) does. Whether the resource is defined is looked at
/// again now and then.
pub(crate) fn watch_all<W: Wire, T: Send + 'static>(
    source: ClientSource,
    path: &'static str,
    read: impl Fn(W) -> Result<T, ApiError> + Send + Sync + 'static,
) -> BoxStream<'static, Change<T>> {
    let objects = Objects {
        source,
        path: path.into(),
        selector: None,
        may_be_undefined: true,
        read: Box::new(read),
    };
    feed(objects).boxed()
}

/// Reads all objects at `path`.
pub(crate) async fn list_all<W: Wire, T>(
    source: &ClientSource,
    path: &str,
    read: impl Fn(W) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    match list(source, path, None, read).await {
        Ok((objects, _)) => Ok(objects),
        Err(ApiError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
