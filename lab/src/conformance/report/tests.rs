use super::*;

#[test]
fn differences_are_lines_in_their_order() {
    let shown = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    for (expected, seen, differences) in [
        (&["a", "b"][..], &["a", "b"][..], &[][..]),
        (&["a", "b"], &["a", "c"], &[('-', "b"), ('+', "c")]),
        (&["a", "b", "c"], &["a", "c"], &[('-', "b")]),
        (&["a", "c"], &["a", "b", "c"], &[('+', "b")]),
        (&[], &["a"], &[('+', "a")]),
        (&["a"], &[], &[('-', "a")]),
    ] {
        assert_eq!(compare(expected, &shown(seen)), differences);
    }
}
