use super::*;
use crate::web::WebError;

#[test]
fn a_service_that_fails_is_left_alone_longer_each_time() {
    let start = Instant::now();
    let mut line = Line::new(start);
    let refused = |wait: Option<u64>| {
        SendError::Web(WebError::Refused {
            status: 429,
            said: String::new(),
            wait: wait.map(Duration::from_secs),
        })
    };
    let table = [
        (refused(None), 5),
        (refused(None), 10),
        (refused(Some(60)), 60),
        (refused(Some(100_000)), 900),
        (SendError::Refused("channel_not_found".into()), 80),
        (refused(None), 160),
        (refused(None), 300),
        (refused(None), 300),
    ];
    for (error, seconds) in table {
        line.busy = true;
        line.failed("s", &error, start);
        assert_eq!(
            (line.busy, line.from - start),
            (false, Duration::from_secs(seconds))
        );
    }
    line.sent("s", Duration::from_secs(3), start);
    assert_eq!(line.from - start, Duration::from_secs(3));
    line.failed("s", &refused(None), start);
    assert_eq!(line.from - start, Duration::from_secs(5));
}

#[test]
fn what_a_service_refuses_for_good_is_tried_ten_times() {
    let start = Instant::now();
    let mut line = Line::new(start);
    let refused = |status| {
        SendError::Web(WebError::Refused {
            status,
            said: String::new(),
            wait: None,
        })
    };
    for status in [400, 404, 410, 413, 422] {
        // What may be otherwise another time does not count.
        assert!(!line.gives_up("s", 1, &refused(429)));
        assert!(!line.gives_up("s", 1, &refused(500)));
        for _ in 1..10 {
            line.failed("s", &refused(status), start);
            assert!(!line.gives_up("s", 1, &refused(status)), "{status}");
        }
        line.failed("s", &refused(status), start);
        assert!(line.gives_up("s", 1, &refused(status)), "{status}");
        // The next one begins anew.
        line.failed("s", &refused(status), start);
        assert_eq!(line.from - start, Duration::from_secs(5));
        assert!(!line.gives_up("s", 2, &refused(status)));
        line.sent("s", Duration::ZERO, start);
    }
    // Another delivery is another matter.
    for news in 1..30 {
        assert!(!line.gives_up("s", news, &refused(400)));
    }
}
