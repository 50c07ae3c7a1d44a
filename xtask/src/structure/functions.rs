//! Functions fit on a screen and take few parameters.

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, FnArg, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn};

use super::{CRATES, changes, for_tests, library, shown};

/// Lines from `fn` to the closing brace.
const LONGEST: usize = 50;
/// Beside `self`.
const MOST: usize = 5;

/// Those that are too long or take too much, as `CRATE: MODULE::FUNCTION`. To shrink.
const KNOWN: &[&str] = &[];

#[derive(Default)]
struct Found {
    /// The function, and what is wrong with it.
    all: Vec<(String, String)>,
}

impl Found {
    fn look(&mut self, signature: &Signature, block: &Block) {
        let first = signature.fn_token.span().start().line;
        let last = block.brace_token.span.close().end().line;
        let lines = last + 1 - first;
        let inputs = signature.inputs.iter();
        let parameters = inputs
            .filter(|input| matches!(input, FnArg::Typed(_)))
            .count();
        if lines > LONGEST || parameters > MOST {
            let wrong = format!("line {first}: {lines} lines, {parameters} parameters");
            self.all.push((signature.ident.to_string(), wrong));
        }
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.look(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.look(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a TraitItemFn) {
        if let Some(block) = &item.default {
            self.look(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !item.attrs.iter().any(for_tests) {
            visit::visit_item_mod(self, item);
        }
    }
}

fn of(item: &syn::Item) -> Vec<(String, String)> {
    let mut found = Found::default();
    found.visit_item(item);
    found.all
}

#[test]
fn functions_fit_on_a_screen_and_take_few_parameters() {
    let mut found = Vec::new();
    for name in CRATES {
        for (path, module) in library(name) {
            for (function, wrong) in module.items.iter().flat_map(of) {
                let text = format!("{name}: {}::{function}", shown(&path));
                println!("{text}: {}, {wrong}", module.file.display());
                found.push(text);
            }
        }
    }
    assert_eq!(changes(&found, KNOWN), [""; 0]);
}

#[test]
fn long_functions_and_those_with_many_parameters_are_seen() {
    let lines = "let _ = 1;\n".repeat(LONGEST);
    let cases = [
        (format!("fn f() {{\n{lines}}}"), true),
        (format!("impl S {{ fn f(&self) {{\n{lines}}} }}"), true),
        (format!("mod m {{ fn f() {{\n{lines}}} }}"), true),
        (
            format!("#[cfg(test)] mod m {{ fn f() {{\n{lines}}} }}"),
            false,
        ),
        (
            "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}".to_owned(),
            true,
        ),
        (
            "trait T { fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }".to_owned(),
            false,
        ),
        (
            format!("fn f() {{\n{}}}", "let _ = 1;\n".repeat(LONGEST - 2)),
            false,
        ),
    ];
    for (text, expected) in cases {
        let item: syn::Item = syn::parse_str(&text).unwrap();
        assert_eq!(
            !of(&item).is_empty(),
            expected,
            "{}",
            item.to_token_stream()
        );
    }
}
