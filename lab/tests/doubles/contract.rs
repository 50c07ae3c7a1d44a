//! The contract of rpm-ostreed, as far as the double keeps it.

use std::collections::BTreeSet;
use std::pin::pin;

use cuo_lab::conformance::{KNOWN, all, known, on_double, record};
use futures::{StreamExt, stream};

#[tokio::test]
async fn the_double_keeps_the_contract() {
    // Most of the time they wait.
    let shown = stream::iter(all()).map(async |case| (case, on_double(case).await));
    let mut shown = pin!(shown.buffered(4));
    while let Some((case, shown)) = shown.next().await {
        let shown = shown.unwrap_or_else(|error| panic!("{}: {error:#}", case.name));
        let expected = known(case.name).map_or(case.expected(), |known| known.double.to_vec());
        assert_eq!(shown, expected, "{}", case.name);
    }
}

#[test]
fn every_case_has_a_name_of_its_own_and_expects_something() {
    let names: BTreeSet<_> = all().map(|case| case.name).collect();
    assert_eq!(names.len(), all().count());
    for case in all() {
        assert_ne!(case.expected(), Vec::<&str>::new(), "{}", case.name);
    }
    let kept: Vec<_> = record::sections().collect();
    assert_eq!(kept, all().map(|case| case.name).collect::<Vec<_>>());
}

#[test]
fn what_is_known_is_known_of_a_case_and_differs() {
    for known in KNOWN {
        let case = all().find(|case| case.name == known.case);
        let expected = case.unwrap_or_else(|| panic!("{known:?}")).expected();
        assert_ne!(known.double, expected, "{}", known.case);
    }
}
