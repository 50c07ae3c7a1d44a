//! `gates[]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, ExecutionError, Program, Value};
use cuo_core::reason::line;
use cuo_core::selector::Selector;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values::{EXPOSED, Name, Pattern, Secret, ServerUrl, Span};

/// So many evaluations fit into the time that a gate stays open: one may fail, and another may be late, before it closes by itself.
pub const EVALUATIONS: i32 = 4;

/// One gate: an `UpdateGate` of this name, which the companion opens and closes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// Its name.
    pub name: Name,
    /// How often its condition is looked at.
    #[serde(default = "every")]
    pub every: Span,
    /// How long it stays open if nobody opens it again, as when the companion is gone.
    #[serde(default = "valid_for")]
    pub valid_for: Span,
    /// It is closed while alerts fire.
    pub alerts: Option<Alerts>,
    /// It is closed while a condition on resources does not hold.
    pub resources: Option<Resources>,
}

fn every() -> Span {
    Span::seconds(30)
}

fn valid_for() -> Span {
    Span::seconds(300)
}

/// What a gate depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition<'a> {
    /// Alerts.
    Alerts(&'a Alerts),
    /// Resources.
    Resources(&'a Resources),
}

impl Gate {
    /// What it depends on.
    ///
    /// # Errors
    /// What makes no sense of its fields together.
    pub fn condition(&self) -> Result<Condition<'_>, String> {
        if self.every.signed() * EVALUATIONS > self.valid_for.signed() {
            return Err(format!(
                "validFor is {}, and every is {}; let validFor be at least {EVALUATIONS} times as long, so that a late look does not close the gate",
                self.valid_for, self.every
            ));
        }
        match (&self.alerts, &self.resources) {
            (Some(alerts), None) => {
                alerts.covered()?;
                Ok(Condition::Alerts(alerts))
            }
            (None, Some(resources)) => {
                resources.one_way()?;
                Ok(Condition::Resources(resources))
            }
            (Some(_), Some(_)) | (None, None) => {
                Err("expected either `alerts` or `resources`".to_owned())
            }
        }
    }
}

/// What a gate is while its condition can't be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Otherwise {
    /// Closed.
    #[default]
    Closed,
    /// Open.
    Open,
}

/// `gates[].alerts`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alerts {
    /// The Prometheus, or what speaks its API.
    #[serde(rename = "prometheusURL")]
    pub prometheus_url: ServerUrl,
    /// A bearer token for it.
    pub token: Option<Secret>,
    /// Alerts whose names this matches do not count.
    pub ignore: Option<Pattern>,
    /// Only alerts whose names this matches count.
    pub only: Option<Pattern>,
    /// Pending alerts do not count.
    #[serde(default)]
    pub firing_only: bool,
    /// Only alerts whose label `severity` is one of these count; without any, all do.
    #[serde(default)]
    pub severity: Vec<String>,
    /// What the gate is while the server can't be asked.
    #[serde(default)]
    pub unreachable: Otherwise,
}

impl Alerts {
    fn covered(&self) -> Result<(), String> {
        match self.token.is_some() && self.prometheus_url.exposes() {
            true => Err(format!("alerts: {EXPOSED}")),
            false => Ok(()),
        }
    }
}

/// `gates[].resources`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Their `apiVersion`.
    pub api_version: String,
    /// Their kind.
    pub kind: String,
    /// Their namespace; without it, cluster-scoped ones, or those of all namespaces.
    pub namespace: Option<String>,
    /// The name of the only one.
    pub name: Option<String>,
    /// Their labels, as kubectl takes a selector.
    pub label_selector: Option<LabelSelector>,
    /// What has to hold of each, as `object`, in CEL.
    pub expr: Expression,
    /// What the gate is while there is none.
    #[serde(default)]
    pub none: Otherwise,
    /// What the gate is while they can't be read.
    #[serde(default)]
    pub unreachable: Otherwise,
}

impl Resources {
    fn one_way(&self) -> Result<(), String> {
        match (&self.name, &self.label_selector) {
            (Some(_), Some(_)) => {
                Err("resources: `name` and `labelSelector` exclude each other".to_owned())
            }
            (Some(_), None) | (None, Some(_) | None) => Ok(()),
        }
    }
}

/// A label selector, as kubectl takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector {
    text: String,
    selector: Selector,
}

impl LabelSelector {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether something with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.matches(labels)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<Selector>() {
            Ok(selector) => Ok(Self { text, selector }),
            Err(why) => Err(D::Error::custom(format_args!(
                "expected a label selector, found {text:?}: {why}"
            ))),
        }
    }
}

/// An expression in CEL.
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Arc<Program>,
}

impl Expression {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Expression {
    /// Whether it holds of `object`.
    ///
    /// # Errors
    /// Why that can't be said, in one line.
    pub fn holds(&self, object: &serde_json::Value) -> Result<bool, String> {
        match self.run(object) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!(
                "it gives {:?}, and not true or false",
                other.type_of()
            )),
            Err(error) => Err(self.kind(&error)),
        }
    }

    /// What kind of error it is, without any value of the object, which may be secret: everybody may read a gate's reason.
    fn kind(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(name) => match self.text.contains(name.as_str()) {
                true => format!("No such key: {name}"),
                // It is computed from the object.
                false => "No such key".to_owned(),
            },
            // These have names of functions and types in them, and numbers of arguments.
            ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::MissingArgumentOrTarget
            | ExecutionError::NoSuchOverload(_)
            | ExecutionError::UndeclaredReference(_) => line(&error.to_string()),
            ExecutionError::ValuesNotComparable(..) => "values can't be compared".to_owned(),
            ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
                format!("values of these types do not go with {operator}")
            }
            ExecutionError::Overflow(operator, ..) => format!("overflow in {operator}"),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "division by zero".to_owned()
            }
            ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
            ExecutionError::FunctionError { function, .. } => format!("{function} failed"),
            _ => "a value is of a type that does not fit".to_owned(),
        }
    }

    fn run(&self, object: &serde_json::Value) -> Result<Value, ExecutionError> {
        let object = cel::to_value(object);
        let object = object.map_err(|error| ExecutionError::function_error("object", error))?;
        let mut context = Context::default();
        context.add_variable_from_value("object", object);
        self.program.execute(&context)
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let compiled = Program::compile(&text).map_err(|error| {
            let error = line(&error.to_string());
            D::Error::custom(format_args!(
                "expected an expression in CEL, found {text:?}: {error}"
            ))
        })?;
        let expression = Self {
            text,
            program: Arc::new(compiled),
        };
        // What it calls and refers to shows only once it is run. Most of the fields that it expects are not there.
        match expression.run(&serde_json::json!({})) {
            Err(ExecutionError::UndeclaredReference(name)) => Err(D::Error::custom(format_args!(
                "{:?} refers to {name}, which is not there; the resource is `object`",
                expression.text
            ))),
            Err(_) | Ok(_) => Ok(expression),
        }
    }
}

#[cfg(test)]
mod tests;
