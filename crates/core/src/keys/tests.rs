use super::*;

#[test]
fn every_key_has_the_prefix_and_is_named_once() {
    let mut names: Vec<_> = TABLE.iter().map(|key| key.name).collect();
    assert!(names.iter().all(|name| name.starts_with(PREFIX)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn what_begins_like_a_key_of_agents_is_one() {
    let like = TABLE
        .iter()
        .filter(|key| key.name.starts_with(AGENTS_PREFIX));
    let found: Vec<_> = like.map(|key| (key.name, key.writer)).collect();
    let expected = [
        (AGENT_MADE_UNSCHEDULABLE, Writer::Agent),
        (AGENT_RELEASE, Writer::Agent),
        (AGENT_DEAD_END, Writer::Agent),
        (AGENT_REBOOT, Writer::Agent),
    ];
    assert_eq!(found, expected);
}
