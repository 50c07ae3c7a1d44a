use super::*;

async fn said(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = bound(program);
    let output = command.args(arguments).current_dir(folder).output().await;
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn only_what_belongs_to_the_project_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let (sources, into) = (folder.path().join("tree"), folder.path().join("into"));
    fs::create_dir_all(sources.join("docs")).unwrap();
    fs::create_dir_all(&into).unwrap();
    for name in ["README.md", "docs/a page.md", "gone.md", "secret.key"] {
        fs::write(sources.join(name), "text").unwrap();
    }
    let packed = async || {
        pack(&sources, "1.2.3", 0, &into).await.unwrap();
        let list = said("tar", &["--list", "--file=cuo-1.2.3.tar.gz"], &into).await;
        list.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let without_history = packed().await;
    assert!(
        without_history.contains(&"cuo-1.2.3/./README.md".to_owned()),
        "{without_history:?}"
    );

    said("git", &["init", "--quiet"], &sources).await;
    said("git", &["add", "README.md", "docs", "gone.md"], &sources).await;
    fs::remove_file(sources.join("gone.md")).unwrap();
    assert_eq!(
        packed().await,
        ["cuo-1.2.3/README.md", "cuo-1.2.3/docs/a page.md"]
    );
}
