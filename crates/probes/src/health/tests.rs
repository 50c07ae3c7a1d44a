use super::*;

#[test]
fn a_silent_loop_is_stuck_and_a_missing_list_not_ready() {
    let missing = "the nodes have not been listed yet".to_owned();
    let (health, probe) = health(&missing);
    let now = Instant::now();
    assert_eq!((probe.alive(now), probe.ready()), (Ok(()), Err(missing)));

    health.turned(None);
    assert_eq!((probe.alive(now), probe.ready()), (Ok(()), Ok(())));

    let silent = probe.alive(Instant::now() + STUCK);
    let stuck = "the loop has been stuck for 300s".to_owned();
    assert_eq!((silent, probe.ready()), (Err(stuck), Ok(())));
}
