use super::*;

#[test]
fn each_class_of_failures_has_its_pause_and_success_starts_over() {
    let message = || "m".to_owned();
    let conflict = ApiError::Conflict { message: message() };
    let server = ApiError::Server {
        code: 503,
        message: message(),
    };
    let forbidden = ApiError::Forbidden { message: message() };
    let busy = ApiError::TooManyRequests {
        retry_after: Some(Duration::from_secs(7)),
        message: message(),
    };
    let for_ever = ApiError::TooManyRequests {
        retry_after: Some(Duration::from_secs(4_000_000_000)),
        message: message(),
    };
    let unauthorized = ApiError::Unauthorized { message: message() };
    let cases = [
        (conflict, [50, 100, 200, 30_000], [1, 2]),
        (server, [500, 1000, 2000, 30_000], [1, 2]),
        (unauthorized, [500, 1000, 2000, 30_000], [1, 2]),
        (forbidden, [30_000, 30_000, 30_000, 30_000], [1, 2]),
        (busy, [7000, 7000, 7000, 7000], [2, 3]),
        (for_ever, [300_000; 4], [2, 3]),
    ];
    // How long at least and at most, in halves.
    for (error, expected, [least, most]) in cases {
        let mut pause = Pause::default();
        let expect = |pause: &mut Pause, whole: u64| {
            let (before, whole) = (Instant::now(), Duration::from_millis(whole));
            pause.until = None;
            pause.failed("a call", &error);
            let until = pause.until(before).unwrap();
            let range = before + whole * least / 2..=Instant::now() + whole * most / 2;
            assert!(range.contains(&until), "{error}: {until:?} in {range:?}");
            assert_eq!(pause.until(until), None);
        };
        let [first, second, third, last] = expected;
        for whole in [first, second, third] {
            expect(&mut pause, whole);
        }
        pause.failures += 100;
        expect(&mut pause, last);
        pause.well();
        expect(&mut pause, first);
    }
}

/// A hundred writes may be under way when the API server says that it is overloaded.
#[test]
fn a_burst_of_failures_is_one() {
    let asks = |seconds: Option<u64>| ApiError::TooManyRequests {
        retry_after: seconds.map(Duration::from_secs),
        message: "m".into(),
    };
    let start = Instant::now();
    let mut pause = Pause::default();
    for _ in 0..100 {
        pause.failed("a call", &asks(None));
    }
    let most = FIRST + Duration::from_millis(100);
    let until = pause.until(start).unwrap();
    assert!(pause.failures == 1 && until <= start + most, "{pause:?}");
    // Whoever asks for the longest is heard.
    for seconds in [5, 1] {
        pause.failed("a call", &asks(Some(seconds)));
    }
    let until = pause.until(start).unwrap();
    assert!(until >= start + Duration::from_secs(5), "{pause:?}");
    pause.until = None;
    pause.failed("a call", &asks(None));
    assert_eq!(pause.failures, 2);
}
