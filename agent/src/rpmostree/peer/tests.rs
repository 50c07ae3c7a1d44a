use std::path::Path;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

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

/// What a transaction tells of itself when asked; `None` where it does not answer.
type Tells = Option<&'static [(&'static str, &'static str)]>;
const TITLE: (&str, &str) = ("Title", "upgrade");
const CLIENT: (&str, &str) = ("InitiatingClientDescription", "caller :1.4");

/// A transaction at a socket in `directory`, that serves one client; `Cancel` is answered, and obeyed. Also tells when the client has left.
fn serve(
    directory: &Path,
    steps: &'static [Step],
    tells: Tells,
) -> (String, oneshot::Receiver<()>) {
    let path = directory.join("transaction.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (leaves, left) = oneshot::channel();
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
                "GetAll" => {
                    let Some(tells) = tells else { continue };
                    let tells = tells
                        .iter()
                        .map(|(key, text)| (*key, zbus::Variant::from(*text)));
                    let tells: HashMap<_, _> = tells.collect();
                    connection.reply(&call.header(), &tells).await.unwrap();
                }
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
        // Nobody has to want to know.
        let _ = leaves.send(());
    });
    (format!("unix:path={}", path.display()), left)
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
    let tells = answers.then_some(&[TITLE][..]);
    let (address, _) = serve(directory.path(), steps, tells);
    let mut lines = 0;
    // Nothing but an answer that never comes takes long, except on a machine with much else to do.
    let limits = Limits {
        peer: Duration::from_secs(if answers { 20 } else { 2 }),
        ..limits()
    };
    let result = run(&address, "Upgrade", &limits, silence, &mut |_| lines += 1).await;
    (result, lines)
}

fn silent() -> Error {
    Error::Timeout {
        what: "Upgrade".into(),
        how: "nothing was heard for 0 s".into(),
    }
}

#[tokio::test]
async fn silence_is_accepted_while_the_transaction_answers() {
    let steps: &[Step] = &[Reply(true), Step::Silence(12), Finished(true, "")];
    let (started, result) = (true, Ok(()));
    let ended = Ok(Some(Ended { started, result }));
    let asks = Silence::Asks {
        each: IDLE,
        longest: IDLE * 100,
    };
    assert_eq!(run_with(steps, asks, true).await, (ended, 0));
    assert_eq!(run_with(steps, asks, false).await, (Err(silent()), 0));
    let ends_early = Silence::Asks {
        each: IDLE,
        longest: IDLE * 3,
    };
    assert_eq!(run_with(steps, ends_early, true).await, (Err(silent()), 0));
    // Each sign of progress restarts it. On a machine with much else to do a silence lasts longer than it should.
    let steps: &[Step] = &[
        Reply(true),
        Step::Silence(4),
        Messages(1),
        Step::Silence(4),
        Messages(1),
        Step::Silence(4),
        Finished(true, ""),
    ];
    let restarted = Silence::Asks {
        each: IDLE,
        longest: IDLE * 11,
    };
    let (started, result) = (true, Ok(()));
    let ended = Ok(Some(Ended { started, result }));
    assert_eq!(run_with(steps, restarted, true).await, (ended, 2));
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

#[tokio::test]
async fn addresses_are_sockets_of_this_host() {
    let found = |address: &str| match socket(address) {
        Ok(path) => path.to_str().unwrap().to_owned(),
        Err(error) => error.to_string(),
    };
    let table = [
        ("unix:path=/run/t.sock", "/run/t.sock"),
        (
            "unix:path=/run/t.sock,guid=0123456789abcdef0123456789abcdef",
            "/run/t.sock",
        ),
        ("unix:abstract=/tmp/dbus-x", "\0/tmp/dbus-x"),
    ];
    for (address, expected) in table {
        assert_eq!(found(address), expected, "{address}");
    }
    for address in ["unix:tmpdir=/tmp", "tcp:host=h,port=1"] {
        let reported = found(address);
        let expected = format!("{address:?} is no socket of this host to connect to");
        assert!(reported.contains(&expected), "{reported}");
    }
    let name = format!("cuo-agent-test-{}", std::process::id());
    let _listener = UnixListener::bind(format!("\0{name}")).unwrap();
    let path = socket(&format!("unix:abstract={name}")).unwrap();
    UnixStream::connect(path).await.unwrap();
}

/// Whoever is connected to a transaction keeps everybody else from starting one. So the connection is closed when the call has returned,
/// and not only once the runtime gets around to it: here it does not run any more.
#[test]
fn a_transaction_is_left_however_that_ends() {
    let server = tokio::runtime::Builder::new_multi_thread();
    let server = { server }.worker_threads(1).enable_all().build().unwrap();
    let client = tokio::runtime::Builder::new_current_thread();
    let client = { client }.enable_all().build().unwrap();
    let serve = |steps, tells| {
        let directory = tempfile::tempdir().unwrap();
        let (address, left) = server.block_on(async { serve(directory.path(), steps, tells) });
        (directory, address, left)
    };
    let gone = |what: &str, left: oneshot::Receiver<()>| {
        let gone = async { tokio::time::timeout(Duration::from_secs(1), left).await };
        assert!(server.block_on(gone).is_ok(), "{what}: still connected");
    };
    let reported = ("upgrade".to_owned(), "caller :1.4".to_owned());
    let descriptions: [(&str, Tells, _); 4] = [
        ("all", Some(&[TITLE, CLIENT]), Some(reported)),
        ("no title", Some(&[CLIENT]), None),
        ("no client", Some(&[TITLE]), None),
        ("no answer", None, None),
    ];
    for (what, tells, expected) in descriptions {
        let (_directory, address, left) = serve(&[], tells);
        let limits = Limits {
            peer: IDLE,
            ..limits()
        };
        let described = client.block_on(describe(&address, &limits));
        gone(what, left);
        assert_eq!(described, expected, "{what}");
    }
    let runs: [(&str, &'static [Step]); 4] = [
        ("its end", &[Reply(true), Finished(true, "")]),
        ("its failure", &[Reply(true), Finished(false, "no")]),
        ("silence", &[Reply(true)]),
        ("no reply", &[]),
    ];
    for (what, steps) in runs {
        let (_directory, address, left) = serve(steps, None);
        let (limits, silence) = (limits(), Silence::Ends(IDLE));
        let ended = client.block_on(run(&address, "Upgrade", &limits, silence, &mut |_| ()));
        gone(&format!("{what}: {ended:?}"), left);
    }
    let (_directory, address, left) = serve(&[Reply(true), Messages(1)], None);
    client.block_on(dropped(&address));
    gone("dropped", left);
}

/// A run that somebody drops in the middle of a transaction.
async fn dropped(address: &str) {
    let (heard, hears) = oneshot::channel();
    let mut heard = Some(heard);
    let mut progress = |_: &str| {
        if let Some(heard) = heard.take() {
            heard.send(()).unwrap();
        }
    };
    let (limits, silence) = (limits(), Silence::Ends(Duration::from_secs(60)));
    tokio::select! {
        ended = run(address, "Upgrade", &limits, silence, &mut progress) => panic!("{ended:?}"),
        heard = hears => heard.unwrap(),
    }
}
