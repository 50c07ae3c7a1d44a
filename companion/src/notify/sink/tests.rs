use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use cuo_core::time::Time;
use serde_json::json;

use super::*;
use crate::config::Severity;
use crate::double::{Api, Reply};
use crate::notify::news::{Draft, Kind, News};

/// What was sent: the line of the request, its `Authorization`, its `Content-Type` and its body.
type Sent = (String, String, String, Value);

fn message() -> Message {
    let what = Draft {
        node: Some("n1".into()),
        code: Some("DrainBlocked".into()),
        ..Draft::new(Kind::UpdateAborted, "web-1 stays".into())
    };
    let at = Time::from_second(1000);
    Message {
        id: "cuo-1000-7".into(),
        title: "n1 <gave> its update up".into(),
        text: "web-1 stays\n& web-2".into(),
        severity: Severity::Warning,
        news: vec![News { id: 7, at, what }],
    }
}

fn post() -> Post {
    let authorities = web::authorities(None).unwrap();
    Post {
        web: Web::new(&authorities).unwrap(),
        authorities,
    }
}

fn sink(service: Value) -> Sink {
    let mut sink = json!({ "name": "s" });
    for (key, value) in service.as_object().unwrap() {
        sink[key] = value.clone();
    }
    serde_json::from_value(sink).unwrap()
}

/// Sends the message to a sink whose configuration names the address of a server that answers so, as `URL`.
async fn sent(
    service: Value,
    place: Place<'_>,
    answer: Reply,
) -> (Vec<Sent>, Result<Option<String>, SendError>) {
    let api = Api::start(move |_| answer.clone()).await;
    let base = format!("http://{}", api.address);
    let service = service.to_string().replace("URL", &base);
    let sink = sink(serde_json::from_str(&service).unwrap());
    let result = post().send(&sink, &message(), place).await;
    let seen = api.seen().into_iter().map(|request| {
        let header = |name: &str| request.header(name).to_owned();
        (
            request.line.clone(),
            header("authorization"),
            header("content-type"),
            serde_json::from_str(&request.body).unwrap(),
        )
    });
    (seen.collect(), result)
}

const JSON: &str = "application/json; charset=utf-8";

fn one(line: &str, token: &str, kind: &str, body: Value) -> Vec<Sent> {
    vec![(line.into(), token.into(), kind.into(), body)]
}

#[tokio::test]
async fn a_webhook_gets_a_cloud_event() {
    let service = json!({ "webhook": { "url": "URL/hook?key=k", "token": "t0" } });
    let found = sent(service, Place::New, Reply::text(202, "")).await;
    let event = json!({
        "specversion": "1.0",
        "id": "cuo-1000-7",
        "source": "https://cuo.coreos.com/companion",
        "type": "com.coreos.cuo.update.aborted",
        "subject": "n1",
        "time": "1970-01-01T00:16:40Z",
        "datacontenttype": "application/json",
        "data": {
            "severity": "Warning",
            "title": "n1 <gave> its update up",
            "text": "web-1 stays\n& web-2",
            "news": [{
                "id": 7, "at": "1970-01-01T00:16:40Z", "kind": "UpdateAborted", "node": "n1",
                "code": "DrainBlocked", "text": "web-1 stays",
            }],
        },
    });
    let kind = "application/cloudevents+json; charset=utf-8";
    assert_eq!(
        found,
        (one("POST /hook?key=k", "Bearer t0", kind, event), Ok(None))
    );
}

#[tokio::test]
async fn slack_posts_a_message_and_changes_it() {
    let service = || json!({ "slack": { "token": "xoxb-1", "channel": "#ops", "api": "URL/api" } });
    let text = "*n1 &lt;gave&gt; its update up*\nweb-1 stays\n&amp; web-2";
    let taken = || Reply::json(200, json!({ "ok": true, "channel": "C1", "ts": "17.01" }));
    let known = || Ok(Some("C1/17.01".to_owned()));
    let body = json!({ "channel": "#ops", "text": text });
    let posted = one("POST /api/chat.postMessage", "Bearer xoxb-1", JSON, body);
    assert_eq!(
        sent(service(), Place::New, taken()).await,
        (posted, known())
    );
    let body = json!({ "channel": "C1", "ts": "17.01", "text": text });
    let changed = one("POST /api/chat.update", "Bearer xoxb-1", JSON, body);
    assert_eq!(
        sent(service(), Place::Of("C1/17.01"), taken()).await,
        (changed, known())
    );

    let refused = |error: &str| Reply::json(200, json!({ "ok": false, "error": error }));
    let (_, gone) = sent(
        service(),
        Place::Of("C1/17.01"),
        refused("message_not_found"),
    )
    .await;
    assert_eq!(gone, Err(SendError::Gone));
    let (_, wrong) = sent(service(), Place::New, refused("channel_not_found")).await;
    assert_eq!(wrong, Err(SendError::Refused("channel_not_found".into())));
    let (_, busy) = sent(service(), Place::New, refused("ratelimited")).await;
    assert_eq!(busy.unwrap_err().wait(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn teams_gets_a_card() {
    let found = sent(
        json!({ "teams": { "url": "URL/workflows/1?sig=s" } }),
        Place::New,
        Reply::text(202, ""),
    )
    .await;
    let card = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    { "type": "TextBlock", "text": "n1 <gave> its update up", "weight": "Bolder", "color": "Warning", "wrap": true },
                    { "type": "TextBlock", "text": "web-1 stays\n\n& web-2", "wrap": true },
                ],
            },
        }],
    });
    assert_eq!(
        found,
        (one("POST /workflows/1?sig=s", "", JSON, card), Ok(None))
    );
}

