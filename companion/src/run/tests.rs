use cuo_cluster::ApiError;

use super::*;

#[test]
fn the_first_thing_that_keeps_it_from_its_work_is_named() {
    let waiting = |error: Option<&str>| Leadership::Waiting {
        holder: None,
        error: error.map(|message| ApiError::Forbidden {
            message: message.into(),
        }),
    };
    let credentials = || Some("no token".to_owned());
    let gates = || Some("UpdateGates can't be watched: no".to_owned());
    let lease = "the lease cuo-companion can't be read or taken: forbidden: no role";
    let table = [
        (None, Leadership::Leading, None, None),
        (None, waiting(None), None, None),
        (
            credentials(),
            waiting(Some("no role")),
            gates(),
            Some("there are no credentials: no token"),
        ),
        (None, waiting(Some("no role")), gates(), Some(lease)),
        (
            None,
            Leadership::Leading,
            gates(),
            Some("UpdateGates can't be watched: no"),
        ),
        // What was so while this process led.
        (None, waiting(None), gates(), None),
    ];
    for (credentials, state, gates, expected) in table {
        assert_eq!(
            missing(credentials, &state, &gates).as_deref(),
            expected,
            "{state:?} {gates:?}"
        );
    }
}
