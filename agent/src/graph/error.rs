//! Why there is no update graph.

use cuo_core::reason::Code;
use cuo_core::release::GraphError;

/// Most bytes of an answer. Fedora's graphs have less than a tenth of that.
pub(super) const LARGEST: usize = 4 << 20;

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The configuration leads nowhere.
    #[error("`graph.url` or `graph.proxy` of the configuration can't be used: {0}")]
    Config(String),
    /// The server can't be reached, or does not answer in time.
    #[error("the update graph at {url} can't be fetched: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// In one line.
        why: String,
    },
    /// The server answered something else than a graph.
    #[error("the server of the update graph at {url} answered {status}{why}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said, with a colon before it.
        why: String,
    },
    /// The answer is larger than a graph can be.
    #[error("the update graph at {url} has more than {LARGEST} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
    },
    /// The answer is none.
    #[error("the answer of {url} can't be used: {why}")]
    Invalid {
        /// What was asked for.
        url: String,
        /// What is wrong.
        why: GraphError,
    },
}

impl Error {
    /// What a look that failed so counts as.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } => Code::GraphUnreachable,
            Self::Config(_) | Self::TooLarge { .. } | Self::Invalid { .. } => Code::GraphInvalid,
        }
    }
}