#[tokio::test]
async fn discord_posts_a_message_and_changes_it() {
    let service = || json!({ "discord": { "url": "URL/api/webhooks/1/t" } });
    let body = json!({
        "content": "**n1 <gave> its update up**\nweb-1 stays\n& web-2",
        "allowed_mentions": { "parse": [] },
    });
    let taken = || Reply::json(200, json!({ "id": "99" }));
    let known = || Ok(Some("99".to_owned()));
    let posted = one("POST /api/webhooks/1/t?wait=true", "", JSON, body.clone());
    assert_eq!(
        sent(service(), Place::New, taken()).await,
        (posted, known())
    );
    let changed = one("PATCH /api/webhooks/1/t/messages/99", "", JSON, body);
    assert_eq!(
        sent(service(), Place::Of("99"), taken()).await,
        (changed, known())
    );
    let missing = || Reply::text(404, "");
    assert_eq!(
        sent(service(), Place::Of("99"), missing()).await.1,
        Err(SendError::Gone)
    );
    // The webhook itself is not there.
    let (_, wrong) = sent(service(), Place::New, missing()).await;
    assert_eq!(wrong.unwrap_err().to_string(), "the server answered 404");
}

#[tokio::test]
async fn matrix_sends_a_message_once_and_replaces_it() {
    let service = || json!({ "matrix": { "homeserver": "URL", "room": "!r:h", "token": "t0" } });
    let taken = || Reply::json(200, json!({ "event_id": "$1" }));
    let content = json!({
        "msgtype": "m.notice",
        "body": "n1 <gave> its update up\nweb-1 stays\n& web-2",
        "format": "org.matrix.custom.html",
        "formatted_body": "<strong>n1 &lt;gave&gt; its update up</strong><br>web-1 stays<br>&amp; web-2",
    });
    let line = "PUT /_matrix/client/v3/rooms/!r:h/send/m.room.message/cuo-1000-7";
    let posted = one(line, "Bearer t0", JSON, content.clone());
    assert_eq!(
        sent(service(), Place::New, taken()).await,
        (posted, Ok(Some("$1".into())))
    );
    let replaced = json!({
        "msgtype": "m.notice",
        "body": "* n1 <gave> its update up\nweb-1 stays\n& web-2",
        "m.new_content": content,
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$0" },
    });
    let replaced = one(line, "Bearer t0", JSON, replaced);
    assert_eq!(
        sent(service(), Place::Of("$0"), taken()).await,
        (replaced, Ok(Some("$0".into())))
    );
}

#[tokio::test]
async fn ntfy_gets_a_message_with_its_priority() {
    let service = json!({ "ntfy": { "server": "URL", "topic": "cuo", "token": "t0" } });
    let found = sent(service, Place::New, Reply::json(200, json!({}))).await;
    let body = json!({
        "topic": "cuo", "title": "n1 <gave> its update up", "message": "web-1 stays\n& web-2",
        "priority": 3, "tags": ["warning"],
    });
    assert_eq!(found, (one("POST /", "Bearer t0", JSON, body), Ok(None)));
}

/// A mail server for one conversation, and what it was told.
fn mail_server(refuse: &'static str) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let (mut told, mut body) = (Vec::new(), false);
        let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes());
        say("220 mail.example.com ESMTP").unwrap();
        for line in lines.map_while(Result::ok) {
            told.push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default();
            let answer = match verb {
                _ if body && line == "." => "250 queued",
                _ if body => continue,
                verb if verb == refuse => "550 no such user",
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            body = verb == "DATA" && !body;
            if say(answer).is_err() || verb == "QUIT" {
                break;
            }
        }
        told
    });
    (port, talk)
}

fn mail(port: u16, tls: &str) -> Sink {
    sink(json!({ "email": {
        "host": "127.0.0.1", "port": port, "tls": tls, "from": "CUO <cuo@example.com>",
        "to": ["ops@example.com", "it@example.com"],
    }}))
}

#[tokio::test]
async fn a_mail_server_gets_a_mail() {
    let (port, talk) = mail_server("");
    let result = post()
        .send(&mail(port, "None"), &message(), Place::New)
        .await;
    assert_eq!(result, Ok(None));
    let told = talk.join().unwrap();
    let has = |line: &str| told.iter().any(|known| known == line);
    for line in [
        "MAIL FROM:<cuo@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<it@example.com>",
        "DATA",
        "From: CUO <cuo@example.com>",
        "To: ops@example.com, it@example.com",
        "Subject: n1 <gave> its update up",
        "Message-ID: <cuo-1000-7@cuo-companion>",
        "Content-Type: text/plain; charset=utf-8",
        "web-1 stays",
        "& web-2",
    ] {
        assert!(has(line), "{line}\n{told:#?}");
    }
}

#[tokio::test]
async fn a_mail_server_that_refuses_or_has_no_tls_gets_none() {
    let (port, talk) = mail_server("RCPT");
    let refused = post()
        .send(&mail(port, "None"), &message(), Place::New)
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("the mail server: ") && refused.contains("550"),
        "{refused}"
    );
    assert!(!talk.join().unwrap().contains(&"DATA".to_owned()));
    let (port, talk) = mail_server("");
    let plain = post()
        .send(&mail(port, "StartTls"), &message(), Place::New)
        .await;
    assert!(matches!(plain, Err(SendError::Mail(_))), "{plain:?}");
    let told = talk.join().unwrap();
    assert!(
        told.iter().all(|line| !line.starts_with("MAIL")),
        "{told:?}"
    );
}
