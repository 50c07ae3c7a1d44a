use zbus::{OwnedVariant, Variant};

use super::{Options, Update};

fn options(all: &[(&str, Variant<'static>)]) -> Options {
    let all = all.iter().map(|(key, value)| {
        let value = OwnedVariant::try_from(value.try_clone().unwrap()).unwrap();
        ((*key).to_owned(), value)
    });
    Options(all.collect())
}

#[test]
fn polkit_is_asked_about_what_is_modified() {
    let packages = || Variant::from(vec!["htop"]);
    let refspec = || {
        (
            "set-refspec",
            Variant::from("ostree-unverified-registry:h/i"),
        )
    };
    let revision = || ("set-revision", Variant::from("sha256:a"));
    let flag = |key| (key, Variant::from(true));
    for (modifiers, options_, expected) in [
        (vec![], vec![], vec!["upgrade"]),
        (vec![revision()], vec![], vec!["deploy"]),
        (vec![refspec()], vec![], vec!["rebase"]),
        (
            vec![revision(), refspec()],
            vec![flag("allow-downgrade")],
            vec!["rebase"],
        ),
        (
            vec![("install-packages", packages())],
            vec![],
            vec!["upgrade", "install-uninstall-packages"],
        ),
        (
            vec![("uninstall-packages", packages())],
            vec![flag("no-pull-base")],
            vec!["install-uninstall-packages"],
        ),
        (vec![], vec![flag("no-pull-base")], vec!["override"]),
    ] {
        let update = Update::modified(&options(&modifiers), &options(&options_));
        assert_eq!(update.actions(), expected, "{modifiers:?} {options_:?}");
    }
}

#[test]
fn only_a_rebase_may_go_back_without_permission() {
    let refspec = ("set-refspec", Variant::from("r:b"));
    let revision = ("set-revision", Variant::from("version=1"));
    for (modifiers, expected) in [
        (vec![], false),
        (vec![&revision], false),
        (vec![&refspec], true),
        (vec![&refspec, &revision], true),
    ] {
        let modifiers: Vec<_> = modifiers
            .into_iter()
            .map(|(key, value)| (*key, value.try_clone().unwrap()))
            .collect();
        let modifiers = options(&modifiers);
        let update = Update::modified(&modifiers, &options(&[]));
        assert_eq!(update.allow_downgrade, expected);
        let never = options(&[("allow-downgrade", Variant::from(false))]);
        assert!(!Update::modified(&modifiers, &never).allow_downgrade);
    }
}
