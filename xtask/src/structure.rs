//! What holds of the product's source text: no circles between modules, and functions that fit on a screen.
//!
//! Each has a list of today's exceptions. It only gets shorter: what is on it and no longer so fails the test as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta};

mod functions;
mod modules;

/// The crates that are shipped, below the workspace.
const CRATES: [&str; 8] = [
    "agent",
    "operator",
    "cuoctl",
    "crates/cluster",
    "crates/coordination",
    "crates/core",
    "crates/probes",
    "crates/telemetry",
];

/// A module: names from the crate's root on, none for the root itself.
type Name = Vec<String>;

/// One module of a crate that is not for tests alone.
struct Module {
    /// Below the workspace.
    file: PathBuf,
    items: Vec<Item>,
}

fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap()
}

/// All modules of the library in the folder `name`, by their names. One that is written inside of another counts as part of it.
fn library(name: &str) -> BTreeMap<Name, Module> {
    let mut all = BTreeMap::new();
    let source = Path::new(name).join("src");
    read(Vec::new(), source.join("lib.rs"), &source, &mut all);
    all
}

/// Reads the module `name` from `file`, and those that it declares from `folder`.
fn read(name: Name, file: PathBuf, folder: &Path, all: &mut BTreeMap<Name, Module>) {
    let text = fs::read_to_string(workspace().join(&file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let items = syn::parse_file(&text).unwrap().items;
    let items: Vec<_> = items.into_iter().filter(|item| !is_test(item)).collect();
    for item in &items {
        if let Item::Mod(
            module @ ItemMod {
                content: None,
                ident,
                ..
            },
        ) = item
        {
            let ident = ident.to_string();
            let below = folder.join(&ident);
            let beside = file.parent().unwrap();
            let places = match path(&module.attrs) {
                Some(path) => [beside.join(path), PathBuf::new()],
                None => [below.with_extension("rs"), below.join("mod.rs")],
            };
            let place = places
                .into_iter()
                .find(|place| workspace().join(place).is_file());
            let place = place.unwrap_or_else(|| panic!("{}: no file of {ident}", file.display()));
            let name = name.iter().cloned().chain([ident]).collect();
            read(name, place, &below, all);
        }
    }
    all.insert(name, Module { file, items });
}

/// `#[cfg(test)]`, or with a condition on `test` like `all(test, …)`.
fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(for_tests)
}

fn for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let condition = list.tokens.to_string();
    list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all (test ,"))
}

/// The value of `#[path = "…"]`.
fn path(attributes: &[Attribute]) -> Option<String> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

fn shown(name: &Name) -> String {
    match name.is_empty() {
        true => "crate".to_owned(),
        false => name.join("::"),
    }
}

/// What is not as the list `known` has it: what is new, and what is gone from it.
fn changes(found: &[String], known: &[&str]) -> Vec<String> {
    let new = found.iter().filter(|one| !known.contains(&one.as_str()));
    let gone = known
        .iter()
        .filter(|one| !found.iter().any(|found| found == *one));
    let new = new.map(|one| format!("new: {one}"));
    let gone = gone.map(|one| format!("no longer so, take it off the list: {one}"));
    new.chain(gone).collect()
}
