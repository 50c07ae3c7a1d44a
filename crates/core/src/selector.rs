//! Label selectors, as Kubernetes defines them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Demands on labels, all of which have to hold; without any, it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels that have to have these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further demands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One demand on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it relates to the values.
    pub operator: Operator,
    /// The values; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub values: BTreeSet<String>,
}

/// How a label relates to values, named as in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// It is there with one of the values.
    In,
    /// It is absent, or has none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
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

    /// It selects everything.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The labels that it looks at.
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
mod tests {
    use super::*;

    #[test]
    fn demands_hold_as_in_kubernetes() {
        let cases = [
            ("{}", "", true),
            (r#"{"matchLabels":{"a":"1"}}"#, "a=1", true),
            (r#"{"matchLabels":{"a":"2"}}"#, "a=2", false),
            (r#"{"matchLabels":{"c":"1"}}"#, "c=1", false),
            (
                r#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["x","y"]}]}"#,
                "a=1,b in (x,y)",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"b","operator":"In","values":["y"]}]}"#,
                "b in (y)",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"b","operator":"NotIn","values":["y"]}]}"#,
                "b notin (y)",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"c","operator":"NotIn","values":["y"]}]}"#,
                "c notin (y)",
                true,
            ),
            (
                r#"{"matchExpressions":[{"key":"b","operator":"NotIn","values":["x"]}]}"#,
                "b notin (x)",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"c","operator":"Exists"}]}"#,
                "c",
                false,
            ),
            (
                r#"{"matchExpressions":[{"key":"c","operator":"DoesNotExist"}]}"#,
                "!c",
                true,
            ),
        ];
        let labels = [("a", "1"), ("b", "x")].map(|(key, value)| (key.into(), value.into()));
        for (text, shown, expected) in cases {
            let selector: Selector = serde_json::from_str(text).unwrap();
            assert_eq!(selector.matches(&labels.clone().into()), expected, "{text}");
            assert_eq!(selector.to_string(), shown);
            assert_eq!(serde_json::to_string(&selector).unwrap(), text);
        }
    }
}
