use super::*;

fn place(name: &str) -> Place {
    Place {
        repository: format!("https://git.{name}/cuo"),
        registry: format!("registry.{name}"),
        site: format!("https://{name}/docs"),
        copr: ("a".to_owned(), "b".to_owned()),
    }
}

#[test]
fn what_is_published_names_the_place_that_was_asked_for() {
    let (here, there) = (place("cuo.example"), place("acme.example"));
    let text = |place: &Place| {
        let Place {
            repository,
            registry,
            site,
            ..
        } = place;
        format!("image: {registry}/cuo-operator:1\nurl: {repository}/issues, {site}/x.html\n")
    };
    assert_eq!(there.instead_of(&here, &text(&here)), text(&there));
}

#[test]
fn runbooks_are_pages_of_the_site() {
    let rules = "a:\n  runbook_url: https://elsewhere.example/runbooks/CuoNodeFailed\n  b: c\n";
    let expected =
        "a:\n  runbook_url: https://cuo.example/docs/runbooks/CuoNodeFailed.html\n  b: c\n";
    let found = place("cuo.example").runbooks(rules);
    assert_eq!(found, expected);
    assert_eq!(place("cuo.example").runbooks(&found), expected);
}

/// Nobody else may own what files point to before there is a place.
#[test]
fn the_workspace_has_one_place() {
    let Place {
        repository,
        registry,
        site,
        ..
    } = Place::of_workspace().unwrap();
    for url in [&repository, &site] {
        assert!(url.starts_with("https://") && !url.ends_with('/'), "{url}");
    }
    assert!(!registry.contains("://") && !registry.ends_with('/'));
}
