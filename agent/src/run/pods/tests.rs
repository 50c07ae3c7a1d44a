use super::*;

fn pod(uid: &str, ready: bool) -> RawPod {
    RawPod {
        name: "web".into(),
        uid: uid.into(),
        ready,
        ..RawPod::default()
    }
}

#[test]
fn pods_are_known_by_their_uid_and_not_at_all_after_touch_was_lost() {
    let mut side = PodSide::default();
    assert_eq!(side.known(), Err(String::new()));
    side.hear(Change::Reset(vec![pod("a", false), pod("b", false)]));
    side.hear(Change::Changed(pod("b", true)));
    side.hear(Change::Changed(pod("c", false)));
    side.hear(Change::Gone("a".into()));
    assert_eq!(side.known(), Ok(vec![pod("b", true), pod("c", false)]));
    assert!(side.shows(&pod("c", true)) && !side.shows(&pod("a", false)));
    let message = "m".to_owned();
    side.hear(Change::Disconnected(ApiError::Forbidden { message }));
    assert!(side.known().is_err_and(|why| why.contains('m')));
    assert!(!side.shows(&pod("b", true)));
    side.hear(Change::Reset(vec![]));
    assert_eq!(side.known(), Ok(vec![]));
}

#[tokio::test]
async fn what_is_not_watched_tells_nothing() {
    let mut side = PodSide::default();
    side.catch_up();
    assert!(side.next().now_or_never().is_none());
}
