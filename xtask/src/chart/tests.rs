use super::*;

#[test]
fn objects_keep_their_order_and_their_comments() {
    let manifest = "# All of it.\n#\n# More.\n\n# First.\nkind: Namespace\na: 1\n---\nkind: Role\n---\nkind: Deployment\n---\n# Last.\nkind: ClusterRole\n";
    let text = |text: &str| head(OPERATOR) + text;
    let expected = [
        ("namespace", text("# First.\nkind: Namespace\na: 1\n")),
        (
            "rbac",
            text("kind: Role\n---\n# Last.\nkind: ClusterRole\n"),
        ),
    ];
    assert_eq!(split(manifest).unwrap(), expected.into());
    let unknown = split("# All.\n\nkind: Job\n").unwrap_err();
    assert!(unknown.to_string().contains("Job"), "{unknown}");
}

/// Templates would take this for their own.
#[test]
fn no_object_looks_like_a_template() {
    for (path, text) in files().unwrap() {
        assert!(!text.contains("{{"), "{path}");
    }
}

#[test]
fn each_flag_is_a_value_that_the_schema_knows() {
    let schema = read("charts/cuo/values.schema.json").unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let known = schema["properties"]["flags"]["properties"].as_object();
    let known: Vec<_> = known.unwrap().keys().map(String::as_str).collect();
    let flags = flags();
    let values = flags.lines().filter(|line| !line.starts_with('#'));
    let mut values: Vec<_> = values.filter_map(|line| line.split(':').next()).collect();
    values.sort_unstable();
    assert_eq!(values, known);
}
