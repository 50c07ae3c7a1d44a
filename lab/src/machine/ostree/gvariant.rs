//! GVariant serialization, as far as the files below `/run` that a host shows need it: dictionaries of texts, booleans and
//! dictionaries. It is not the D-Bus wire format, and no crate of the tree writes it.

use super::release::sha256;
use super::state::Deployed;

enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Dict(&'a [(&'a str, Value<'a>)]),
}

/// Content of `/run/ostree/staged-deployment`.
pub(super) fn staged_deployment(osname: &str, staged: &Deployed) -> Vec<u8> {
    let name = format!("{}.{}", staged.checksum(), staged.serial);
    let bootcsum = sha256(&format!("boot {}", staged.release.version));
    let target = [
        ("name", Value::Text(&name)),
        ("osname", Value::Text(osname)),
        ("bootcsum", Value::Text(&bootcsum)),
    ];
    let all = [
        ("target", Value::Dict(&target)),
        ("locked", Value::Bool(staged.locked)),
    ];
    // libostree writes the key only when it is true.
    dict(if staged.locked { &all } else { &all[..1] })
}

/// Content of `/run/rpm-ostree/update-driver.gv`.
pub(super) fn update_driver(name: &str, unit: &str) -> Vec<u8> {
    dict(&[
        ("driver-name", Value::Text(name)),
        ("driver-sd-unit", Value::Text(unit)),
    ])
}

/// `a{sv}`: entries aligned to 8, followed by the end of each entry.
fn dict(entries: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut ends = Vec::new();
    for (key, value) in entries {
        pad(&mut out);
        out.extend(entry(key, value));
        ends.push(out.len());
    }
    frame(out, &ends)
}

/// `{sv}`: the key, the value aligned to 8, and the end of the key.
fn entry(key: &str, value: &Value<'_>) -> Vec<u8> {
    let mut out = text(key);
    let end = out.len();
    pad(&mut out);
    out.extend(variant(value));
    frame(out, &[end])
}

/// `v`: the value, a zero byte and its type.
fn variant(value: &Value<'_>) -> Vec<u8> {
    let (mut out, signature) = match value {
        Value::Text(value) => (text(value), "s"),
        Value::Bool(value) => (vec![u8::from(*value)], "b"),
        Value::Dict(entries) => (dict(entries), "a{sv}"),
    };
    out.push(0);
    out.extend(signature.bytes());
    out
}

fn text(value: &str) -> Vec<u8> {
    value.bytes().chain([0]).collect()
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Appends the offsets in the smallest width that can hold the size of the whole.
fn frame(mut body: Vec<u8>, ends: &[usize]) -> Vec<u8> {
    let width = [1_usize, 2, 4]
        .into_iter()
        .find(|width| body.len() + width * ends.len() < 1 << (8 * width))
        .unwrap_or(8);
    for end in ends {
        body.extend(&end.to_le_bytes()[..width]);
    }
    body
}

#[cfg(test)]
mod tests;
