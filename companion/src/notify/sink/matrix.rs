//! Matrix, by the client-server API.

use serde_json::{Value, json};

use super::{Place, SendError, answer, json, text};
use crate::config::Matrix;
use crate::notify::message::Message;
use crate::web::Web;

pub async fn send(
    web: &Web,
    to: &Matrix,
    message: &Message,
    place: Place<'_>,
) -> Result<String, SendError> {
    let written = content(message);
    let body = match place {
        Place::New => written,
        // Clients that don't know of changes show the star.
        Place::Of(known) => json!({
            "msgtype": "m.notice",
            "body": format!("* {}", written["body"].as_str().unwrap_or_default()),
            "m.new_content": written,
            "m.relates_to": { "rel_type": "m.replace", "event_id": known },
        }),
    };
    let mut url = to.homeserver.below("_matrix/client/v3/rooms");
    // The server sends it once, whatever happens to the answer of the first try.
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend([to.room.as_str(), "send", "m.room.message", &message.id]);
    }
    let request = web.client().put(url).bearer_auth(to.token.read()?);
    let answer = answer(json(request, &body)).await?;
    match place {
        Place::New => text(&answer, "event_id").map(str::to_owned),
        // Every change refers to the first one.
        Place::Of(known) => Ok(known.to_owned()),
    }
}

fn content(message: &Message) -> Value {
    let body = format!("{}\n{}", message.title, message.text);
    let (title, text) = (escaped(&message.title), escaped(&message.text));
    json!({
        "msgtype": "m.notice",
        "body": body.trim_end(),
        "format": "org.matrix.custom.html",
        "formatted_body": format!("<strong>{title}</strong><br>{}", text.replace('\n', "<br>")),
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
