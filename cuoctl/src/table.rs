//! Tables as kubectl prints them: columns of their contents' width, two spaces apart.

use crate::print::Screen;

/// How a cell is to look where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
    /// As the rest.
    #[default]
    Plain,
    /// It is well.
    Good,
    /// It is under way.
    Busy,
    /// It needs a person.
    Bad,
    /// It matters less.
    Faint,
}

impl Look {
    /// These are legible on dark and on light terminals.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Busy => Some("36"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
        }
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A cell with this look.
    pub fn new(text: impl Into<String>, look: Look) -> Self {
        let text = text.into();
        Self { text, look }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Look::Plain)
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// It has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text. Lines are cut at the screen's width, if it has one and `cut` is set.
    pub fn text(&self, screen: Screen, cut: bool) -> String {
        let widths = self.widths();
        let limit = screen.size.map(|(width, _)| width).filter(|_| cut);
        let head: Vec<Cell> = self.head.iter().map(|head| Cell::from(*head)).collect();
        let lines = [&head].into_iter().chain(&self.rows);
        lines
            .map(|cells| line(cells, &widths, limit, screen.colour))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize, head: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widths = cells.map(|cell| cell.text.chars().count());
            widths.chain([head.chars().count()]).max().unwrap_or(0)
        };
        let heads = self.head.iter().enumerate();
        heads.map(|(column, head)| width(column, head)).collect()
    }
}

fn line(cells: &[Cell], widths: &[usize], limit: Option<usize>, colour: bool) -> String {
    let mut text = String::new();
    let mut used = 0;
    for (place, cell) in cells.iter().enumerate() {
        let left = limit.map(|limit| limit.saturating_sub(used));
        if left == Some(0) {
            break;
        }
        let shown = shortened(&cell.text, left.unwrap_or(usize::MAX));
        let length = shown.chars().count();
        match cell.look.code().filter(|_| colour) {
            Some(code) => text.push_str(&format!("\u{1b}[{code}m{shown}\u{1b}[0m")),
            None => text.push_str(&shown),
        }
        used += length;
        if place + 1 < cells.len() {
            let width = widths.get(place).copied().unwrap_or(0);
            let gap = width.saturating_sub(length) + 2;
            let gap = gap.min(limit.map_or(gap, |limit| limit.saturating_sub(used)));
            text.push_str(&" ".repeat(gap));
            used += gap;
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text + "\n"
}

/// At most `limit` characters of `text`.
fn shortened(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let start: String = text.chars().take(limit.saturating_sub(1)).collect();
    start + "…"
}

#[cfg(test)]
mod tests;
