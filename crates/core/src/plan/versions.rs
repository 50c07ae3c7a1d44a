//! Which of two versions is newer.

use std::cmp::Ordering;

use crate::release::NamedRelease;

/// A part of a version: numbers are newer than words, as for RPM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part<'a> {
    Word(&'a str),
    /// Without leading zeros: the longer is the greater.
    Number(usize, &'a str),
}

/// `one` is a newer version than `other`, as far as both say so.
pub(super) fn newer(one: Option<&str>, other: Option<&str>) -> bool {
    order(one, other).is_gt()
}

/// The release of the newer version is the greater; they are equal as far as either does not say.
pub(super) fn by_version(one: &NamedRelease, other: &NamedRelease) -> Ordering {
    order(one.version.as_deref(), other.version.as_deref())
}

fn order(one: Option<&str>, other: Option<&str>) -> Ordering {
    match (one.unwrap_or_default(), other.unwrap_or_default()) {
        ("", _) | (_, "") => Ordering::Equal,
        (one, other) => parts(one).cmp(&parts(other)),
    }
}

/// The runs of digits and of letters of a version; what is between only separates them.
pub(super) fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let same = |c: &char| {
            c.is_ascii_digit() == first.is_ascii_digit()
                && c.is_alphanumeric() == first.is_alphanumeric()
        };
        let length = rest.chars().take_while(same).map(char::len_utf8).sum();
        let (part, behind) = rest.split_at(length);
        if first.is_ascii_digit() {
            let number = part.trim_start_matches('0');
            parts.push(Part::Number(number.len(), number));
        } else if first.is_alphanumeric() {
            parts.push(Part::Word(part));
        }
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests;
