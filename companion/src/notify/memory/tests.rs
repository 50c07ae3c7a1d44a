use serde_json::json;

use super::*;
use crate::notify::news::Progress;

fn sink(name: &str, service: serde_json::Value) -> Sink {
    let mut sink = json!({ "name": name });
    for (key, value) in service.as_object().unwrap() {
        sink[key] = value.clone();
    }
    serde_json::from_value(sink).unwrap()
}

fn slack() -> Sink {
    sink("chat", json!({ "slack": { "token": "t", "channel": "c" } }))
}

fn mail() -> Sink {
    sink(
        "mail",
        json!({ "email": { "host": "h", "from": "a@b.c", "to": ["a@b.c"] } }),
    )
}

fn at(second: i64) -> Time {
    Time::from_second(second)
}

fn rollout(kind: Kind, done: usize) -> Draft {
    let mut draft = Draft::new(kind, String::new());
    draft.pools.insert("workers".into());
    draft.release = Some("2".into());
    draft.progress = Some(Progress { done, total: 3 });
    draft
}

fn pause(number: usize) -> Draft {
    Draft::new(Kind::Paused, format!("pause {number}"))
}

fn ids(queue: &Queue) -> Vec<u64> {
    queue.waiting.iter().map(|news| news.id).collect()
}

#[test]
fn news_is_queued_for_those_who_are_to_be_sent_it() {
    let mut memory = Memory::parse(None).unwrap();
    let mut errors = mail();
    errors.severity = crate::config::Severity::Error;
    let sinks = [slack(), errors];
    let drafts = vec![
        rollout(Kind::RolloutStarted, 0),
        rollout(Kind::RolloutFailed, 0),
        pause(1),
    ];
    let dropped = memory.take(Told::default(), drafts, &sinks, at(5));
    assert_eq!(dropped, BTreeMap::new());
    assert_eq!((memory.last, memory.told.is_some()), (3, true));
    assert_eq!(ids(&memory.sinks["chat"]), [1, 2, 3]);
    assert_eq!(ids(&memory.sinks["mail"]), [2]);
    // What is kept is what is read.
    assert_eq!(
        Memory::parse(Some(&memory.text().unwrap())),
        Ok(memory.clone())
    );
    // A sink that is configured no longer is forgotten.
    memory.take(Told::default(), vec![], &[slack()], at(5));
    assert_eq!(memory.sinks.keys().collect::<Vec<_>>(), ["chat"]);
}

