use super::*;

#[test]
fn the_documentation_is_up_to_date() {
    if let Err(error) = run(&Arguments { check: true }) {
        panic!("{error:#}");
    }
}

#[test]
fn a_part_is_replaced_and_nothing_else() {
    let page = "a\n<!-- generated: x -->\nold\n<!-- end of x -->\nb\n";
    let expected = "a\n<!-- generated: x -->\nnew\nmore\n<!-- end of x -->\nb\n";
    let after = replace(page, "x", "new\nmore\n").unwrap();
    assert_eq!(after, expected);
    assert_eq!(replace(&after, "x", "new\nmore\n").unwrap(), expected);
    assert_eq!(difference(page, &after), "-old\n+new\n+more\n");
    let manifest = "# generated: x\nold\n# end of x\n";
    let expected = "# generated: x\nnew\n# end of x\n";
    assert_eq!(replace(manifest, "x", "new\n").unwrap(), expected);
    let nested = "a:\n  # generated: x\n  old\n  # end of x\nb\n";
    let expected = "a:\n  # generated: x\n  new\n\n    more\n  # end of x\nb\n";
    assert_eq!(replace(nested, "x", "new\n\n  more\n").unwrap(), expected);
    let beside = manifest.replace("# g", "a # g");
    for broken in ["a\n", "<!-- generated: x -->\n", &page.repeat(2), &beside] {
        assert!(replace(broken, "x", "").is_err(), "{broken}");
    }
}
