//! Discord, by an incoming webhook, which can change its own messages.

use serde_json::json;

use super::{Place, SendError, address, answer, json, short, text};
use crate::config::Address;
use crate::notify::message::Message;
use crate::web::Web;

/// Most characters of a message.
const LONGEST: usize = 2000;

pub async fn send(
    web: &Web,
    to: &Address,
    message: &Message,
    place: Place<'_>,
) -> Result<String, SendError> {
    let content = format!("**{}**\n{}", message.title, message.text);
    // Nobody is named, whatever the text says.
    let body = json!({
        "content": short(content.trim_end(), LONGEST),
        "allowed_mentions": { "parse": [] },
    });
    let mut url = address(to)?;
    let request = match place {
        Place::New => {
            url.query_pairs_mut().append_pair("wait", "true");
            web.client().post(url)
        }
        Place::Of(known) => {
            let path = format!("{}/messages/{known}", url.path().trim_end_matches('/'));
            url.set_path(&path);
            web.client().patch(url)
        }
    };
    match answer(json(request, &body)).await {
        Ok(answer) => text(&answer, "id").map(str::to_owned),
        Err(error) if error.status() == Some(404) && place != Place::New => Err(SendError::Gone),
        Err(error) => Err(error),
    }
}
