use std::cell::{Cell, RefCell};

use super::*;

/// What came of it, what was written and how often was paused, while the originals were as `looks` says and then stayed so.
fn settle(looks: &[Result<&str, &str>]) -> (Result<(), String>, Vec<String>, usize) {
    let (written, pauses, index) = (RefCell::default(), Cell::new(0), Cell::new(0));
    let look = || {
        let now = looks[index.replace(index.get() + 1).min(looks.len() - 1)];
        let failed = |message: &str| CredentialsError::Pod {
            message: message.to_owned(),
        };
        now.map(str::to_owned).map_err(failed)
    };
    let write = |text: &str| {
        let mut written: std::cell::RefMut<'_, Vec<String>> = written.borrow_mut();
        if written.last().is_none_or(|last| last != text) {
            written.push(text.to_owned());
        }
        Ok(())
    };
    let result = until_settled(look, write, || pauses.set(pauses.get() + 1));
    let result = result.map_err(|error| error.to_string());
    (result, written.into_inner(), pauses.get())
}

#[test]
fn a_renewal_is_followed_to_its_end() {
    let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(settle(&[Ok("a")]), (Ok(()), texts(&["a"]), 1));
    let halfway = [Ok("a"), Err("no key"), Ok("b")];
    assert_eq!(settle(&halfway), (Ok(()), texts(&["a", "b"]), 3));
    let (result, written, pauses) = settle(&[Err("no key"), Ok("a"), Err("gone")]);
    assert_eq!((written, pauses), (texts(&["a"]), 3));
    assert!(result.unwrap_err().contains("gone"));

    let restless: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    let looks: Vec<Result<&str, &str>> = restless.iter().map(|text| Ok(text.as_str())).collect();
    assert_eq!(settle(&looks), (Ok(()), restless[..=LOOKS].to_vec(), LOOKS));
}

#[test]
fn a_copy_that_is_there_already_is_left_alone() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let inode = || std::fs::metadata(&path).unwrap().ino();
    replace(&path, "a").unwrap();
    let first = inode();
    replace(&path, "a").unwrap();
    assert_eq!(inode(), first);
    replace(&path, "b").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "b");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o440);
}
