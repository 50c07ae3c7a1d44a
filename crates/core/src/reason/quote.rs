//! Shortens another program's message where it is too long for a reason.

/// Longest message that is written, in characters: rpm-ostree's can fill pages.
pub const MESSAGE_LIMIT: usize = 400;
/// The same in bytes, since a character can take four: an Event's note holds 1024.
const BYTES_LIMIT: usize = 1000;

/// How much of the beginning is kept, in characters: it says what was tried. The rest is for the cause.
const HEAD: usize = 100;
/// Marks what is left out.
const GAP: &str = " … ";
/// How programs introduce the cause, in lower case. The last one in a text is the original cause.
const CAUSE: &str = "error: ";

/// The beginning of `line`, as much as fits into a reason.
pub(super) fn beginning(line: &str) -> &str {
    start(line, MESSAGE_LIMIT, BYTES_LIMIT)
}

/// `line` unchanged where it fits into a reason; else its beginning, and its end with the cause.
pub(super) fn cut(line: &str) -> String {
    if beginning(line) == line {
        return line.to_owned();
    }
    let head = start(line, HEAD, 4 * HEAD);
    let (_, rest) = line.split_at(head.len());
    let room = MESSAGE_LIMIT - HEAD - GAP.chars().count();
    let bytes = BYTES_LIMIT - head.len() - GAP.len();
    let last = end(rest, room, bytes);
    // A cause that is longer than that is quoted from its own beginning.
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
