use super::*;

#[test]
fn delays_double_up_to_the_bound_and_start_over() {
    let second = Duration::from_secs(1);
    let mut backoff = Backoff::new(second, 5 * second);
    let expect = |backoff: &mut Backoff, whole: Duration| {
        let delay = backoff.delay();
        assert!(
            delay >= whole / 2 && delay <= whole,
            "{delay:?} of {whole:?}"
        );
    };
    for whole in [1, 2, 4, 5, 5] {
        expect(&mut backoff, whole * second);
    }
    backoff.reset();
    expect(&mut backoff, second);
}
