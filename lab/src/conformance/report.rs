//! Which cases hold where, for people.

use std::fmt;

use super::{Case, known};

/// What one host showed in a case: its lines, or why there are none.
pub type Shown = Result<Vec<String>, String>;

/// One case.
#[derive(Debug)]
pub struct Row {
    /// The case.
    pub case: &'static Case,
    /// What the double showed.
    pub double: Shown,
    /// What the real daemon showed; none where it was not asked.
    pub real: Option<Shown>,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Both show what is expected.
    Holds,
    /// The double differs from what is expected as it is known to.
    Known,
    /// Something else.
    Differs,
}

impl Row {
    /// What became of it.
    pub fn verdict(&self) -> Verdict {
        let known = known(self.case.name);
        let expected = self.case.expected();
        let double = known.map_or(expected.clone(), |known| known.double.to_vec());
        let real = self.real.as_ref();
        let fits = is(&self.double, &double) && real.is_none_or(|real| is(real, &expected));
        match (fits, known) {
            (false, _) => Verdict::Differs,
            (true, Some(_)) => Verdict::Known,
            (true, None) => Verdict::Holds,
        }
    }
}

fn is(shown: &Shown, expected: &[&str]) -> bool {
    matches!(shown, Ok(lines) if lines == expected)
}

/// A table of all cases, and where they differ.
#[derive(Debug)]
pub struct Report {
    /// All cases.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many cases differ in a way that is not known.
    pub fn differ(&self) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.verdict() == Verdict::Differs).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.rows.iter().map(|row| row.case.name.len()).max();
        let width = widest.unwrap_or(0).max(4);
        writeln!(f, "{:width$} | double  | real", "case")?;
        for row in &self.rows {
            let known = known(row.case.name);
            let expected = row.case.expected();
            let double = word(&row.double, &expected, known.is_some());
            let real = match &row.real {
                Some(real) => word(real, &expected, false),
                None => "-",
            };
            writeln!(f, "{:width$} | {double:7} | {real}", row.case.name)?;
        }
        for row in &self.rows {
            differences(f, row)?;
        }
        Ok(())
    }
}

fn word(shown: &Shown, expected: &[&str], known: bool) -> &'static str {
    match shown {
        Err(_) => "broken",
        Ok(lines) if lines == expected => "as seen",
        Ok(_) if known => "known",
        Ok(_) => "differs",
    }
}

/// How a case differs from what is expected, line by line.
fn differences(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    if row.verdict() == Verdict::Holds {
        return Ok(());
    }
    writeln!(f, "\n{} ({})", row.case.name, row.case.why)?;
    if let Some(known) = known(row.case.name) {
        writeln!(f, "  known of the double: {}", known.why)?;
    }
    let sides = [("double", Some(&row.double)), ("real", row.real.as_ref())];
    for (who, shown) in sides {
        match shown {
            None => {}
            Some(Err(error)) => writeln!(f, "  {who} is broken: {error}")?,
            Some(Ok(lines)) => {
                for (sign, line) in compare(&row.case.expected(), lines) {
                    writeln!(f, "  {who:6} {sign} {line}")?;
                }
            }
        }
    }
    Ok(())
}

/// The lines that only one of the two has: `-` those that are expected, `+` those that were shown, in their order.
fn compare<'a>(expected: &[&'a str], shown: &'a [String]) -> Vec<(char, &'a str)> {
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    // Lengths of the longest common parts of what is left of both.
    let mut common = vec![vec![0_usize; shown.len() + 1]; expected.len() + 1];
    for (i, one) in expected.iter().enumerate().rev() {
        for (j, other) in shown.iter().enumerate().rev() {
            common[i][j] = match one == other {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < expected.len() || j < shown.len() {
        match (expected.get(i), shown.get(j)) {
            (Some(one), Some(other)) if one == other => (i, j) = (i + 1, j + 1),
            (Some(one), other) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                lines.push(('-', *one));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push(('+', *other));
                j += 1;
            }
            (_, None) => break,
        }
    }
    lines
}

#[cfg(test)]
mod tests;
