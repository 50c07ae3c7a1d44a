//! Saves the state: before each act, and never over a file that could not be parsed.

use anyhow::{Result, bail};
use cuo_core::agent::StateTrouble;
use cuo_core::agent::state::State;
use cuo_core::ids::ReleaseId;
use tokio::time::Instant;
use tracing::{error, info};

use super::agent::{Agent, Next};
use super::memory::{RETRY, read};
use crate::journal::Event;

impl Agent {
    /// Reads the state again if it could not be read before, and retries soon if writing it failed.
    pub(super) fn remember(&mut self) {
        match &self.settings.state_unusable {
            None => return,
            Some(StateTrouble::Unwritten(_)) => {
                self.memory.retry = Some(Instant::now());
                return;
            }
            Some(StateTrouble::Unreadable(_)) => {}
        }
        let (state, unusable) = read(&self.store, &self.boot);
        if unusable.is_none() {
            info!("the state can be used again");
            self.state = state;
        }
        self.settings.state_unusable = unusable;
    }

    /// Continues after a failed write, once its pause is over. Nothing new is started or requested before the state can be written; the
    /// next steps of an update in progress may need no write.
    ///
    /// # Errors
    /// When the state's folder is gone, as for [`Agent::unsaved`].
    pub(super) fn try_again(&mut self) -> Result<()> {
        if !self.memory.over() {
            return Ok(());
        }
        let unwritten = |trouble: &mut StateTrouble| matches!(trouble, StateTrouble::Unwritten(_));
        self.settings.state_unusable.take_if(unwritten);
        if self.state.attempt.is_none()
            && let Err(error) = self.save(self.state.clone())
        {
            self.unsaved(error)?;
        }
        Ok(())
    }

    pub(super) fn save(&mut self, state: State) -> Result<()> {
        if let Some(StateTrouble::Unreadable(why)) = &self.settings.state_unusable {
            bail!("the file must stay as it is, because it can't be used: {why}");
        }
        self.store.save(&state)?;
        self.memory.had_folder = true;
        if self.memory.trouble.take().is_some() {
            info!("the state can be written again");
        }
        self.put(state);
        Ok(())
    }

    /// Replaces the state. Answers that belong to an attempt are dropped at its end; questions about a grant that has yet to be answered
    /// stay, because each is asked only once.
    pub(super) fn put(&mut self, state: State) {
        if state.attempt.is_none() && self.state.attempt.is_some() {
            self.calls.abort_all();
            self.evictions.clear();
            (self.asked, self.volumes) = (None, None);
        }
        self.state = state;
    }

    /// Handles a state that could not be saved: nothing is done until it can be.
    ///
    /// # Errors
    /// The same error, if the state's directory is gone: the service manager recreates it, and only for a new process, because this one
    /// sees the rest of the file system as read-only.
    pub(super) fn unsaved(&mut self, error: anyhow::Error) -> Result<Next> {
        if self.memory.had_folder && !self.store.has_folder() {
            return Err(error.context("the folder of the state is gone"));
        }
        let why = format!("{error:#}");
        if self.memory.trouble.as_ref() != Some(&why) {
            error!(
                message_id = Event::StateUnusable.id(),
                "the state can't be written, so nothing is done: {why}"
            );
        }
        self.memory.trouble = Some(why.clone());
        self.memory.retry = Some(Instant::now() + RETRY);
        self.settings.state_unusable = Some(StateTrouble::Unwritten(why));
        Ok(Next::Again)
    }

    pub(super) fn forget(&mut self, what: &str) {
        let mut state = self.state.clone();
        let about = |identity: &ReleaseId| what == "all" || identity.to_string() == what;
        state.forget(|failure| about(&failure.identity), about);
        (state.lost, state.spoiled) = (None, None);
        match self.save(state) {
            Ok(()) => info!("forgotten: {what}"),
            Err(error) => error!(
                message_id = Event::StateUnusable.id(),
                "the state can't be written, so nothing was forgotten: {error:#}"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
