use super::*;

#[test]
fn a_wrong_example_is_told() {
    let wrong = RESULT.replace("aborted", "given up");
    let reported = block::<RebootResult>("a result", &wrong).unwrap_err();
    assert!(reported.to_string().contains("a result"), "{reported}");
    assert_eq!(Failures::KEPT, 8, "as the note on `failed` says");
}
