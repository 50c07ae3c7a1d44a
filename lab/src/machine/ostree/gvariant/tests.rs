use super::*;

#[test]
fn dictionaries_are_serialized_as_glib_does() {
    // Laid out by hand from the GVariant specification.
    assert_eq!(
        dict(&[("b", Value::Bool(true)), ("s", Value::Text("x"))]),
        [
            b'b', 0, 0, 0, 0, 0, 0, 0, 1, 0, b'b', 2, 0, 0, 0, 0, // entry 0 and padding
            b's', 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, b's', 2, // entry 1
            12, 29, // ends of the entries
        ]
    );
    assert_eq!(dict(&[]), Vec::<u8>::new());
}

#[test]
fn long_containers_have_wide_offsets() {
    let long = "x".repeat(300);
    let bytes = dict(&[("k", Value::Text(&long))]);
    // The key ends at 2, the entry at 313.
    assert_eq!(bytes[bytes.len() - 4..], [2, 0, 57, 1]);
}
