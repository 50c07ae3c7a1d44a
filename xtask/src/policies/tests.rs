use super::*;

#[test]
fn a_list_has_a_line_for_each_key() {
    let expected = "- name: x\n  expression: >-\n    ['a',\n    'b']\n";
    assert_eq!(variable("x", &["a", "b"]), expected);
    assert_eq!(variable("x", &[]), "- name: x\n  expression: >-\n    []\n");
}

#[test]
fn each_key_is_in_the_lists_of_its_writer_alone() {
    for key in keys::TABLE {
        let quoted = format!("'{}'", key.name);
        let times = |text: String| text.matches(&quoted).count();
        let kinds = usize::from(key.is_annotation()) + usize::from(key.is_label());
        let [revocable, growing, brought] = [keys::REVOCABLE, keys::GROWING, keys::BROUGHT]
            .map(|names| usize::from(names.contains(&key.name)));
        let (agent, operator) = match key.writer {
            Writer::Agent => (kinds, 0),
            Writer::Operator => (0, kinds),
            Writer::Administrator => (0, 0),
        };
        let found = [
            times(an_operators_key_changes()),
            times(operators_keys()),
            times(agents_keys()),
            times(nodes_keys()),
        ];
        let agent = agent + growing;
        let expected = [operator, operator + revocable, agent, agent + brought];
        assert_eq!(found, expected, "{}", key.name);
    }
}
