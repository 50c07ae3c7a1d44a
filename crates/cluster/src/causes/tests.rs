use super::*;

#[test]
fn a_chain_says_each_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer: {0}")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner(#[source] std::fmt::Error);

    let found = chain(&Outer(Inner(std::fmt::Error)));
    assert_eq!(found, format!("outer: inner: {}", std::fmt::Error));
}
