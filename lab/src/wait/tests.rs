use super::*;

#[tokio::test]
async fn the_outcome_names_what_and_the_last_error() {
    let mut looks = 0;
    let third = until("a third look", Duration::from_millis(150), async || {
        looks += 1;
        if looks == 1 {
            bail!("too early")
        }
        Ok((looks == 3).then_some(looks))
    });
    assert_eq!(third.await.unwrap(), 3);

    type Probe = fn() -> Result<Option<()>>;
    let cases: [(&str, Probe, &str); 2] = [
        (
            "nothing",
            || Ok(None),
            "waiting for nothing: not within 150ms",
        ),
        (
            "luck",
            || bail!("none left"),
            "waiting for luck: not within 150ms; last seen: none left",
        ),
    ];
    for (what, probe, expected) in cases {
        let error = until(what, Duration::from_millis(150), async || probe())
            .await
            .unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
    }

    let stuck = until("an answer", Duration::from_millis(150), async || {
        std::future::pending::<Result<Option<()>>>().await
    });
    assert_eq!(
        format!("{:#}", stuck.await.unwrap_err()),
        "waiting for an answer: not within 150ms; last seen: the last look at it did not return"
    );
}
