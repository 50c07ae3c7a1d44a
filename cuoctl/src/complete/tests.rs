use super::*;

#[test]
fn kubectl_gets_what_can_follow_in_its_own_format() {
    let asked = |words: &[&str]| lines(words.iter().map(OsString::from)).unwrap();
    let history = "history\tShow what became of the candidates of pools\n:4\n";
    assert_eq!(asked(&["histo"]), history);
    let open = "open\tPools that name it are granted\n:4\n";
    assert_eq!(asked(&["gate", "o"]), open);
    let reason = "--reason\tWhy, which everybody is shown\n:4\n";
    assert_eq!(asked(&["pause", "--all", "--reas"]), reason);
    assert_eq!(asked(&["why", "no-such"]), ":4\n");
    assert!(asked(&[""]).contains("\nplan\t"));
}
