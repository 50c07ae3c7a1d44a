use super::*;

#[test]
fn connections_take_a_share_of_the_files() {
    let table = [
        (None, CONNECTIONS),
        (Some(1_048_576), CONNECTIONS),
        (Some(1024), CONNECTIONS),
        (Some(256), CONNECTIONS),
        (Some(128), 32),
        (Some(3), 1),
        (Some(0), 1),
    ];
    for (files, expected) in table {
        assert_eq!(most(files), expected, "{files:?}");
    }
}

#[tokio::test]
async fn the_oldest_goes_for_a_newcomer_and_no_other() {
    let (ended, mut heard) = tokio::sync::mpsc::unbounded_channel();
    /// Says when it is dropped.
    struct Guest(u32, tokio::sync::mpsc::UnboundedSender<u32>);
    impl Drop for Guest {
        fn drop(&mut self) {
            self.1.send(self.0).unwrap();
        }
    }
    let mut crowd = Crowd::of(3);
    let mut there = async |number: u32, leaves: bool| {
        let guest = Guest(number, ended.clone());
        crowd
            .admit(async move {
                if !leaves {
                    std::future::pending::<()>().await;
                }
                drop(guest);
            })
            .await;
        (crowd.tasks.len(), crowd.order.len())
    };
    for (number, expected) in [(0, 1), (1, 2), (2, 3), (3, 3), (4, 3)] {
        assert_eq!(there(number, false).await, (expected, expected), "{number}");
    }
    assert_eq!((heard.recv().await, heard.recv().await), (Some(0), Some(1)));
    // One that leaves by itself makes room; nobody has to go.
    there(5, true).await;
    assert_eq!((heard.recv().await, heard.recv().await), (Some(2), Some(5)));
    assert_eq!(there(6, false).await, (3, 3));
    assert!(heard.try_recv().is_err());
}
