use std::path::Path;

use tokio::net::UnixListener;

use super::*;

/// What a transaction does after `Start`, in order. It does nothing more after the last step.
#[derive(Debug, Clone, Copy)]
enum Step {
    Messages(u32),
    Reply(bool),
    Finished(bool, &'static str),
    /// Nothing for that many times as long as silence is borne.
    Silence(u32),
    Close,
}
use Step::{Close, Finished, Messages, Reply};

/// A transaction at a socket in `directory`, that serves one client; `Cancel` is answered, and obeyed. `answers` says whether it tells
/// of itself when asked.
fn serve(directory: &Path, steps: &'static [Step], answers: bool) -> String {
    let path = directory.join("transaction.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let guid = zbus::Guid::generate();
        let stream = stream.into_std().unwrap();
        let builder = Builder::unix_stream(stream).server(guid).p2p();
        let connection = builder.build().await.unwrap();
        let mut calls = MessageStream::from(&connection);
        while let Some(Ok(call)) = calls.next().await {
            match call.header().member().unwrap().as_str() {
                "Start" => {
                    let connection = connection.clone();
                    tokio::spawn(async move {
                        for step in steps {
                            play(&connection, &call, *step).await;
                        }
                    });
                }
                "GetAll" if answers => {
                    let title = HashMap::from([("Title", zbus::Variant::from("upgrade"))]);
                    connection.reply(&call.header(), &title).await.unwrap();
                }
                "GetAll" => {}
                "Cancel" => {
                    connection.reply(&call.header(), &()).await.unwrap();
                    play(
                        &connection,
                        &call,
                        Finished(false, "Operation was cancelled"),
                    )
                    .await;
                }
                other => panic!("{other}"),
            }
        }
    });
    format!("unix:path={}", path.display())
}

async fn play(connection: &Connection, call: &Message, step: Step) {
    match step {
        Messages(count) => {
            for _ in 0..count {
                signal(connection, "Message", &"fetching").await;
            }
        }
        Reply(started) => connection.reply(&call.header(), &started).await.unwrap(),
        Finished(success, text) => signal(connection, "Finished", &(success, text)).await,
        Step::Silence(times) => tokio::time::sleep(IDLE * times).await,
        Close => connection.clone().close().await.unwrap(),
    }
}

async fn signal(
    connection: &Connection,
    member: &str,
    body: &(impl serde::Serialize + zbus::DynamicType),
) {
    let (path, interface) = (TRANSACTION.path, TRANSACTION.interface);
    let sent = connection.emit_signal(None::<&str>, path, interface, member, body);
    sent.await.unwrap();
}

fn limits() -> Limits {
    Limits {
        peer: Duration::from_secs(2),
        cancel: Duration::from_secs(5),
        ..Limits::default()
    }
}

const IDLE: Duration = Duration::from_millis(300);

/// The result, and how many lines of progress there were.
async fn run_with(
    steps: &'static [Step],
    silence: Silence,
    answers: bool,
) -> (Result<Option<Ended>, Error>, u32) {
    let directory = tempfile::tempdir().unwrap();
    let address = serve(directory.path(), steps, answers);
    let mut lines = 0;
    let result = run(&address, "Upgrade", &limits(), silence, &mut |_| lines += 1).await;
    (result, lines)
}

fn silent() -> Error {
    Error::Timeout {
        what: "Upgrade".into(),
        how: "nothing was heard for 0 s".into(),
    }
}

#[tokio::test]
async fn silence_is_borne_while_the_transaction_answers() {
    let steps: &[Step] = &[Reply(true), Step::Silence(12), Finished(true, "")];
    let (started, result) = (true, Ok(()));
    let ended = Ok(Some(Ended { started, result }));
    let asks = Silence::Asks {
        each: IDLE,
        longest: IDLE * 100,
    };
    assert_eq!(run_with(steps, asks, true).await, (ended, 0));
    assert_eq!(run_with(steps, asks, false).await, (Err(silent()), 0));
    let longest = IDLE * 3;
    let bears_little = Silence::Asks {
        each: IDLE,
        longest,
    };
    assert_eq!(
        run_with(steps, bears_little, true).await,
        (Err(silent()), 0)
    );
    // Each sign of progress begins it anew.
    let steps: &[Step] = &[
        Reply(true),
        Step::Silence(2),
        Messages(1),
        Step::Silence(2),
        Messages(1),
        Finished(true, ""),
    ];
    let (started, result) = (true, Ok(()));
    let ended = Ok(Some(Ended { started, result }));
    assert_eq!(run_with(steps, bears_little, true).await, (ended, 2));
    let ends = Silence::Ends(IDLE);
    assert_eq!(run_with(steps, ends, true).await, (Err(silent()), 0));
}

#[tokio::test]
async fn a_transaction_runs_to_its_end_however_much_it_says() {
    let ended = |started, result| Ok(Some(Ended { started, result }));
    let lost = |how: &str| {
        let what = "Upgrade".to_owned();
        Err(Error::Lost {
            what,
            how: how.into(),
        })
    };
    let gone = "it closed the connection before the end";
    let table: &[(&[Step], Result<_, _>, u32)] = &[
        (
            &[Reply(true), Messages(1000), Finished(true, "")],
            ended(true, Ok(())),
            1000,
        ),
        // More messages than zbus keeps in a queue, before the reply that is waited for.
        (
            &[Messages(200), Reply(true), Finished(true, "")],
            ended(true, Ok(())),
            200,
        ),
        (&[Finished(true, ""), Reply(false)], ended(false, Ok(())), 0),
        (
            &[Reply(false), Finished(false, "no")],
            ended(false, Err("no".into())),
            0,
        ),
        (&[Finished(true, ""), Close], ended(false, Ok(())), 0),
        (&[Reply(true), Messages(3), Close], lost(gone), 3),
        (&[Reply(true), Messages(3)], Err(silent()), 3),
    ];
    for (steps, expected, lines) in table {
        let (result, counted) = run_with(steps, Silence::Ends(IDLE), true).await;
        assert_eq!((&result, counted), (expected, *lines), "{steps:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("transaction.sock");
    let address = format!("unix:path={}", path.display());
    let silence = Silence::Ends(IDLE);
    let attempt = async || run(&address, "Upgrade", &limits(), silence, &mut |_| ()).await;
    assert_eq!(attempt().await, Ok(None), "no file");
    let listener = UnixListener::bind(&path).unwrap();
    let (ended, ()) = tokio::join!(attempt(), async {
        drop(listener.accept().await.unwrap());
    });
    assert_eq!(ended, Ok(None), "closed before a word was said");
    drop(listener);
    assert_eq!(attempt().await, Ok(None), "a file that was left behind");
}
