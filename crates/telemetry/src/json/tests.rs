use super::*;

#[test]
fn only_names_of_fields_lose_the_prefix() {
    let value = r#"\"cuo_phase\":"#;
    let line = |prefix: &str| {
        format!(
            r#"{{"message":"{value}","{prefix}phase":"cuo_phase","{prefix}agent_version":"1","target":"cuo_agent::run"}}"#
        )
    };
    assert_eq!(bare(&line("cuo_")), line(""));
}
