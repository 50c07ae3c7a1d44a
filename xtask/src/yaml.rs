//! JSON as YAML, for people to read: just what a generated part of a manifest needs.

use serde_json::Value;

/// `value` as a document of block style.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes `value` from the beginning of a line on.
fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                text.push_str(&format!("{indent}{}:", scalar(key)));
                below(value, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                // The dash takes the place of the first line's indent.
                let inner = inner.trim_start();
                text.push_str(&format!("{indent}- {inner}"));
            }
        }
        value => text.push_str(&format!("{indent}{}\n", flat(value))),
    }
}

/// Writes `value` behind its key.
fn below(value: &Value, depth: usize, text: &mut String) {
    let nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        block(value, depth, text);
    } else {
        text.push_str(&format!(" {}\n", flat(value)));
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // Empty lists and objects, numbers and so on are the same in both.
        other => other.to_string(),
    }
}

/// A text that could be taken for something else is quoted, as JSON does it.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '_' | '-');
    let word =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.') && text.chars().all(plain);
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if word && !reserved.contains(&text.to_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests;
