//! Removes what may be secret. Nothing that is collected should hold any, but logs quote what others wrote.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

const GONE: &str = "(removed)";

/// Each pattern with what stays: its first group, if it has one.
const PATTERNS: [&str; 5] = [
    // A JSON web token, as those of service accounts.
    r"()eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*",
    r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
    // `password: x`, `"token":"x"`, `client-key-data=x`.
    // In a quoted JSON text, as logs have them, each quote has a backslash.
    r#"(?i)((?:password|passwd|secret|token|api[_-]?key|key-data|authorization)(?:\\?["'])?\s*[:=]\s*(?:\\?["'])?)(?:[^\s"',}\\]|\\[^\s"']){4,}"#,
    // Whoever is named in an URL.
    r"(://)[^/\s:@]+:[^/\s@]+@",
    r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?-----END [A-Z ]*PRIVATE KEY-----",
];

// A pattern that is none is found by the tests of this module.
static ALL: LazyLock<Vec<Regex>> =
    LazyLock::new(|| PATTERNS.iter().flat_map(|text| Regex::new(text)).collect());

/// `text` without what looks like tokens, passwords and private keys.
pub fn hide(text: &str) -> String {
    let mut hidden = Cow::Borrowed(text);
    for pattern in ALL.iter() {
        let shorter = pattern.replace_all(&hidden, |found: &Captures<'_>| {
            format!("{}{GONE}", found.get(1).map_or("", |kept| kept.as_str()))
        });
        if let Cow::Owned(shorter) = shorter {
            hidden = Cow::Owned(shorter);
        }
    }
    hidden.into_owned()
}

#[cfg(test)]
mod tests;
