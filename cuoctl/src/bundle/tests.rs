use std::collections::BTreeMap;
use std::io::Read;

use jiff::Timestamp;

use super::{Collected, write};

#[test]
fn the_file_holds_what_was_listed_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle.tar.zst");
    let files = [("status.txt", "all is well\n"), ("operator/a.log", "")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let collected = Collected {
        files: BTreeMap::from(files),
        missing: vec![],
    };
    assert_eq!(
        collected.listing(),
        "        0  operator/a.log\n       12  status.txt\n"
    );
    write(&collected, &path, Timestamp::UNIX_EPOCH).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        found.insert(name, text);
    }
    let expected = collected.files.into_iter();
    let expected = expected.map(|(name, text)| (format!("cuo-support/{name}"), text));
    assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
    let error = write(&Collected::default(), &path, Timestamp::UNIX_EPOCH).unwrap_err();
    let kind = error.downcast_ref().map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::AlreadyExists));
}
