use super::*;

const BOOT: BootId = BootId::from_bytes([2; 16]);

#[test]
fn a_state_survives_and_garbage_is_kept_aside() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    assert!(matches!(store.load(&BOOT), Loaded::State(state) if *state == State::default()));
    let state = State {
        ours: Some("os-aa.0".into()),
        ..State::default()
    };
    store.save(&state).unwrap();
    assert!(matches!(store.load(&BOOT), Loaded::State(found) if *found == state));
    let path = root.path().join(STATE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(store.load(&BOOT), Loaded::Lost(_)));
    assert_eq!(
        std::fs::read_to_string(root.path().join(BROKEN)).unwrap(),
        text[..text.len() / 2]
    );
    // Of a newer agent, about an update of this boot and of the one before.
    let write = |under: BootId| {
        let attempt = format!(r#"{{"progress": {{"boot": "{under}"}}}}"#);
        let text = format!(r#"{{"version": 99, "state": {{"attempt": {attempt}}}}}"#);
        std::fs::write(&path, text).unwrap();
    };
    write(BOOT);
    assert!(matches!(store.load(&BOOT), Loaded::Unusable(why) if why.contains("state.json")));
    write(BootId::from_bytes([1; 16]));
    assert!(matches!(store.load(&BOOT), Loaded::Lost(_)));
}

#[test]
fn only_a_process_is_taken_for_the_agent() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    store.write_pid().unwrap();
    assert_eq!(store.read_pid().unwrap(), std::process::id().cast_signed());
    for wrong in ["", "1", "0", "-1", "-4711", "agent"] {
        std::fs::write(root.path().join(RUN).join("pid"), wrong).unwrap();
        let error = format!("{:#}", store.read_pid().unwrap_err());
        assert!(
            error.ends_with("run/cuo-agent/agent/pid: no process id"),
            "{error}"
        );
    }
}

#[test]
fn a_request_to_forget_is_taken_once() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    assert_eq!(store.take_forget().unwrap(), None);
    store.request_forget("all").unwrap();
    assert_eq!(store.take_forget().unwrap().as_deref(), Some("all"));
    assert_eq!(store.take_forget().unwrap(), None);
}
