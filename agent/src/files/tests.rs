use super::*;

#[test]
fn replaces_content_and_mode_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.json");
    fs::write(directory.path().join(".state.json.new"), "half").unwrap();
    for (content, mode) in [("one", 0o600), ("two", 0o644)] {
        write_atomic(&path, content.as_bytes(), mode).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            mode
        );
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_failure_names_the_file_and_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/state.json");
    let error = write_atomic(&path, b"x", 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("missing/state.json"), "{error}");

    // A directory in place of the file makes the rename fail, after the new file was written.
    let taken = directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    write_atomic(&taken, b"x", 0o600).unwrap_err();
    assert!(taken.is_dir());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(
        write_atomic(Path::new("/"), b"", 0).unwrap_err().kind(),
        io::ErrorKind::InvalidFilename
    );
}
