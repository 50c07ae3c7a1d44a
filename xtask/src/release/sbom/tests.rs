use super::*;

#[test]
fn each_part_is_listed_once_with_its_licence() {
    let tree = "cuoctl v0.1.0 (/src/cuoctl)|Apache-2.0\nserde v1.0.229|MIT OR Apache-2.0\nold v0.2.0|MIT/Apache-2.0\nserde v1.0.229|MIT OR Apache-2.0\n";
    let part = |kind, name: &str, version: &str, licence: &str| {
        let purl = format!("pkg:cargo/{name}@{version}");
        json!({
            "type": kind,
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "licenses": [{ "expression": licence }],
        })
    };
    let expected = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": part("application", "cuoctl", "0.1.0", "Apache-2.0") },
        "components": [
            part("library", "old", "0.2.0", "MIT OR Apache-2.0"),
            part("library", "serde", "1.0.229", "MIT OR Apache-2.0"),
        ],
    });
    assert_eq!(document("cuoctl", tree).unwrap(), expected);
    assert!(document("cuoctl", "nothing").is_err());
}
