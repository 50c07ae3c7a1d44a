//! What is not known because its watch does not bring it.

use cuo_cluster::ApiError;
use tracing::{info, warn};

/// Whether the objects of a kind are known, and else why not. Each change is logged once.
#[derive(Debug)]
pub struct Missing {
    /// The kind, for people.
    what: &'static str,
    why: Option<String>,
}

impl Missing {
    /// No `what` was listed yet.
    pub fn unlisted(what: &'static str) -> Self {
        Self {
            what,
            why: Some(format!("the {what} have not been listed yet")),
        }
    }

    /// Why they are not known; `None` while the watch is connected.
    pub fn why(&self) -> Option<&String> {
        self.why.as_ref()
    }

    /// They are about to be listed again, because of `why`.
    pub fn again(&mut self, why: &str) {
        self.why = Some(format!("the {} are listed again, {why}", self.what));
    }

    /// The watch listed `count` of them.
    pub fn listed(&mut self, count: usize) {
        if self.why.take().is_some() {
            info!("the {} are known: {count}", self.what);
        }
    }

    /// The watch lost its connection.
    pub fn lost(&mut self, error: &ApiError) {
        let why = format!("the {} can't be watched: {error}", self.what);
        if self.why.as_ref() != Some(&why) {
            warn!("{why}");
        }
        self.why = Some(why);
    }
}
