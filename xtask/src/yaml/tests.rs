use serde_json::json;

use super::*;

#[test]
fn every_kind_of_value_is_written() {
    let value = json!({
        "list": [{"a": 1, "b": ["x"]}, "No", ["deep"]],
        "none": {}, "empty": [], "text": "it's: \"so\"", "word": "a.b/c", "yes": true,
    });
    let expected = "\
empty: []
list:
  - a: 1
    b:
      - x
  - \"No\"
  - - deep
none: {}
text: \"it's: \\\"so\\\"\"
word: a.b/c
\"yes\": true
";
    assert_eq!(document(&value), expected);
}
