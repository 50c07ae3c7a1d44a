//! Completions of `kubectl cuo`, by a program that kubectl runs for them.
//!
//! kubectl passes what is typed after the plugin's name, the last word being the one at the cursor, and expects a line for each way to go
//! on, with a tab before what it means, and one with a number at the end: the format of cobra's `__complete`.

use std::ffi::OsString;

use anyhow::{Context, Result};
use clap_complete::engine::complete;

use crate::cli::command;

/// The name by which kubectl finds the program.
pub const NAME: &str = "kubectl_complete-cuo";
/// No further completion: names of files are among the lines already.
const END: &str = ":4\n";

/// What kubectl is told about `words`.
///
/// # Errors
/// Where the working directory can't be read.
pub fn lines(words: impl IntoIterator<Item = OsString>) -> Result<String> {
    let name = OsString::from("kubectl-cuo");
    let words: Vec<_> = [name.clone()].into_iter().chain(words).collect();
    let last = words.len() - 1;
    let folder = std::env::current_dir().context("the working directory")?;
    let found = complete(&mut command(Some(&name)), words, last, Some(&folder));
    let mut text = String::new();
    for candidate in found.context("the working directory")? {
        text += &candidate.get_value().to_string_lossy();
        if let Some(help) = candidate.get_help() {
            text += &format!("\t{help}");
        }
        text += "\n";
    }
    Ok(text + END)
}

#[cfg(test)]
mod tests;
