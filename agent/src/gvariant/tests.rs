use super::*;

#[test]
fn a_dictionary_as_glib_writes_it_is_read() {
    // Laid out by hand from the GVariant specification.
    let bytes = [
        b'b', 0, 0, 0, 0, 0, 0, 0, 1, 0, b'b', 2, 0, 0, 0, 0, // entry 0 and padding
        b's', 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, b's', 2, // entry 1
        12, 29, // ends of the entries
    ];
    let expected = [
        ("b".to_owned(), Value::Bool(true)),
        ("s".to_owned(), Value::Text("x".into())),
    ];
    assert_eq!(dict(&bytes), expected);
    assert_eq!(dict(&[]), []);
    // Whatever is in such a file, it is read or not.
    for length in 1..bytes.len() {
        let _ = dict(&bytes[..length]);
    }
    for byte in 0..=255 {
        let _ = dict(&[byte; 40]);
    }
}
