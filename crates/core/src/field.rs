//! The value found under a key, parsed strictly.
//!
//! A [`Field::Value`] is of this build's protocol [`VERSION`](crate::keys::VERSION) and holds exactly the known fields. Everything else
//! says what is wrong, and is a reason to hold.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::VERSION;
use crate::reason::{Code, Reason};

/// The value found under a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Field<T> {
    /// The key is absent.
    #[default]
    Absent,
    /// A value of this protocol version.
    Value(T),
    /// A value of another version of the protocol.
    OtherVersion(u32),
    /// Something that no part of CUO writes, with what is wrong with it.
    Malformed(String),
}

impl<T> Field<T> {
    /// The value, if there is a valid one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::OtherVersion(_) | Self::Malformed(_) => None,
        }
    }

    /// Whether the key is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Parses a value that is plain text.
    pub fn text(found: Option<&String>) -> Self
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match found.map(|text| text.parse()) {
            None => Self::Absent,
            Some(Ok(value)) => Self::Value(value),
            Some(Err(error)) => Self::Malformed(error.to_string()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    rest: T,
}

impl<T: DeserializeOwned> Field<T> {
    /// Parses a JSON value that carries its version as `v`.
    pub fn json(found: Option<&String>) -> Self {
        let Some(text) = found else {
            return Self::Absent;
        };
        match serde_json::from_str::<Versioned<serde_json::Value>>(text) {
            Err(error) => Self::Malformed(format!("not JSON with a version: {error}")),
            Ok(other) if other.v != VERSION => Self::OtherVersion(other.v),
            // The flattened rest holds every field but `v`, so unknown fields are still refused.
            Ok(known) => match T::deserialize(known.rest) {
                Ok(value) => Self::Value(value),
                Err(error) => Self::Malformed(error.to_string()),
            },
        }
    }
}

/// Serializes a JSON value with the protocol's version as `v`.
pub fn to_json<T: Serialize>(value: &T) -> String {
    // Serialising these plain structs can't fail: no maps with odd keys, no failing Serialize. An empty text would be read as malformed,
    // which is a reason to hold.
    serde_json::to_string(&Versioned {
        v: VERSION,
        rest: value,
    })
    .unwrap_or_default()
}

/// Why the `field` under `key` is invalid; `None` if it is valid or absent.
pub fn trouble<T>(field: &Field<T>, key: &str) -> Option<Reason> {
    match field {
        Field::Absent | Field::Value(_) => None,
        Field::OtherVersion(version) => {
            let text =
                format!("{key} is of protocol version {version}, this side speaks {VERSION}");
            Some(Reason::new(Code::ProtocolUnknown, text))
        }
        Field::Malformed(why) => Some(Reason::new(
            Code::MalformedAnnotation,
            format!("{key}: {why}"),
        )),
    }
}