#[test]
fn what_is_not_ours_is_not_read() {
    let wrong = Memory::parse(Some("{")).unwrap_err().to_string();
    assert!(
        wrong.starts_with("it is not understood (EOF") && wrong.contains("delete the ConfigMap"),
        "{wrong}"
    );
    let other = Memory::parse(Some(r#"{"v": 2}"#));
    assert_eq!(other, Err(MemoryError::Version(2)));
}

#[test]
fn only_the_latest_progress_waits_and_only_where_it_can_be_shown() {
    let mut memory = Memory::parse(None).unwrap();
    let drafts = vec![
        rollout(Kind::RolloutProgress, 1),
        pause(1),
        rollout(Kind::RolloutProgress, 2),
    ];
    memory.take(Told::default(), drafts, &[slack(), mail()], at(0));
    assert_eq!(ids(&memory.sinks["chat"]), [2, 3]);
    assert_eq!(ids(&memory.sinks["mail"]), [2]);
}

#[test]
fn what_is_too_old_or_too_much_is_dropped_and_said() {
    let mut memory = Memory::parse(None).unwrap();
    let sinks = [mail()];
    let many = (0..WAITING + 2).map(pause).collect();
    let dropped = memory.take(Told::default(), many, &sinks, at(0));
    assert_eq!(dropped, BTreeMap::from([("mail".to_owned(), 2)]));
    assert_eq!(ids(&memory.sinks["mail"])[..2], [3, 4]);
    let day = 24 * 3600;
    let dropped = memory.take(Told::default(), vec![pause(0)], &sinks, at(day));
    assert_eq!(dropped, BTreeMap::from([("mail".to_owned(), WAITING)]));
    let queue = &memory.sinks["mail"];
    assert_eq!((ids(queue), queue.dropped), (vec![103], 102));
    let next = queue.next(true).unwrap();
    assert_eq!(next.how, How::Digest(queue.waiting.clone(), 102));
}

/// The queue of a sink that was to be sent these.
fn queued(sink: Sink, drafts: Vec<Draft>) -> Queue {
    let mut memory = Memory::parse(None).unwrap();
    let name = sink.name.to_string();
    memory.take(Told::default(), drafts, &[sink], at(0));
    memory.sinks.remove(&name).unwrap_or_default()
}

#[test]
fn a_few_pieces_of_news_are_messages_and_many_are_one() {
    let mut few = queued(mail(), (0..3).map(pause).collect());
    let one = |queue: &Queue, at: usize| How::Post(queue.waiting[at].clone());
    let first = few.next(true).unwrap();
    assert_eq!((&first.ids[..], &first.how), (&[1][..], &one(&few, 0)));
    few.sent(&first, None);
    assert_eq!(ids(&few), [2, 3]);
    let mut many = queued(mail(), (0..4).map(pause).collect());
    assert_eq!(many.next(false).unwrap().how, one(&many, 0));
    let all = many.next(true).unwrap();
    assert_eq!(
        (&all.ids[..], &all.how),
        (&[1, 2, 3, 4][..], &How::Digest(many.waiting.clone(), 0))
    );
    // One that came while they were on their way stays.
    many.waiting.push(News {
        id: 9,
        at: at(0),
        what: pause(9),
    });
    many.sent(&all, None);
    assert_eq!(
        (ids(&many), many.next(true).map(|next| next.ids)),
        (vec![9], Some(vec![9]))
    );
}

#[test]
fn a_roll_out_has_one_message_that_is_kept_up_to_date() {
    let mut queue = queued(slack(), vec![rollout(Kind::RolloutStarted, 0)]);
    let begin = queue.next(true).unwrap();
    assert!(matches!(begin.how, How::Post(_)), "{begin:?}");
    queue.sent(&begin, Some("C1/17".into()));
    assert_eq!(
        queue.messages,
        BTreeMap::from([("workers/2".to_owned(), "C1/17".to_owned())])
    );

    let more = |id, kind, done| News {
        id,
        at: at(0),
        what: rollout(kind, done),
    };
    let progress = more(2, Kind::RolloutProgress, 1);
    let finished = more(4, Kind::RolloutFinished, 3);
    let other = News {
        what: pause(3),
        ..more(3, Kind::Paused, 0)
    };
    queue.waiting = vec![progress, other.clone(), finished.clone()];
    let end = queue.next(true).unwrap();
    let change = |news: &News| How::Change("C1/17".into(), news.clone());
    assert_eq!((&end.ids[..], &end.how), (&[2, 4][..], &change(&finished)));
    // Somebody deleted the message: the next one is another.
    let mut deleted = queue.clone();
    deleted.gone(&end);
    let posted = deleted.next(true).unwrap();
    assert_eq!(posted.how, How::Post(deleted.waiting[0].clone()));

    queue.sent(&end, Some("C1/17".into()));
    let rest = Queue {
        waiting: vec![other],
        ..Queue::default()
    };
    assert_eq!(queue, rest);
}

#[test]
fn what_was_sent_is_not_sent_again_after_a_memory_that_lacks_it_was_read() {
    let mut memory = Memory::parse(None).unwrap();
    let sinks = [slack(), mail()];
    let drafts = vec![rollout(Kind::RolloutStarted, 0), pause(1)];
    memory.take(Told::default(), drafts, &sinks, at(0));
    let stored = memory.clone();
    let ended = |sink: &str, fate| Ended {
        sink: sink.to_owned(),
        delivery: stored.sinks[sink].next(true).unwrap(),
        fate,
    };
    let all = vec![
        ended("chat", End::Sent(Some("C1/17".into()))),
        ended("mail", End::Refused),
    ];
    for one in &all {
        memory.end(one);
    }
    assert_eq!(
        (ids(&memory.sinks["chat"]), ids(&memory.sinks["mail"])),
        (vec![2], vec![2])
    );
    assert_eq!(memory.sinks["mail"].dropped, 1);
    // The write failed; and once more.
    let mut unsaved = all.clone();
    let mut read = stored.clone();
    read.catch_up(&mut unsaved);
    assert_eq!((&read, &unsaved), (&memory, &all));
    // It was written after all.
    read.catch_up(&mut unsaved);
    assert_eq!((&read, &unsaved), (&memory, &all));
    // Somebody deleted it, and the numbers begin anew.
    let mut anew = Memory::parse(None).unwrap();
    anew.catch_up(&mut unsaved);
    assert_eq!((anew, unsaved), (Memory::parse(None).unwrap(), vec![]));
}

#[test]
fn a_message_that_is_gone_stays_gone_after_a_memory_that_has_it_was_read() {
    let mut queue = queued(slack(), vec![rollout(Kind::RolloutProgress, 1)]);
    queue.messages.insert("workers/2".into(), "C1/17".into());
    let mut memory = Memory::parse(None).unwrap();
    memory.last = 1;
    memory.sinks.insert("chat".into(), queue);
    for fate in [End::Gone, End::Refused] {
        let delivery = memory.sinks["chat"].next(true).unwrap();
        let sink = "chat".to_owned();
        let mut read = memory.clone();
        read.catch_up(&mut vec![Ended {
            sink,
            delivery,
            fate,
        }]);
        assert_eq!(read.sinks["chat"].messages, BTreeMap::new());
    }
}

#[test]
fn what_does_not_fit_is_dropped_from_the_longest_queue() {
    let mut memory = Memory::parse(None).unwrap();
    let many = (0..10).map(pause).collect();
    memory.take(Told::default(), many, &[slack(), mail()], at(0));
    memory.sinks.get_mut("mail").unwrap().waiting.drain(..5);
    let whole = memory.text().unwrap();
    let mut fits = memory.clone();
    assert_eq!(fits.fit(whole.len()), Ok((whole.clone(), BTreeMap::new())));
    assert_eq!(fits, memory);
    let (text, dropped) = memory.fit(whole.len() - 100).unwrap();
    assert!(text.len() <= whole.len() - 100, "{text}");
    assert_eq!(dropped, BTreeMap::from([("chat".to_owned(), 2)]));
    assert_eq!(ids(&memory.sinks["chat"])[..2], [3, 4]);
    assert_eq!(memory.sinks["chat"].dropped, 2);
    // What is left without any news is kept as it is, and refused by name.
    let (text, _) = memory.fit(0).unwrap();
    assert!(text.len() > 10 && memory.sinks.values().all(|queue| queue.waiting.is_empty()));
}
