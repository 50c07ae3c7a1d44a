//! Lengths of time on the command line.

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// The longest that makes sense.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A length of time as people write it, such as `90s`, `2h` or `7d`.
///
/// # Errors
/// A sentence that says what is expected.
pub fn length(text: &str) -> Result<SignedDuration, String> {
    let expected = "expected a length of time up to 366 days, such as 90s, 5m or 7d";
    let span: Span = text.parse().map_err(|_| expected.to_owned())?;
    let days = SpanRelativeTo::days_are_24_hours();
    let length = span.to_duration(days).map_err(|_| expected.to_owned())?;
    match length.is_negative() || length > LONGEST {
        true => Err(expected.to_owned()),
        false => Ok(length),
    }
}
