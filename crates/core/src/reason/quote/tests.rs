use crate::reason::{Code, Reason};

#[test]
fn what_is_cut_keeps_its_beginning_and_its_cause() {
    let head = "Upgrade of rpm-ostreed failed: Updating rpm-md repo 'updates': x y z of a repository and more of it,";
    assert_eq!(head.len(), 100);
    let filling = "log ".repeat(200);
    let cause = "error: Child process exited with code 1";
    let end = "z".repeat(297);
    let long = format!("error: {}", "c".repeat(400));
    let cases = [
        (
            "short: error: one".to_owned(),
            "short: error: one".to_owned(),
        ),
        // What comes before the cause is left in, as far as there is room.
        (
            format!("{head} {} {cause}", "x".repeat(800)),
            format!("{head} … {} {cause}", "x".repeat(257)),
        ),
        (format!("{head} {filling}{end}"), format!("{head} … {end}")),
        // The last of several, and however it is written.
        (
            format!("{head} error: first {filling} Last {long}"),
            format!("{head} … error: {}…", "c".repeat(290)),
        ),
    ];
    for (text, expected) in cases {
        let reported = Reason::quoting(Code::StageFailed, &text);
        assert_eq!(
            reported,
            Reason {
                code: Code::StageFailed,
                message: expected
            }
        );
    }
}

#[test]
fn no_letters_make_it_too_long_for_an_event() {
    for letter in ["a", "é", "更", "😀"] {
        let text = format!("{} error: the cause", letter.repeat(1000));
        let reported = Reason::quoting(Code::StageFailed, &text).message;
        let whole = reported.starts_with(letter) && reported.ends_with("error: the cause");
        assert!(whole && reported.len() <= 1024, "{reported}");
    }
}
