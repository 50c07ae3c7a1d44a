//! ntfy, by its JSON API.

use serde_json::json;

use super::{SendError, json, short};
use crate::config::{Ntfy, Severity};
use crate::notify::message::Message;
use crate::web::{self, Web};

/// A longer message becomes an attachment (4 096 bytes).
const LONGEST: usize = 1000;

pub async fn send(web: &Web, to: &Ntfy, message: &Message) -> Result<(), SendError> {
    // Of 1 to 5; 4 makes a sound where 3 may not.
    let (priority, tag) = match message.severity {
        Severity::Info => (3, "information_source"),
        Severity::Warning => (3, "warning"),
        Severity::Error => (4, "rotating_light"),
    };
    let body = json!({
        "topic": to.topic.read()?,
        "title": message.title,
        "message": short(&message.text, LONGEST),
        "priority": priority,
        "tags": [tag],
    });
    let mut request = web.client().post(to.server.below(""));
    if let Some(token) = &to.token {
        request = request.bearer_auth(token.read()?);
    }
    web::send(json(request, &body)).await?;
    Ok(())
}
