//! The last graph on disk, for the server to say that it has not changed.

use std::path::Path;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::files::write_atomic;

/// Below the state folder.
pub(super) const FILE: &str = "var/lib/cuo-agent/graph.json";

/// A graph as it was fetched.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What was asked for.
    url: String,
    /// What identifies it for the server.
    pub(super) etag: String,
    /// The answer.
    pub(super) graph: String,
}

impl Kept {
    /// What was fetched from `url`; `None` where that is not known, which costs a transfer and no more.
    pub(super) fn read(path: &Path, url: &Url) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let kept: Self = serde_json::from_str(&text).ok()?;
        (kept.url == url.as_str()).then_some(kept)
    }

    pub(super) fn write(path: &Path, url: &Url, etag: &str, graph: String) {
        let kept = Self {
            url: url.to_string(),
            etag: etag.to_owned(),
            graph,
        };
        let text = serde_json::to_string(&kept).map_err(std::io::Error::from);
        let written = text.and_then(|text| write_atomic(path, text.as_bytes(), 0o600));
        if let Err(error) = written {
            warn!("{} can't be written: {error}", path.display());
        }
    }
}
