use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::SubscriberExt;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written for `log`.
fn written(colour: bool, log: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = fmt_layer()
        .fmt_fields(ForPeople)
        .with_writer(move || writer.clone())
        .with_target(false)
        .with_ansi(colour)
        .without_time();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn people_are_spared_the_id() {
    let text = written(false, || {
        tracing::info!(message_id = "abc", cuo_phase = %"idle", why = "none", "waits");
    });
    assert_eq!(text, " INFO waits phase=idle why=\"none\"\n");
}

#[test]
fn a_field_with_the_journals_prefix_looks_like_one_without() {
    for colour in [false, true] {
        let with = written(colour, || {
            tracing::info!(cuo_phase = %"idle", cuo_version = "1", "waits");
        });
        let without = written(colour, || {
            tracing::info!(phase = %"idle", version = "1", "waits");
        });
        assert_eq!(with, without);
    }
}
