use super::*;

#[test]
fn an_archive_has_the_same_bytes_whenever_and_wherever_it_is_made() {
    let made = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        for file in ["cuo/b", "cuo/a/c"] {
            let path = folder.path().join("tree").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, file).unwrap();
        }
        let made = folder.path().join(name);
        copy(&folder.path().join("tree"), &made).unwrap();
        let archive = folder.path().join("cuo.tgz");
        pack(&made, &["cuo"], &archive).unwrap();
        sum(&archive).unwrap()
    };
    assert_eq!(made("one"), made("other"));
}

#[test]
fn sums_are_of_the_files_and_not_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("b"), "").unwrap();
    fs::write(folder.path().join("a"), "abc").unwrap();
    fs::create_dir(folder.path().join("image")).unwrap();
    let expected = "\
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b
";
    assert_eq!(sums(folder.path()).unwrap(), expected);
}
