use super::*;

#[test]
fn versions_are_compared_as_numbers_and_words() {
    let rising = [
        "",
        "beta",
        "9",
        "41.20250101.3.0",
        "41.20250101.3.1",
        "41.20250102.0",
        "42.rc1",
        "42.rc2",
        "42.0",
        "42.09.5",
        "42.10",
        "100000000000000000000000.1",
    ];
    for (index, older) in rising.iter().enumerate() {
        assert_eq!(parts(older), parts(older));
        for newer in &rising[index + 1..] {
            assert!(parts(older) < parts(newer), "{older} before {newer}");
        }
    }
    assert_eq!(parts("42-0+1"), parts("42.000.01"));
    assert_eq!(parts("é1"), [Part::Word("é"), Part::Number(1, "1")]);
}
