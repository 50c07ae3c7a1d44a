use super::*;

#[test]
fn gates_are_around_every_write_and_the_read() {
    let names = Write::ALL.iter().map(|write| write.as_str());
    let expected: Vec<_> = names
        .chain([CONFIRM])
        .flat_map(|name| {
            [
                format!("operator-before-{name}"),
                format!("operator-after-{name}"),
            ]
        })
        .collect();
    assert_eq!(GATES, expected);
}
