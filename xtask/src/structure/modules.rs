//! No module needs another that needs it in turn, be it by way of others.
//!
//! A module needs those whose items it names: after `use`, in a path that begins with `crate`, `self` or `super`, or with a child's name. A
//! name that is imported from there counts for the module that it comes from. To declare a child or to re-export from it is no need.
//! Calls of methods are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream};
use quote::ToTokens;
use syn::{Item, ItemUse, UseTree, Visibility};

use super::{CRATES, Module, Name, changes, library, shown};

/// The circles of today, as `CRATE: MODULE MODULE …`. To shrink.
const KNOWN: &[&str] = &[];

/// Who needs whom, with the lines that make it so.
type Graph = BTreeMap<Name, BTreeMap<Name, Vec<String>>>;

/// A path and the line that it stands in.
type Path = (Vec<String>, usize);

/// All paths in `tokens`: identifiers with `::` between, lists in braces taken apart.
fn paths(tokens: TokenStream, found: &mut Vec<Path>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(first) => {
                let line = first.span().start().line;
                rest(vec![first.to_string()], line, &mut tokens, found);
            }
            TokenTree::Group(group) => paths(group.stream(), found),
            _ => {}
        }
    }
}

/// What follows the beginning of a path.
fn rest(
    mut path: Vec<String>,
    line: usize,
    tokens: &mut Peekable<token_stream::IntoIter>,
    found: &mut Vec<Path>,
) {
    while is_colon(tokens.peek()) {
        tokens.next();
        if !is_colon(tokens.peek()) {
            break;
        }
        tokens.next();
        match tokens.peek() {
            Some(TokenTree::Ident(next)) => path.push(next.to_string()),
            Some(TokenTree::Group(list)) if list.delimiter() == Delimiter::Brace => {
                let mut inner = Vec::new();
                paths(list.stream(), &mut inner);
                let all = inner.into_iter();
                found.extend(all.map(|(end, line)| ([&path[..], &end[..]].concat(), line)));
                tokens.next();
                return;
            }
            _ => break,
        }
        tokens.next();
    }
    found.push((path, line));
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// The names that a `use` brings, each with its path.
fn brought(tree: &UseTree, before: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => brought(&path.tree, &with(&path.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            let last = before.last().cloned().unwrap_or_default();
            found.push((last, before.to_vec()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(name) => found.push((name.rename.to_string(), with(&name.ident))),
        UseTree::Group(group) => {
            let trees = group.items.iter();
            trees.for_each(|tree| brought(tree, before, found));
        }
        UseTree::Glob(_) => {}
    }
}

fn re_exports(item: &ItemUse) -> bool {
    !matches!(item.vis, Visibility::Inherited)
}

/// One crate.
struct Library(BTreeMap<Name, Module>);

impl Library {
    /// The module that `path`, in the module `at`, names an item of; none for what is of another crate or local.
    fn target(&self, at: &Name, path: &[String]) -> Option<Name> {
        let (mut module, mut path) = match path.first()?.as_str() {
            _ if path.len() == 1 => return None,
            "crate" => (Name::new(), &path[1..]),
            "self" => (at.clone(), &path[1..]),
            "super" => (at.clone(), path),
            first if self.has(at, first) => (at.clone(), path),
            _ => return None,
        };
        while path.first().is_some_and(|name| name == "super") {
            module.pop();
            path = &path[1..];
        }
        while let Some(name) = path.first() {
            if self.has(&module, name) {
                module.push(name.clone());
                path = &path[1..];
                continue;
            }
            if module != *at
                && let Some(origin) = self.origin(&module, name)
            {
                return Some(origin);
            }
            break;
        }
        Some(module)
    }

    fn has(&self, module: &Name, child: &str) -> bool {
        let child: Name = module.iter().cloned().chain([child.to_owned()]).collect();
        self.0.contains_key(&child)
    }

    /// Where `name` comes from if `module` imports or re-exports it.
    fn origin(&self, module: &Name, name: &str) -> Option<Name> {
        self.0[module].items.iter().find_map(|item| {
            let Item::Use(item) = item else {
                return None;
            };
            let mut names = Vec::new();
            brought(&item.tree, &[], &mut names);
            let (_, path) = names.into_iter().find(|(brought, _)| brought == name)?;
            self.target(module, &path)
        })
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (name, module) in &self.0 {
            let needs = graph.entry(name.clone()).or_default();
            for item in &module.items {
                let mut found = Vec::new();
                match item {
                    Item::Use(item) if re_exports(item) => continue,
                    Item::Mod(item) if item.content.is_none() => continue,
                    _ => paths(item.to_token_stream(), &mut found),
                }
                for (path, line) in found {
                    let target = self.target(name, &path).filter(|target| target != name);
                    if let Some(target) = target {
                        let text = format!("{}:{line} {}", module.file.display(), path.join("::"));
                        needs.entry(target).or_default().push(text);
                    }
                }
            }
        }
        graph
    }
}

/// Every set of modules of which each needs all the others, be it by way of others.
fn circles(graph: &Graph) -> Vec<BTreeSet<Name>> {
    let reach = |from: &Name| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(name) = next.pop() {
            let needs = graph.get(name).into_iter().flat_map(BTreeMap::keys);
            next.extend(needs.filter(|name| seen.insert((*name).clone())));
        }
        seen
    };
    let reached: BTreeMap<&Name, _> = graph.keys().map(|name| (name, reach(name))).collect();
    let mut all = BTreeSet::new();
    for (name, seen) in &reached {
        let back = |other: &&Name| reached[*other].contains(*name);
        let circle: BTreeSet<Name> = seen.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            all.insert(circle);
        }
    }
    all.into_iter().collect()
}

#[test]
fn no_circle_of_modules_is_new() {
    let mut found = Vec::new();
    for name in CRATES {
        let graph = Library(library(name)).graph();
        for circle in circles(&graph) {
            let members: Vec<_> = circle.iter().map(shown).collect();
            let text = format!("{name}: {}", members.join(" "));
            println!("{text}");
            for (from, needs) in graph.iter().filter(|(from, _)| circle.contains(*from)) {
                let needs = needs.iter().filter(|(to, _)| circle.contains(*to));
                for (to, lines) in needs {
                    println!("  {} -> {}: {}", shown(from), shown(to), lines.join(", "));
                }
            }
            found.push(text);
        }
    }
    assert_eq!(changes(&found, KNOWN), [""; 0]);
}

/// A crate of these modules.
fn library_of(modules: &[(&str, &str)]) -> Library {
    let module = |(name, text): &(&str, &str)| {
        let name: Name = name
            .split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let items = syn::parse_str::<syn::File>(text).unwrap().items;
        let file = format!("{}.rs", name.join("/")).into();
        (name, Module { file, items })
    };
    Library(modules.iter().map(module).collect())
}

#[test]
fn circles_are_found_whichever_way_they_are_made() {
    let circle = |modules: &[(&str, &str)]| {
        let found = circles(&library_of(modules).graph());
        let names =
            |circle: &BTreeSet<Name>| circle.iter().map(shown).collect::<Vec<_>>().join(" ");
        found.iter().map(names).collect::<Vec<_>>()
    };
    let two = |a, b| circle(&[("", "mod a; mod b;"), ("a", a), ("b", b)]);
    assert_eq!(two("use crate::b::B;", "use super::a::{A, C};"), ["a b"]);
    assert_eq!(
        two("fn f() { crate::b::g() }", "use crate::{a, c};"),
        ["a b"]
    );
    assert_eq!(
        two(
            "fn f() { print!(\"{}\", crate::b::G) }",
            "fn g(_: super::a::A) {}"
        ),
        ["a b"]
    );
    assert_eq!(
        two("use crate::b::B;", "use std::a::A; pub(super) fn g() {}"),
        [""; 0]
    );
    // A name that the root re-exports is of the module that it comes from.
    let root = "mod a; mod b; pub use a::A;";
    let through = [
        ("", root),
        ("a", "use crate::b::B;"),
        ("b", "use crate::A;"),
    ];
    assert_eq!(circle(&through), ["a b"]);
    // A parent that uses its child, which uses the parent's items.
    let child = ("a::c", "use super::A;");
    let parent = |text| circle(&[("", "mod a;"), ("a", text), child]);
    assert_eq!(parent("mod c; struct A; use c::C;"), ["a a::c"]);
    assert_eq!(parent("mod c; struct A; fn f() { c::g() }"), ["a a::c"]);
    assert_eq!(parent("mod c; struct A; pub use c::C;"), [""; 0]);
    // By way of a third.
    let three = [
        ("a", "use crate::b::B;"),
        ("b", "use crate::c::C;"),
        ("c", "use crate::a::A;"),
    ];
    assert_eq!(circle(&three), ["a b c"]);
}
