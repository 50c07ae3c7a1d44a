//! Limits for waiting on rpm-ostreed.

use std::time::Duration;

/// Limits for waiting on rpm-ostreed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a read, which may have to start rpm-ostreed first (the bus allows 25 s).
    pub call: Duration,
    /// For a method that creates a transaction; rpm-ostree's own client allows as much.
    pub transaction: Duration,
    /// For an answer on a transaction's own connection.
    pub peer: Duration,
    /// The silence while downloading and staging after which rpm-ostreed is asked whether it is still at it: a layer of a container
    /// image arrives without a sign of progress, and a slow link takes an hour for one.
    pub stage_silence: Duration,
    /// The silence after which it is not at it any more, whatever it says: a mirror that keeps its connection and sends nothing would be
    /// waited for until somebody looks.
    pub stage_longest: Duration,
    /// The longest silence of a finalization, which gives no sign of progress at all.
    pub finalize_idle: Duration,
    /// The end of a transaction that was asked to cancel.
    pub cancel: Duration,
    /// Pause before a call is repeated that was answered with a transaction which was over already.
    pub repeat: Duration,
    /// How often that is done. Together with the pause it outlasts the 30 s after which rpm-ostreed throws clients out.
    pub repeats: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(60),
            transaction: Duration::from_secs(5 * 60),
            peer: Duration::from_secs(30),
            stage_silence: Duration::from_secs(60),
            // Some GB in one layer, at one Mbit/s.
            stage_longest: Duration::from_secs(6 * 3600),
            finalize_idle: Duration::from_secs(5 * 60),
            cancel: Duration::from_secs(60),
            repeat: Duration::from_secs(5),
            repeats: 8,
        }
    }
}
