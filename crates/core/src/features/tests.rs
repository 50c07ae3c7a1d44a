use super::*;
use crate::ids::ReleaseId;
use crate::time::Time;

#[test]
fn what_is_announced_is_in_it_and_those_of_the_first_release_announce_nothing() {
    let own = Feature::own();
    assert_eq!(
        own.to_string(),
        "cordoned,drain-mode,only-node,preflight,reboot,release,retry"
    );
    assert!(Feature::ALL.iter().all(|feature| feature.is_in(&own)));
    let newer: Names = "drain-mode,zebra".parse().unwrap();
    let known = |feature: &&Feature| feature.is_in(&newer);
    let known: Vec<_> = Feature::ALL.iter().filter(known).collect();
    assert_eq!(known, [&Feature::DrainMode]);
    let none = Names::default();
    assert!(!Feature::ALL.iter().any(|feature| feature.is_in(&none)));
}

#[test]
fn what_was_announced_in_another_boot_is_another_agents() {
    let [here, before] = [2, 1].map(|byte| BootId::from_bytes([byte; 16]));
    let booted = Field::Value(Booted {
        identity: ReleaseId::Commit([7; 32]),
        version: String::new(),
        boot: here,
        since: Time::EPOCH,
    });
    let [own, stale] = [here, before].map(|boot| Feature::announced(Some(&boot)));
    assert_eq!(
        own.to_string(),
        "boot-02020202,cordoned,drain-mode,only-node,preflight,reboot,release,retry"
    );
    let plain = Feature::announced(None);
    let none = Names::default();
    let cases = [
        (&own, &booted, &own),
        (&stale, &booted, &none),
        (&plain, &booted, &plain),
        (&stale, &Field::Absent, &stale),
    ];
    for (found, booted, expected) in cases {
        assert_eq!(
            &Feature::current(found.clone(), booted),
            expected,
            "{found}"
        );
    }
}
