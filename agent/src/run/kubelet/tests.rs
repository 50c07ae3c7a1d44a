use super::*;

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.into(),
        version: version.into(),
    }
}

#[test]
fn each_update_is_asked_about_once_and_the_server_only_where_it_matters() {
    let mut side = KubeletSide::default();
    assert_eq!(side.question("one"), Some(Question::Packages));
    side.asks();
    assert_eq!(side.question("one"), None);
    side.brings("one".into(), &[package("bash", "5.2")]);
    assert_eq!((side.question("one"), side.skew()), (None, None));

    assert_eq!(side.question("two"), Some(Question::Packages));
    side.brings("two".into(), &[package("kubelet", "1.35.0-1")]);
    assert_eq!(side.question("two"), Some(Question::Server));
    assert!(side.wake("two").is_some());
    // Nobody is to be woken for what is on its way.
    side.asks();
    assert_eq!((side.question("two"), side.wake("two")), (None, None));
    // It did not answer, and is asked again after a while.
    side.serves(None);
    assert_eq!(side.question("two"), None);
    assert!(side.wake("two").is_some());
    side.asked = side.asked.map(|at| at - SILENT);
    assert_eq!(side.question("two"), Some(Question::Server));
    side.serves(Some("v1.34.2"));
    let expected = Skew {
        update: "two".into(),
        kubelet: Minor::parse("1.35").unwrap(),
        server: Minor::parse("1.34").unwrap(),
    };
    assert_eq!((side.question("two"), side.skew()), (None, Some(expected)));
    assert!(side.wake("two").is_some());
    // Later it is asked again, and has been upgraded.
    side.asked = side.asked.map(|at| at - AGAIN);
    // Another update may have taken its place since, which has to be asked about first.
    assert_eq!(side.wake("three"), None);
    assert_eq!(side.question("two"), Some(Question::Server));
    side.serves(Some("v1.35.0"));
    assert_eq!((side.question("two"), side.wake("two")), (None, None));
}
