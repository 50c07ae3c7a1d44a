//! Slack, by its Web API: a bot can change what it wrote, and an incoming webhook can't.

use std::time::Duration;

use serde_json::json;

use super::{Place, SendError, answer, json, short, text};
use crate::config::Slack;
use crate::notify::message::Message;
use crate::web::{Web, WebError};

/// Slack cuts longer texts (40 000 characters), and advises 4 000.
const LONGEST: usize = 4000;
/// The pause where Slack says without a time that there were too many calls.
const PAUSE: Duration = Duration::from_secs(30);

pub async fn send(
    web: &Web,
    to: &Slack,
    message: &Message,
    place: Place<'_>,
) -> Result<String, SendError> {
    let body = format!("*{}*\n{}", escaped(&message.title), escaped(&message.text));
    let body = short(body.trim_end(), LONGEST);
    // A change needs the channel's id, which the answer has, and not its name.
    let (method, body) = match place {
        Place::New => (
            "chat.postMessage",
            json!({ "channel": to.channel, "text": body }),
        ),
        Place::Of(known) => {
            let (channel, ts) = known.split_once('/').ok_or(SendError::Gone)?;
            let body = json!({ "channel": channel, "ts": ts, "text": body });
            ("chat.update", body)
        }
    };
    let request = web.client().post(to.api.below(method));
    let request = json(request.bearer_auth(to.token.read()?), &body);
    let answer = answer(request).await?;
    if answer["ok"] == true {
        let (channel, ts) = (text(&answer, "channel")?, text(&answer, "ts")?);
        return Ok(format!("{channel}/{ts}"));
    }
    Err(match text(&answer, "error")? {
        "message_not_found" | "cant_update_message" | "edit_window_closed" => SendError::Gone,
        "ratelimited" | "rate_limited" => SendError::Web(WebError::Refused {
            status: 429,
            said: String::new(),
            wait: Some(PAUSE),
        }),
        error => SendError::Refused(short(error, 100)),
    })
}

/// Slack's own escapes, without which a text could name everybody in the channel.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
