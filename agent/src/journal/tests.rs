use std::collections::BTreeSet;

use super::*;

#[test]
fn every_event_has_an_id_of_its_own_and_says_what_to_do() {
    let ids: BTreeSet<_> = Event::ALL.iter().map(|event| event.id()).collect();
    assert_eq!(ids.len(), Event::ALL.len());
    for event in Event::ALL {
        let id = event.id();
        let hex = id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        assert!(id.len() == 32 && hex, "{event:?}: {id}");
        assert!(!event.subject().ends_with('.'), "{event:?}");
        for sentence in [event.means(), event.remedy()] {
            assert!(sentence.ends_with('.'), "{event:?}: {sentence}");
        }
    }
}

#[test]
fn lines_are_no_longer_than_a_terminal() {
    assert_eq!(wrapped("one two"), "one two\n");
    let long = wrapped(&"word ".repeat(40));
    assert!(long.lines().all(|line| line.chars().count() <= WIDTH));
    assert_eq!(long.split_whitespace().count(), 40);
}
