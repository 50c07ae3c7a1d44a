//! Reading the small dictionaries that ostree and rpm-ostree leave in `/run`: `a{sv}` in GVariant's own format, which is not that of
//! D-Bus messages.

/// The texts, booleans and dictionaries in a dictionary; values of other types are passed over. `None` where it is no such dictionary.
pub fn dict(bytes: &[u8]) -> Option<Vec<(String, Value)>> {
    let width = width(bytes.len());
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    // The ends of the entries come last, one after the other, and where they begin is the end of the last entry.
    let table = offset(bytes, bytes.len().checked_sub(width)?, width)?;
    let ends = bytes.get(table..)?.chunks(width);
    let (mut entries, mut start) = (Vec::new(), 0_usize);
    for index in 0..ends.len() {
        let end = offset(bytes, table + index * width, width)?;
        let (key, value) = entry(bytes.get(start..end)?)?;
        entries.extend(value.map(|value| (key, value)));
        start = end.checked_next_multiple_of(8)?;
    }
    Some(entries)
}

/// The text at `key`.
pub fn text_at<'v>(entries: &'v [(String, Value)], key: &str) -> Option<&'v str> {
    match at(entries, key)? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The value at `key`.
pub fn at<'v>(entries: &'v [(String, Value)], key: &str) -> Option<&'v Value> {
    entries
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
}

/// A value that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `s`.
    Text(String),
    /// `b`.
    Bool(bool),
    /// `a{sv}`.
    Dict(Vec<(String, Value)>),
}

/// `{sv}`: the key, the variant aligned to 8, and the end of the key.
fn entry(bytes: &[u8]) -> Option<(String, Option<Value>)> {
    let width = width(bytes.len());
    let frame = bytes.len().checked_sub(width)?;
    let end = offset(bytes, frame, width)?;
    let key = text(bytes.get(..end)?)?;
    let variant = bytes.get(end.checked_next_multiple_of(8)?..frame)?;
    // A variant is its value, a zero byte and its type.
    let zero = variant.iter().rposition(|byte| *byte == 0)?;
    let (value, kind) = (variant.get(..zero)?, variant.get(zero + 1..)?);
    let value = match kind {
        b"s" => Some(Value::Text(text(value)?)),
        b"b" => Some(Value::Bool(value == [1])),
        b"a{sv}" => Some(Value::Dict(dict(value)?)),
        _ => None,
    };
    Some((key, value))
}

fn text(bytes: &[u8]) -> Option<String> {
    let (zero, text) = bytes.split_last()?;
    (*zero == 0).then(|| String::from_utf8(text.to_vec()).ok())?
}

/// Offsets are as wide as the size of what they are in needs.
fn width(size: usize) -> usize {
    match size {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Offsets are little-endian everywhere.
fn offset(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?.iter().rev();
    let number = bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(dict(&bytes), Some(expected.to_vec()));
        assert_eq!(dict(&[]), Some(vec![]));
        // Whatever is in such a file, it is read or not.
        for length in 1..bytes.len() {
            let _ = dict(&bytes[..length]);
        }
        for byte in 0..=255 {
            let _ = dict(&[byte; 40]);
        }
    }
}
