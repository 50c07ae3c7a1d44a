//! Pools on a real API server: what it refuses by itself, what each field does to the operator's process, and random histories in which
//! no budget is ever exceeded. Agents answer at once.
//!
//! One control plane serves all steps, one after the other.

mod fields;
mod histories;
mod refused;
mod releases;
mod silent;
mod together;
mod unknown;
mod watcher;
mod world;

use world::World;

#[tokio::test]
async fn pools_are_what_administrators_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::start(dir.path()).await.unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("what makes no sense is refused, with what was expected");
    refused::each(&world).await.unwrap();
    step("each field does what it says");
    fields::each(&world).await.unwrap();
    step("one release is tried at a time, and everybody is told which");
    releases::each(&world).await.unwrap();
    step("nodes in several pools, moved between them, or left without one");
    together::each(&world).await.unwrap();
    step("nothing waits for what is written of pools");
    silent::each(&world).await.unwrap();
    step("no history exceeds a budget");
    histories::all(&mut world).await.unwrap();
    step("without the right to read pools nothing goes, and without the kind there are none");
    unknown::each(&mut world).await.unwrap();
}
