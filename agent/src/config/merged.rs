//! Fragments laid one over the other, with the file that each value is from.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::{Table, Value};

/// The file that a value was read from, by the path of its keys.
type Files = BTreeMap<Vec<String>, String>;

/// What all fragments together say.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The values.
    pub(super) table: Table,
    files: Files,
}

impl Merged {
    /// Lays what `file` says over what is there.
    pub(super) fn lay(&mut self, file: &str, over: Table) {
        lay(
            &mut self.table,
            over,
            &mut |path| {
                self.files.insert(path, file.to_owned());
            },
            &[],
        );
    }

    /// `config`, which is all of it with its defaults, as TOML with the files beside the values.
    pub(super) fn annotate(&self, config: &Table) -> String {
        let mut text = String::new();
        let plain = |value: &&Value| !value.is_table();
        for (key, value) in config.iter().filter(|(_, value)| plain(value)) {
            self.line(&mut text, &[key], value);
        }
        for (section, table) in config {
            let Value::Table(table) = table else { continue };
            // Writing to a String can't fail.
            let _ = writeln!(text, "\n[{section}]");
            for (key, value) in table {
                self.line(&mut text, &[section, key], value);
            }
        }
        text
    }

    fn line(&self, text: &mut String, path: &[&str], value: &Value) {
        let owned: Vec<_> = path.iter().map(|key| (*key).to_owned()).collect();
        let file = self.files.get(&owned).map_or("default", String::as_str);
        let key = path.last().copied().unwrap_or_default();
        let _ = writeln!(text, "{key} = {value} # {file}");
    }
}

/// Lays `over` over `base`, table by table.
fn lay(base: &mut Table, over: Table, wrote: &mut impl FnMut(Vec<String>), above: &[String]) {
    for (key, value) in over {
        let path: Vec<_> = above.iter().cloned().chain([key.clone()]).collect();
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => lay(base, over, wrote, &path),
            (None, Value::Table(over)) => {
                let mut fresh = Table::new();
                lay(&mut fresh, over, wrote, &path);
                base.insert(key, Value::Table(fresh));
            }
            (_, value) => {
                wrote(path);
                base.insert(key, value);
            }
        }
    }
}
