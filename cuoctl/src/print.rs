//! Where output goes, and how much of it fits there.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;

/// How to print what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// A table for people, which is cut where the terminal ends.
    #[default]
    Table,
    /// The table with more columns, and nothing cut.
    Wide,
    /// JSON, for programs.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Output {
    /// Prints `value` for programs; `false` where people are to have a table.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn machine(self, value: &impl Serialize) -> Result<bool> {
        let text = match self {
            Self::Table | Self::Wide => return Ok(false),
            Self::Json => serde_json::to_string_pretty(value).context("as JSON")? + "\n",
            Self::Yaml => serde_saphyr::to_string(value).context("as YAML")?,
        };
        say(&text)?;
        Ok(true)
    }
}

/// Writes to the standard output. That somebody stopped reading is no error: `cuoctl … | head` is meant so.
///
/// # Errors
/// Any other error.
pub fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("write to the standard output"),
    }
}

/// A note for people beside the output.
pub fn note(text: &str) {
    eprintln!("note: {text}");
}

/// What the standard output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Its width and height; `None` where it is no terminal.
    pub size: Option<(usize, usize)>,
    /// It shows colours, and the user wants them.
    pub colour: bool,
    /// The cursor can be moved on it.
    pub addressable: bool,
}

impl Screen {
    /// No terminal, as a file or a pipe.
    pub const PLAIN: Self = Self {
        size: None,
        colour: false,
        addressable: false,
    };

    /// What is found; colours can be switched off by `--no-color`, `NO_COLOR` and a dumb terminal.
    pub fn find(no_color: bool) -> Self {
        let out = io::stdout();
        if !out.is_terminal() {
            return Self::PLAIN;
        }
        let size = rustix::termios::tcgetwinsize(&out).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let unwanted = no_color || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self {
            size: size.map(|size| (size.ws_col.into(), size.ws_row.into())),
            colour: !dumb && !unwanted,
            addressable: !dumb && size.is_some(),
        }
    }
}
