use super::*;

#[test]
fn every_test_that_is_named_exists() {
    if let Err(error) = check() {
        panic!("{error:#}");
    }
}

#[test]
fn names_are_found_on_both_sides() {
    let page = "| there | CUO | shown by |\n| a `flag` | b | `one`, `two` |\n| a | b | - |\nIt is so\n\
                (`th_ree`), see `no_t` (`-n`, `c_d`) (`--e`).\n";
    assert_eq!(named(page), BTreeSet::from(["one", "th_ree", "two"]));
    let code = "fn no() {}\n#[test]\n// why\nfn one() {}\n  #[tokio::test(x)]\n  async fn two() {\nfn no() {}\n";
    assert_eq!(tests(code), ["one", "two"]);
}
