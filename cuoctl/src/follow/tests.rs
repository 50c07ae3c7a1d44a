use std::collections::BTreeMap;

use super::{framed, news};
use crate::status::Status;
use crate::testing::{NOW, cluster, idle, waiting};

#[test]
fn elsewhere_than_on_a_terminal_each_change_is_a_line() {
    let status = |nodes| Status::of(&cluster(nodes, "", &["--paused"]), &[]).unwrap();
    let mut shown = BTreeMap::new();
    let both = status(vec![idle("n1", &[]), waiting("n2", &[])]);
    let expected = format!(
        "{NOW} n1 idle runs 1\n{NOW} n2 waiting runs 1, next 2: ClusterPaused: All reboots are paused.\n"
    );
    assert_eq!(news(&both, &mut shown), expected);
    assert_eq!(news(&both, &mut shown), "");
    let expected = format!("{NOW} n2 idle runs 1\n{NOW} n1 is gone\n");
    assert_eq!(news(&status(vec![idle("n2", &[])]), &mut shown), expected);
}

#[test]
fn a_frame_is_never_higher_than_the_screen() {
    let text = "a\nb\nc\n";
    let shown = |height| {
        let frame = framed(text, height);
        let bare = frame.replace("\u{1b}[H", "").replace("\u{1b}[K", "");
        bare.replace("\u{1b}[J", "")
    };
    assert_eq!(shown(24), text);
    assert_eq!(shown(4), text);
    assert_eq!(shown(3), "a\n… and 2 more lines\n");
    for height in 0..6 {
        assert!(shown(height).lines().count() < height.max(2), "{height}");
    }
}
