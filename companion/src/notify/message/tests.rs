use serde_json::json;

use super::*;
use crate::notify::news::Draft;
use cuo_core::time::Time;

fn words(title: Option<&str>, text: Option<&str>, cluster: Option<&str>) -> Result<Words, String> {
    let mut sink = json!({ "name": "s", "teams": { "url": "https://t" } });
    for (field, template) in [("title", title), ("text", text)] {
        if let Some(template) = template {
            sink[field] = json!(template);
        }
    }
    let sink: Sink = serde_json::from_value(sink).unwrap();
    Words::of(&sink, cluster).map_err(|error| error.to_string())
}

fn news(id: u64, kind: Kind) -> News {
    News {
        id,
        at: Time::from_second(1000),
        what: Draft {
            text: format!("text {id}"),
            ..News::example(kind).what
        },
    }
}

#[test]
fn a_message_is_what_the_templates_make_of_the_news() {
    let one = || How::Post(news(7, Kind::UpdateAborted));
    let table = [
        (
            None,
            None,
            None,
            "n1 gave its update up: DrainBlocked",
            "text 7",
        ),
        (
            None,
            None,
            Some("prod"),
            "[prod] n1 gave its update up: DrainBlocked",
            "text 7",
        ),
        (
            Some("{{ cluster }} {{ kind }}/{{ severity }}\n{{ code }}"),
            Some(
                "{{ node }} in {{ pools | join(' and ') }}: {{ release }} ({{ done }}/{{ total }}), {{ at }}",
            ),
            Some("prod"),
            "prod UpdateAborted/Warning DrainBlocked",
            "n1 in workers: 43.20261020.3.0 (1/3), 1970-01-01T00:16:40Z",
        ),
    ];
    for (title, text, cluster, first, rest) in table {
        let (message, unfilled) = words(title, text, cluster).unwrap().message(&one());
        assert_eq!(unfilled, None);
        let expected = Message {
            id: "cuo-1000-7".into(),
            title: first.into(),
            text: rest.into(),
            severity: Severity::Warning,
            news: vec![news(7, Kind::UpdateAborted)],
        };
        assert_eq!(message, expected);
    }
}

#[test]
fn a_template_that_can_not_be_filled_in_is_found_with_the_configuration() {
    let wrong = words(Some("{{ headlin }}"), None, None).unwrap_err();
    let expected = "the template title of notifications (s) can't be filled in for RolloutStarted: undefined value";
    assert!(wrong.starts_with(expected), "{wrong}");
    let wrong = words(None, Some("{{ text | shout }}"), None).unwrap_err();
    assert!(
        wrong.contains("the template text") && wrong.contains("shout"),
        "{wrong}"
    );
}

#[test]
fn a_template_has_to_do_without_what_some_kinds_lack() {
    let share = "{{ done * 100 // total }} %";
    let wrong = words(Some(share), None, None).unwrap_err();
    let expected =
        "the template title of notifications (s) can't be filled in for ReleaseGivenUp: ";
    assert!(wrong.starts_with(expected), "{wrong}");
    let asks = format!("{{% if total %}}{share}{{% endif %}}");
    let (message, unfilled) = words(Some(&asks), None, None)
        .unwrap()
        .message(&How::Post(news(1, Kind::RolloutProgress)));
    assert_eq!((message.title.as_str(), unfilled), ("33 %", None));
}

#[test]
fn what_a_template_can_not_say_is_told_without_it() {
    let mut words = words(None, None, Some("prod")).unwrap();
    let paused = || News {
        what: Draft::new(Kind::Paused, "All nodes".to_owned()),
        ..news(1, Kind::Paused)
    };
    let usual = words.message(&How::Post(paused()));
    assert_eq!(usual.1, None);
    // Such as a filter that fails for some value only.
    words.title = "{{ done * 2 }}".to_owned();
    let (message, unfilled) = words.message(&How::Post(paused()));
    assert_eq!(message, usual.0);
    assert!(unfilled.is_some_and(|error| error.to_string().contains("the template title")),);
    let (digest, unfilled) = words.message(&How::Digest(vec![paused()], 0));
    assert_eq!(digest.text, "- [prod] Updates are paused");
    assert!(unfilled.is_some());
}

#[test]
fn many_pieces_of_news_are_a_list() {
    let words = words(None, None, Some("prod")).unwrap();
    let two = vec![news(1, Kind::Paused), news(2, Kind::RolloutFailed)];
    let (digest, unfilled) = words.message(&How::Digest(two.clone(), 3));
    assert_eq!(unfilled, None);
    let text = "- [prod] Updates are paused\n- [prod] 43.20261020.3.0 failed in pool workers (1 of 3 nodes)\n- and 3 more, which are not listed";
    let expected = Message {
        id: "cuo-1000-2-5".into(),
        title: "[prod] 5 pieces of news about updates".into(),
        text: text.into(),
        severity: Severity::Error,
        news: two,
    };
    assert_eq!(digest, expected);
    let many = (0..40).map(|id| news(id, Kind::Paused)).collect();
    let (digest, _) = words.message(&How::Digest(many, 0));
    assert!(
        digest.text.lines().count() == 31
            && digest.text.ends_with("- and 10 more, which are not listed")
    );
}
