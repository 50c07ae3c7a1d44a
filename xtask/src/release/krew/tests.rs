use serde_json::Value;

use super::*;

#[test]
fn the_manifest_names_the_archive_of_this_release() {
    let place = Place::of_workspace().unwrap();
    let text = manifest(&place, "amd64", "kubectl-cuo.tar.gz", "abc");
    let found: Value = serde_saphyr::from_str(&text).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = serde_json::json!([{
        "selector": { "matchLabels": { "os": "linux", "arch": "amd64" } },
        "uri": format!("{}/releases/download/v{version}/kubectl-cuo.tar.gz", place.repository),
        "sha256": "abc",
        "bin": "kubectl-cuo",
    }]);
    assert_eq!(found["spec"]["platforms"], expected);
    assert_eq!(found["spec"]["version"], format!("v{version}"));
}
