//! What a real daemon was seen to do: a file with the lines of each case.
//!
//! A section begins with `= ` and the name of a case. Before the first one are the versions of what was seen.

use std::fmt::Write;
use std::path::PathBuf;

use super::{Report, all};

/// What was seen last.
const SEEN: &str = include_str!("../../assets/conformance/seen.txt");
/// What a section begins with.
const SECTION: &str = "= ";

/// The file of this source tree.
pub fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/conformance/seen.txt")
}

/// Versions of what was seen.
pub fn versions() -> &'static str {
    SEEN.lines().next().unwrap_or_default()
}

/// The lines of this case.
pub(super) fn expected(case: &str) -> Vec<&'static str> {
    let lines = SEEN.lines().skip_while(|line| name(line) != Some(case));
    let lines = lines.skip(1).take_while(|line| name(line).is_none());
    lines.collect()
}

/// Names of all sections.
pub fn sections() -> impl Iterator<Item = &'static str> {
    SEEN.lines().filter_map(name)
}

fn name(line: &str) -> Option<&str> {
    line.strip_prefix(SECTION)
}

/// The file's text with what a report's real daemon showed, and with what was seen before of cases that it did not run.
pub fn renewed(versions: &str, report: &Report) -> String {
    let mut text = format!("{versions}\n");
    for case in all() {
        let rows = report.rows.iter();
        let row = rows.filter(|row| row.case.name == case.name);
        let shown = row
            .filter_map(|row| row.real.as_ref()?.as_ref().ok())
            .next();
        let expected = case.expected();
        let lines: Vec<&str> = match shown {
            Some(lines) => lines.iter().map(String::as_str).collect(),
            None => expected,
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{SECTION}{}", case.name);
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}
