//! Microsoft Teams: an Adaptive Card for the trigger "When a Teams webhook request is received" of a workflow.

use serde_json::json;

use super::{SendError, address, json, short};
use crate::config::{Address, Severity};
use crate::notify::message::Message;
use crate::web::{self, Web};

/// A message has at most 28 KB.
const LONGEST: usize = 6000;

pub async fn send(web: &Web, to: &Address, message: &Message) -> Result<(), SendError> {
    let colour = match message.severity {
        Severity::Info => "Default",
        Severity::Warning => "Warning",
        Severity::Error => "Attention",
    };
    // A line break alone is none in a text block.
    let text = short(&message.text, LONGEST).replace('\n', "\n\n");
    let body = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    { "type": "TextBlock", "text": message.title, "weight": "Bolder", "color": colour, "wrap": true },
                    { "type": "TextBlock", "text": text, "wrap": true },
                ],
            },
        }],
    });
    web::send(json(web.client().post(address(to)?), &body)).await?;
    Ok(())
}
