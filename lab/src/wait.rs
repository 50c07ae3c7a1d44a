//! Waiting for a condition, the only way the bench waits.

use std::time::Duration;

use anyhow::{Error, Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks with `probe` until it returns `Some`, at most for `deadline`; `what` completes the sentence "waiting for …".
///
/// An error of `probe` counts as "not yet", because the usual reason is a server that is just starting; the last one is part of
/// the error at the deadline. A single look is cut off at the deadline too.
///
/// # Errors
/// When the deadline passes; it names `what`, and the last error of `probe` if there was one.
pub async fn until<T>(
    what: impl AsRef<str>,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let what = what.as_ref();
    let end = Instant::now() + deadline;
    let mut last: Option<Error> = None;
    loop {
        match timeout_at(end, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                last = last.or_else(|| Some(Error::msg("the last look at it did not return")))
            }
        }
        if Instant::now() + INTERVAL > end {
            break;
        }
        sleep(INTERVAL).await;
    }
    match last {
        Some(error) => Err(error.context(format!(
            "waiting for {what}: not within {deadline:?}; last seen"
        ))),
        None => bail!("waiting for {what}: not within {deadline:?}"),
    }
}

#[cfg(test)]
mod tests;
