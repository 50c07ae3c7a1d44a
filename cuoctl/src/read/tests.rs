use std::cell::Cell;
use std::time::Duration;

use cuo_cluster::ApiError;

use super::{TRIES, patiently};

fn put_off() -> ApiError {
    ApiError::TooManyRequests {
        retry_after: Some(Duration::ZERO),
        message: "storage is (re)initializing".to_owned(),
    }
}

/// Seen on a busy API server, right after the definition of the kind was applied.
#[tokio::test]
async fn what_is_put_off_is_read_again_and_what_is_refused_is_not() {
    let refused = || ApiError::Forbidden {
        message: "no".to_owned(),
    };
    let cases = [
        (0, Ok(7), 1),
        (2, Ok(7), 3),
        (1, Err(refused()), 2),
        (100, Err(put_off()), TRIES),
    ];
    for (times, then, expected) in cases {
        let tries = Cell::new(0);
        let read = async || {
            tries.set(tries.get() + 1);
            match tries.get() > times {
                true => then.clone(),
                false => Err(put_off()),
            }
        };
        assert_eq!(patiently(read).await, then);
        assert_eq!(tries.get(), expected);
    }
}
