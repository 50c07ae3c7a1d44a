//! What two hosts see that differ in names and numbers alone is the same: those are replaced by words.

/// What is replaced in what was seen: a value of this host, and the word for it. The first that fits counts.
pub(super) type Names = Vec<(String, String)>;

/// The line without what is of one host or of one run.
pub(super) fn worded(line: &str, names: &Names) -> String {
    // GLib puts one that does not break between a size and its unit.
    let mut line = line.replace('\u{a0}', " ");
    for (value, word) in names {
        line = line.replace(value.as_str(), word);
    }
    let line = sums(&line);
    match line.split_once(' ') {
        Some(("Message" | "TaskBegin" | "PercentProgress", text)) if counts(text) => numbers(&line),
        _ => line,
    }
}

/// Messages that count what was moved, which is as much as a release is large.
fn counts(text: &str) -> bool {
    const PARTS: [&str; 5] = [
        "content objects fetched",
        "Freed: ",
        "ostree chunk layers ",
        "Fetching ostree chunk ",
        "Pruned images: ",
    ];
    PARTS.iter().any(|part| text.contains(part))
}

/// Each number as `N`, with the unit that follows it as `B`.
fn numbers(line: &str) -> String {
    const UNITS: [&str; 6] = ["B", "bytes", "kB", "MB", "KiB", "MiB"];
    let mut words = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_matches(|c: char| "()[],;".contains(c));
        if !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || "./".contains(c)) {
            let shape = if bare.contains('/') { "N/N" } else { "N" };
            words.push(word.replace(bare, shape));
        } else if UNITS.contains(&bare) && words.last().is_some_and(|last| last.ends_with('N')) {
            words.push(word.replace(bare, "B"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// Each checksum that has no name as `<sum>`, whole or the beginning of one as messages have it.
fn sums(line: &str) -> String {
    const SHORTEST: usize = 16;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let (mut out, mut run) = (String::new(), String::new());
    for c in line.chars().chain(['\n']) {
        if hex(c) {
            run.push(c);
            continue;
        }
        let is_sum = run.len() >= SHORTEST;
        out.push_str(if is_sum { "<sum>" } else { &run });
        run.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests;
