//! Pages: what they link to is there, and each is to be found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::{names, repository, text};

const DOCS: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";
const DECISIONS: &str = "docs/adr";
/// Addresses that are not this project's.
const STRANGE: [&str; 2] = [
    concat!("github.com/", "coreos/cuo"),
    concat!("ghcr.io/", "coreos"),
];

/// All files below `folder`.
fn below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = match folder {
            "." => name,
            folder => format!("{folder}/{name}"),
        };
        match repository().join(&path).is_dir() {
            true => found.extend(below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The files that people, or machines outside of the project, read.
fn published() -> Vec<String> {
    const KINDS: [&str; 3] = ["md", "toml", "yaml"];
    let kind = |path: &String| Path::new(path).extension()?.to_str().map(str::to_owned);
    let top = names(".").into_iter();
    let top = top.filter(|path| kind(path).is_some_and(|kind| KINDS.contains(&kind.as_str())));
    let folders = [
        ".ci",
        ".github",
        "charts",
        "deploy",
        DOCS,
        "packaging",
        "systemd",
    ];
    top.chain(folders.into_iter().flat_map(below)).collect()
}

fn pages() -> Vec<String> {
    let all = published().into_iter();
    all.filter(|path| path.ends_with(".md")).collect()
}

/// The lines of a page that are no code.
fn prose(page: &str) -> String {
    let mut code = false;
    let lines = page.split_inclusive('\n').filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    lines.collect()
}

/// What headings are linked by, as GitHub and mdbook do it.
fn anchors(page: &str) -> BTreeSet<String> {
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let (mut found, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for line in prose(page).lines() {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let heading = link.replace_all(heading.trim(), "$1").to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).or_default();
        found.insert(match *count {
            0 => anchor,
            count => format!("{anchor}-{count}"),
        });
        *count += 1;
    }
    found
}

/// What a page links to in the repository.
fn links(page: &str) -> Vec<String> {
    let link = Regex::new(r"(?m)\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$").unwrap();
    let outside = Regex::new("^[a-z]+:").unwrap();
    let prose = prose(page);
    let found = link
        .captures_iter(&prose)
        .filter_map(|link| link.get(1).or(link.get(2)));
    let found = found.map(|target| target.as_str().to_owned());
    found.filter(|target| !outside.is_match(target)).collect()
}

#[test]
fn links_and_anchors_are_found_in_prose() {
    let page = "# A `b-c` [d](e.md), f's\n```sh\n# no ](x)\n```\nsee [g\nh](i.md#j) or [k](https://l), [m][m]\n## N\n## N\n[m]: o/\n";
    assert_eq!(links(page), ["e.md", "i.md#j", "o/"]);
    let expected = ["a-b-c-d-fs", "n", "n-1"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
}

/// `target` as seen from `page`, without steps back; none if it leaves the repository.
fn resolved(page: &str, target: &str) -> Option<PathBuf> {
    let mut path = Path::new(page).parent()?.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    Some(path)
}

/// Whether `target` is there, with its anchor.
fn is_there(page: &str, target: &str) -> bool {
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (target, None),
    };
    let path = match file {
        "" => Some(PathBuf::from(page)),
        file => resolved(page, file),
    };
    let Some(path) = path.filter(|path| repository().join(path).exists()) else {
        return false;
    };
    anchor.is_none_or(|anchor| anchors(&text(path.to_str().unwrap())).contains(anchor))
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let links = links(&text(&page)).into_iter();
        let broken = links.filter(|target| !is_there(&page, target));
        wrong.extend(broken.map(|target| format!("{page}: {target}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_summary_has_each_page_once() {
    let mut listed = links(&text(SUMMARY));
    listed.sort();
    let all = below(DOCS)
        .into_iter()
        .filter(|path| path.ends_with(".md") && path != SUMMARY);
    let mut all: Vec<_> = all.map(|path| path[DOCS.len() + 1..].to_owned()).collect();
    all.sort();
    assert_eq!(listed, all);
}

#[test]
fn decisions_are_numbered_and_listed() {
    let row = Regex::new(r"(?m)^\| \[(\d+)\]\(([^)]+)\) \| (.+) \|$").unwrap();
    let index = text(&format!("{DECISIONS}/README.md"));
    let listed = row.captures_iter(&index).map(|row| {
        let [number, page, title] = row.extract().1;
        (page.to_owned(), format!("# {number}. {title}"))
    });
    let pages = names(DECISIONS)
        .into_iter()
        .filter(|name| name != "README.md");
    let pages = pages.zip(1..).map(|(name, number)| {
        assert!(
            name.starts_with(&format!("{number:04}-")),
            "{name} is decision {number}"
        );
        let page = text(&format!("{DECISIONS}/{name}"));
        let title = page.lines().next().unwrap_or_default().to_owned();
        assert!(
            title.starts_with(&format!("# {number}. ")),
            "{name}: {title}"
        );
        (name, title)
    });
    assert_eq!(listed.collect::<Vec<_>>(), pages.collect::<Vec<_>>());
}

#[test]
fn no_file_names_an_address_of_somebody_else() {
    let all = published().into_iter();
    let wrong = all.filter(|path| {
        // Archives of sources may lie beside the spec file.
        let file = fs::read(repository().join(path)).unwrap();
        let text = String::from_utf8_lossy(&file);
        STRANGE.iter().any(|strange| text.contains(strange))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
}
