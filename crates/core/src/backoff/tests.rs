use super::*;

#[test]
fn pauses_double_up_to_the_longest() {
    let millis = |count: u32| Duration::from_millis(count.into());
    let signed = |duration| SignedDuration::try_from(duration).unwrap();
    let (first, cap) = (millis(500), millis(30_000));
    let longest = SignedDuration::MAX.unsigned_abs();
    let cases = [
        (first, cap, 0, first),
        (first, cap, 1, first),
        (first, cap, 2, millis(1000)),
        (first, cap, 3, millis(2000)),
        (first, cap, 6, millis(16_000)),
        (first, cap, 7, cap),
        (first, cap, 32, cap),
        (first, cap, 33, cap),
        (first, cap, u32::MAX, cap),
        (cap, first, 1, first),
        (longest, longest, 4, longest),
    ];
    for (first, cap, tries, expected) in cases {
        let doubling = Doubling::new(first, cap);
        assert_eq!(doubling.pause(tries), expected, "{doubling:?}, {tries}");
        let doubling = Doubling::new(signed(first), signed(cap));
        assert_eq!(
            doubling.pause(tries),
            signed(expected),
            "{doubling:?}, {tries}"
        );
    }
    let longest = Doubling::new(Duration::MAX, Duration::MAX);
    assert_eq!(longest.pause(4), Duration::MAX);
}
