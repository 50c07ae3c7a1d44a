//! Writes the agent's metrics for node_exporter, in a task of its own, so that a slow or dead disk does not hold up the loop.

use std::path::PathBuf;
use std::time::Duration;

use cuo_core::backoff::Doubling;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::done::{Done, send};
use crate::files::write_atomic;
use crate::journal::Event;

/// The pause after each write: Prometheus does not look more often. After failures it is longer.
const PAUSES: Doubling = Doubling::new(Duration::from_secs(15), Duration::from_secs(60));

/// A file and what it is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// What the file is to hold, and whether it can be written.
#[derive(Debug)]
pub struct Textfile {
    wanted: watch::Sender<Option<Page>>,
    trouble: Option<String>,
}

impl Textfile {
    /// Nothing is written before there is a page. Needs a tokio runtime.
    pub fn start(done: mpsc::Sender<Done>) -> Self {
        let (wanted, pages) = watch::channel(None);
        tokio::spawn(follow(pages, PAUSES, done));
        Self {
            wanted,
            trouble: None,
        }
    }

    /// Has `page` written soon, if it is another one than before; without one, the last file stays as it is.
    pub fn want(&self, page: Option<Page>) {
        self.wanted.send_if_modified(|known| {
            let differs = *known != page;
            *known = page;
            differs
        });
    }

    /// Why the file can't be written, if so.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Takes in that the file can't be written, for that reason, or that it can be again.
    pub fn heard(&mut self, trouble: Option<String>) {
        match (&self.trouble, &trouble) {
            (before, Some(why)) if before.as_ref() != Some(why) => warn!(
                message_id = Event::MetricsUnwritten.id(),
                "the metrics can't be written: {why}. {}",
                Event::MetricsUnwritten.remedy()
            ),
            (Some(_), None) => info!("the metrics can be written again"),
            (None, None) | (_, Some(_)) => {}
        }
        self.trouble = trouble;
    }
}

/// Writes the last page, whenever there is another one and a pause is over; after a failure, tries again, and at once where the file is to
/// be elsewhere. Sends why it fails, once, and that it no longer does.
async fn follow(
    mut pages: watch::Receiver<Option<Page>>,
    pauses: Doubling,
    done: mpsc::Sender<Done>,
) {
    let (mut failures, mut said, mut path) = (0_u32, None, None);
    loop {
        if failures == 0 && pages.changed().await.is_err() {
            return;
        }
        let page = pages.borrow_and_update().clone();
        let next = page.as_ref().map(|page| page.path.clone());
        if next != path {
            (failures, path) = (0, next);
        }
        let trouble = match page {
            Some(page) => write(page).await.err(),
            None => None,
        };
        failures = match trouble {
            Some(_) => failures.saturating_add(1),
            None => 0,
        };
        if trouble != said {
            said.clone_from(&trouble);
            send(&done, Done::Textfile(trouble)).await;
        }
        let pause = pauses.pause(failures);
        if failures == 0 {
            sleep(pause).await;
            continue;
        }
        let moved = |page: &Option<Page>| page.as_ref().map(|page| &page.path) != path.as_ref();
        if let Ok(Err(_)) = timeout(pause, pages.wait_for(moved)).await {
            return;
        }
    }
}

async fn write(page: Page) -> Result<(), String> {
    let write = move || write_atomic(&page.path, page.text.as_bytes(), 0o644);
    // Where a disk never answers, this waits, and nothing else does.
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.unwrap_or_else(|error| Err(error.into()));
    written.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
