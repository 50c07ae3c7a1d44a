//! Writing the state down: before each act, and never over a file that could not be understood.

use anyhow::{Result, bail};
use cuo_core::agent::StateTrouble;
use cuo_core::agent::state::State;
use tokio::time::Instant;
use tracing::{error, info};

use super::agent::{Agent, Next};
use super::memory::{RETRY, read};
use crate::journal::Event;

impl Agent {
    /// Reads the state again if it could not be read before, and writes it again soon if that failed.
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

    /// Goes on after a failure to write the state, once its pause is over. Nothing new is begun, nor asked for, before the state can be
    /// written; what is next of an update that is under way may need no note.
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

    /// Goes on with `state`. What was asked because of an attempt is of no use after its end; questions about a grant that is still to be
    /// answered go on, for each is asked once.
    pub(super) fn put(&mut self, state: State) {
        if state.attempt.is_none() && self.state.attempt.is_some() {
            self.calls.abort_all();
            self.evictions.clear();
            (self.asked, self.volumes) = (None, None);
        }
        self.state = state;
    }

    /// Takes in that the state could not be saved: nothing is done until it can be.
    ///
    /// # Errors
    /// With the same error, when the state's folder is gone: the service manager recreates it, and only with a new process, since this
    /// one sees the rest of the file system as read-only.
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
        state
            .failed
            .identities
            .retain(|failure| what != "all" && failure.identity.to_string() != what);
        state.backoff = None;
        (state.lost, state.spoiled, state.stuck) = (None, None, None);
        state
            .left
            .retain(|left| what != "all" && left.identity.to_string() != what);
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
