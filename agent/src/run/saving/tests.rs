use std::time::Duration;

use cuo_core::agent::state::{Accepted, Attempt, Baseline};
use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::time::Time;
use cuo_core::values::Progress;
use tokio::sync::mpsc;

use super::*;

/// An agent below `root` that is connected to nothing.
async fn agent(root: &std::path::Path) -> Agent {
    let boot_id = root.join("proc/sys/kernel/random/boot_id");
    std::fs::create_dir_all(boot_id.parent().unwrap()).unwrap();
    std::fs::write(boot_id, "0f3a9b2c-5d1e-4c7a-9b3f-2a6e8d4c1b70\n").unwrap();
    let (done, _) = mpsc::channel(1);
    Agent::new(root, None, done).await.unwrap()
}

fn attempt(boot: BootId) -> Attempt {
    let progress = Progress {
        id: GrantId { seq: 7, salt: 1 },
        identity: ReleaseId::Commit([1; 32]),
        boot,
        accepted: Time::EPOCH,
    };
    Attempt::new(Accepted::bare(progress), Baseline::lost(None))
}

#[tokio::test]
async fn nothing_is_begun_before_the_state_can_be_written() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = agent(root.path()).await;
    let folder = root.path().join("var/lib/cuo-agent");
    // As on a full disk: the new file can't be made.
    let block = folder.join(".state.json.new");
    std::fs::create_dir_all(&block).unwrap();
    let due = |agent: &mut Agent| agent.memory.retry = Some(Instant::now());
    let unwritten = |agent: &Agent| {
        let trouble = &agent.settings.state_unusable;
        matches!(trouble, Some(StateTrouble::Unwritten(why)) if why.contains("state.json"))
    };
    let error = agent.save(State::default()).unwrap_err();
    agent.unsaved(error).unwrap();
    assert!(unwritten(&agent), "{:?}", agent.settings.state_unusable);

    agent.try_again().unwrap();
    assert!(unwritten(&agent), "the pause is not over");
    due(&mut agent);
    agent.try_again().unwrap();
    assert!(unwritten(&agent), "it still can't");
    assert!(agent.memory.retry_at().unwrap() > Instant::now());

    // Pods are evicted without a note of it.
    agent.state.attempt = Some(attempt(agent.boot));
    due(&mut agent);
    agent.try_again().unwrap();
    assert_eq!(agent.settings.state_unusable, None);

    agent.state.attempt = None;
    let error = agent.save(State::default()).unwrap_err();
    agent.unsaved(error).unwrap();
    std::fs::remove_dir(&block).unwrap();
    due(&mut agent);
    agent.try_again().unwrap();
    assert_eq!(agent.settings.state_unusable, None);
    assert!(folder.join("state.json").is_file());
}

#[tokio::test]
async fn calls_go_on_until_the_attempt_is_over_that_they_are_about() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = agent(root.path()).await;
    agent.calls.spawn(std::future::pending());
    // As at the end of a look, while a grant is not answered yet.
    agent.save(State::default()).unwrap();
    let ended = async |agent: &mut Agent| {
        let next = agent.calls.join_next();
        let ended = tokio::time::timeout(Duration::from_millis(100), next).await;
        ended
            .ok()
            .flatten()
            .map(|end| end.unwrap_err().is_cancelled())
    };
    assert_eq!(ended(&mut agent).await, None, "cut off");
    let attempt = Some(attempt(agent.boot));
    let begun = State {
        attempt,
        ..State::default()
    };
    agent.save(begun).unwrap();
    agent.save(State::default()).unwrap();
    assert_eq!(ended(&mut agent).await, Some(true));
}
