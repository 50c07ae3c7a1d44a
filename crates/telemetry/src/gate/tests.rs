use std::time::Duration;

use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn a_closed_gate_holds_until_it_is_opened_and_an_open_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    hold(dir, "drain").await;
    assert!(!dir.join("drain.hit").exists());

    std::fs::write(dir.join("drain"), "").unwrap();
    let mut held = std::pin::pin!(hold(dir, "drain"));
    let waited = timeout(Duration::from_millis(100), &mut held).await;
    assert!(waited.is_err() && dir.join("drain.hit").exists());

    std::fs::remove_file(dir.join("drain")).unwrap();
    timeout(Duration::from_secs(10), held).await.unwrap();
}
