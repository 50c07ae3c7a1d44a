//! A program of the administrator's, which gets a CloudEvent: version 1.0 in structured mode.

use serde_json::json;

use super::{SendError, secret_url};
use crate::config::Webhook;
use crate::notify::message::Message;
use crate::web::{self, Web};

/// The media type of one event in JSON.
const EVENT: &str = "application/cloudevents+json; charset=utf-8";
/// Where all events come from.
const SOURCE: &str = "https://cuo.coreos.com/companion";
/// The type of a message that tells more than one thing, or none.
const MESSAGE: &str = "com.coreos.cuo.message";

pub async fn send(web: &Web, to: &Webhook, message: &Message) -> Result<(), SendError> {
    let event = |news: &[crate::notify::news::News]| match news {
        [one] => one.what.kind.event(),
        _ => MESSAGE,
    };
    let about = message.news.first().map(|news| &news.what);
    let subject = about.and_then(|what| what.node.as_ref().or(what.pools.first()));
    let body = json!({
        "specversion": "1.0",
        "id": message.id,
        "source": SOURCE,
        "type": event(&message.news),
        "subject": subject.map_or("cluster", String::as_str),
        "time": message.news.last().map(|news| news.at),
        "datacontenttype": "application/json",
        "data": {
            "severity": message.severity,
            "title": message.title,
            "text": message.text,
            "news": message.news,
        },
    });
    let mut request = web.client().post(secret_url(&to.url)?);
    if let Some(token) = &to.token {
        request = request.bearer_auth(token.read()?);
    }
    let request = request.header(reqwest::header::CONTENT_TYPE, EVENT);
    web::send(request.body(body.to_string())).await?;
    Ok(())
}
