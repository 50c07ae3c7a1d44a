//! Label selectors, as Kubernetes defines them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Requirements on labels, all of which have to hold; without any, it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels that have to have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// The values; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<String>,
}

/// How a label relates to values, named as in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The label exists and has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl Selector {
    /// Whether something with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.match_labels.iter().all(equal)
            && self
                .match_expressions
                .iter()
                .all(|demand| demand.matches(labels))
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The keys of the labels that it looks at.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let demands = self.match_expressions.iter().map(|demand| &demand.key);
        self.match_labels.keys().chain(demands).map(String::as_str)
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        let listed = found.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
        }
    }
}

impl fmt::Display for Selector {
    /// As `kubectl --selector` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equal = self.match_labels.iter();
        let equal = equal.map(|(key, value)| format!("{key}={value}"));
        let demands = self.match_expressions.iter().map(Requirement::to_string);
        let all: Vec<_> = equal.chain(demands).collect();
        f.pad(&all.join(","))
    }
}

impl FromStr for Selector {
    type Err = String;

    /// As `kubectl --selector` takes it: `key`, `!key`, `key=value`, `key!=value`, `key in (a,b)` and `key notin (a,b)`, with commas between.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut selector = Self::default();
        for demand in split(text) {
            match demand
                .split_once('=')
                .filter(|(key, _)| !key.ends_with('!'))
            {
                Some((key, value)) if !demand.contains('(') => {
                    let value = value.strip_prefix('=').unwrap_or(value).trim();
                    selector.match_labels.insert(name(key)?, value.to_owned());
                }
                _ => selector.match_expressions.push(demand.parse()?),
            }
        }
        match selector.is_empty() {
            true => Err("expected a label selector, such as node-role.example.com/etcd".to_owned()),
            false => Ok(selector),
        }
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let demand = |key: &str, operator, values: &str| {
            let values = values.split(',').map(str::trim);
            let values = values.filter(|value| !value.is_empty());
            Ok(Self {
                key: name(key)?,
                operator,
                values: values.map(str::to_owned).collect(),
            })
        };
        if let Some((key, value)) = text.split_once("!=") {
            return demand(key, Operator::NotIn, value);
        }
        let listed = text.strip_suffix(')').and_then(|text| text.split_once('('));
        match listed.map(|(head, values)| (head.trim_end(), values)) {
            Some((head, values)) => match head.rsplit_once(' ') {
                Some((key, "in")) => demand(key, Operator::In, values),
                Some((key, "notin")) => demand(key, Operator::NotIn, values),
                _ => Err(format!(
                    "{text:?}: expected `in` or `notin` before the values"
                )),
            },
            None => match text.strip_prefix('!') {
                Some(key) => demand(key, Operator::DoesNotExist, ""),
                None => demand(text, Operator::Exists, ""),
            },
        }
    }
}

/// Splits a text at its commas, except for those within parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut open = false;
    let parts = text.split(|c| {
        open = c == '(' || (open && c != ')');
        c == ',' && !open
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// Parses the key of a label: `name` or `prefix/name`.
fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match !text.is_empty() && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no name of a label")),
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values.iter().map(String::as_str).collect();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests;
