//! Texts that are nearly right: those find more than noise does.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What readers stumble over.
const PIECES: &[&str] = &[
    "",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    ":",
    ": ",
    ",",
    "-",
    "--",
    "+",
    "/",
    "//",
    "%",
    "&a",
    "*a",
    "#",
    "@",
    "[",
    "]",
    "{",
    "}",
    "<<",
    "!!int",
    "null",
    "~",
    "true",
    "0",
    "-1",
    "00",
    "1e400",
    "9223372036854775808",
    "99999999999999999999999",
    ".",
    "..",
    "NaN",
    "2026-02-30",
    "9999-12-31",
    "-009999-01-01",
    "24:00",
    "P1D",
];

/// Where a text is changed, and how.
type Edit = (u8, Index, usize, String);

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop_oneof![
        3 => select(PIECES).prop_map(str::to_owned),
        1 => ".{0,3}",
    ];
    (0_u8..6, any::<Index>(), 0_usize..24, piece)
}

/// One of `valid`, changed in a few places; parts of another one may get into it.
pub fn mutated(valid: Vec<String>) -> impl Strategy<Value = String> {
    let texts = (select(valid.clone()), select(valid));
    (texts, vec(edit(), 0..5)).prop_map(|((text, other), edits)| {
        let mut text: Vec<char> = text.chars().collect();
        let other: Vec<char> = other.chars().collect();
        for edit in edits {
            apply(&mut text, &other, edit);
        }
        text.into_iter().collect()
    })
}

fn apply(text: &mut Vec<char>, other: &[char], (how, place, length, piece): Edit) {
    let from = place.index(text.len() + 1);
    let to = (from + length).min(text.len());
    let piece = piece.chars();
    match how {
        // Taken away, replaced, put in.
        0 => drop(text.drain(from..to)),
        1 => drop(text.splice(from..to, piece)),
        2 => drop(text.splice(from..from, piece)),
        // Twice.
        3 => {
            let again = text[from..to].to_vec();
            text.splice(to..to, again);
        }
        // What stands there in another one.
        4 => {
            let begin = from.min(other.len());
            let end = (begin + length).min(other.len());
            text.splice(from..to, other[begin..end].iter().copied());
        }
        // Cut off.
        _ => text.truncate(from),
    }
}

/// Anything, or nearly right.
pub fn any_or(valid: Vec<String>) -> impl Strategy<Value = String> {
    prop_oneof![1 => ".{0,64}", 1 => any::<String>(), 6 => mutated(valid)]
}

/// Failures are reported with the input, and nothing is written beside the source.
pub fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
