//! Answers of a double that are errors, with any name.

use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use super::texts;

/// A D-Bus error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Error name.
    pub name: String,
    /// Error message.
    pub text: String,
}

impl Failure {
    /// An error of this name.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            text: text.into(),
        }
    }

    /// The error of most failed calls to rpm-ostreed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::new(texts::FAILED, text)
    }
}

impl zbus::DBusError for Failure {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(&self.text,))
    }

    fn name(&self) -> ErrorName<'_> {
        // A test that injects a name that is none still gets an error reply.
        ErrorName::try_from(self.name.as_str()).unwrap_or_else(|_| {
            ErrorName::from_static_str_unchecked("org.freedesktop.DBus.Error.Failed")
        })
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}
