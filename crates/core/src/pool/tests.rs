use super::*;

#[test]
fn a_share_is_rounded_down_and_is_at_least_one_node() {
    let cases = [
        (MaxUnavailable::Count(3), 1, 3),
        (MaxUnavailable::Count(0), 100, 0),
        (MaxUnavailable::Percent(0), 100, 0),
        (MaxUnavailable::Percent(10), 5, 1),
        (MaxUnavailable::Percent(10), 19, 1),
        (MaxUnavailable::Percent(10), 20, 2),
        (MaxUnavailable::Percent(100), 7, 7),
        (MaxUnavailable::Percent(50), 0, 1),
    ];
    for (max, members, expected) in cases {
        assert_eq!(max.of(members), expected, "{max:?} of {members}");
    }
}
