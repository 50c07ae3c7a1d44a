//! Steps at which a test can stop a program to kill it there, or to change something around it.

/// Lets a test stop this program at the step `step`.
///
/// In builds with debug assertions, and only if the environment variable `CUO_TEST_GATE` names a directory in which a file `step` exists:
/// creates the file `step.hit` there and waits until `step` is removed. In release builds it does nothing at all.
pub async fn gate(step: &str) {
    #[cfg(debug_assertions)]
    if let Some(dir) = std::env::var_os("CUO_TEST_GATE") {
        hold(std::path::Path::new(&dir), step).await;
    }
    #[cfg(not(debug_assertions))]
    let _ = step;
}

#[cfg(debug_assertions)]
async fn hold(dir: &std::path::Path, step: &str) {
    let closed = dir.join(step);
    if !closed.exists() {
        return;
    }
    let hit = dir.join(format!("{step}.hit"));
    if let Err(error) = std::fs::write(&hit, "") {
        tracing::error!("test gate: can't create {}: {error}", hit.display());
        return;
    }
    while closed.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[cfg(all(test, debug_assertions))]
mod tests;
