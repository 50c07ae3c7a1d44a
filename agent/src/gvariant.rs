//! The small dictionaries that ostree and rpm-ostree leave in `/run`: `a{sv}` in GVariant's own format, which is not that of D-Bus
//! messages.

use gvariant::{Marker, Structure, Variant, gv};

/// The texts, booleans and dictionaries in a dictionary; values of other types are skipped. Invalid data reads as a dictionary with fewer
/// entries or none, as in GLib.
pub fn dict(bytes: &[u8]) -> Vec<(String, Value)> {
    nested(bytes, DEPTH)
}

/// How many levels of nested dictionaries are read: ostree's note of what is staged has one. Crafted data can list the same bytes as an
/// entry many times, multiplied on each level.
const DEPTH: u32 = 2;

fn nested(bytes: &[u8], depth: u32) -> Vec<(String, Value)> {
    let entries = gv!("a{sv}").from_bytes(bytes);
    let read = entries.into_iter().filter_map(|entry| {
        let (key, value) = entry.to_tuple();
        Some((key.to_str().to_owned(), Value::read(value, depth)?))
    });
    read.collect()
}

/// The text at `key`; `None` if it is empty, as truncated data reads.
pub fn text_at<'v>(entries: &'v [(String, Value)], key: &str) -> Option<&'v str> {
    match at(entries, key)? {
        Value::Text(text) if !text.is_empty() => Some(text),
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

/// A value of a supported type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `s`.
    Text(String),
    /// `b`.
    Bool(bool),
    /// `a{sv}`.
    Dict(Vec<(String, Value)>),
}

impl Value {
    fn read(variant: &Variant, depth: u32) -> Option<Self> {
        let (kind, value) = variant.split();
        match kind {
            b"s" => Some(Self::Text(variant.get(gv!("s"))?.to_str().to_owned())),
            b"b" => Some(Self::Bool(variant.get(gv!("b"))?.to_bool())),
            b"a{sv}" => Some(Self::Dict(nested(value, depth.checked_sub(1)?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
