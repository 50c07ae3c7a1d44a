//! What is left of another program's words where they are too long for a reason.

/// Longest message that is written, in characters: rpm-ostree can quote pages.
pub const MESSAGE_LIMIT: usize = 400;
/// The same in bytes, of which a character may have four: an Event's note takes 1024.
const BYTES_LIMIT: usize = 1000;

/// How much of the beginning is kept, in characters, which may have four bytes: it says what was tried. The rest is for the cause.
const HEAD: usize = 100;
/// What stands for what is left out.
const GAP: &str = " … ";
/// How programs call the cause, in small letters; the last one in a text is the first in time.
const CAUSE: &str = "error: ";

/// The beginning of `line`, or all of it, as far as a reason takes it.
pub(super) fn beginning(line: &str) -> &str {
    start(line, MESSAGE_LIMIT, BYTES_LIMIT)
}

/// `line` as it is where a reason takes it; else its beginning, and the end of it that tells the cause.
pub(super) fn cut(line: &str) -> String {
    if beginning(line) == line {
        return line.to_owned();
    }
    let head = start(line, HEAD, 4 * HEAD);
    let (_, rest) = line.split_at(head.len());
    let room = MESSAGE_LIMIT - HEAD - GAP.chars().count();
    let bytes = BYTES_LIMIT - head.len() - GAP.len();
    let last = end(rest, room, bytes);
    // A cause that is longer than that is told from its own beginning.
    let at = rest.to_ascii_lowercase().rfind(CAUSE);
    let cause = at.map_or(last, |at| &rest[at..]);
    let tail = match cause.len() > last.len() {
        true => cause,
        false => last,
    };
    format!("{}{GAP}{}", head.trim_end(), tail.trim_start())
}

/// The first so many characters of `text`, in no more bytes than that.
fn start(text: &str, chars: usize, bytes: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take(chars).take_while(|end| *end <= bytes).last();
    &text[..end.unwrap_or_default()]
}

/// The last so many characters of `text`, in no more bytes than that.
fn end(text: &str, chars: usize, bytes: usize) -> &str {
    let starts = text.char_indices().rev().map(|(at, _)| at);
    let fits = |at: &usize| text.len() - at <= bytes;
    let start = starts.take(chars).take_while(fits).last();
    &text[start.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests;
