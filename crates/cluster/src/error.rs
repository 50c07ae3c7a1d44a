//! Errors of calls to the API server, and what each means for the caller.

use std::time::Duration;

use kube::core::Status;

use crate::admission::Admission;
use crate::causes::chain;
use crate::credentials::CredentialsError;
use crate::tls::servers_in_words;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no client, because no usable credentials were found yet.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// 401: the credentials are not, or no longer, accepted. The [`crate::ClientSource`] already knows.
    #[error("the API server does not accept the credentials: {message}")]
    Unauthorized {
        /// The API server's message.
        message: String,
    },
    /// 403: RBAC or the node authorizer refused. Any other 4xx but 429: an admission webhook or policy refused.
    #[error("forbidden: {message}")]
    Forbidden {
        /// The API server's message, which names the user, the verb and the object.
        message: String,
    },
    /// 404: no such object, or no such resource.
    #[error("not found: {message}")]
    NotFound {
        /// The API server's message.
        message: String,
    },
    /// 409: the object was changed since it was read, or exists already.
    #[error("conflict: {message}")]
    Conflict {
        /// The API server's message.
        message: String,
    },
    /// 410: a resource version or a continue token is too old.
    #[error("gone: {message}")]
    Gone {
        /// The API server's message.
        message: String,
    },
    /// 429: overload, or a disruption budget.
    #[error("too many requests: {message}")]
    TooManyRequests {
        /// How long the API server asks to wait, if it says so.
        retry_after: Option<Duration>,
        /// The API server's message.
        message: String,
    },
    /// 5xx: the API server, or something in front of it, failed.
    #[error("the API server failed with {code}: {message}")]
    Server {
        /// The HTTP status.
        code: u16,
        /// The API server's message.
        message: String,
    },
    /// No answer: name resolution, connection, TLS, or a connection that broke.
    #[error("the API server can't be reached: {message}")]
    Unreachable {
        /// The whole chain of causes.
        message: String,
    },
    /// No answer within the deadline. A write may have been done nevertheless.
    #[error("no answer from the API server within {after:?}")]
    Timeout {
        /// The deadline.
        after: Duration,
    },
    /// The API server rejected the request as invalid, or its answer can't be parsed: a bug in this program.
    #[error("unexpected answer from the API server: {message}")]
    Other {
        /// The whole chain of causes.
        message: String,
    },
}

/// What to do after a failed call. All of them may be retried; they differ in what has to happen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The decision was based on old data: read again, decide again.
    Reread,
    /// The call itself is fine: wait, at least this long if the API server says so.
    Later(Option<Duration>),
    /// Wait for new credentials, which are being looked for already.
    Credentials,
    /// An administrator has to allow it. Waiting alone does not help, so retry rarely and report it.
    Denied,
}

impl ApiError {
    /// The admission webhook or policy that refused the write, if one did.
    pub fn admission(&self) -> Option<Admission> {
        match self {
            Self::Unauthorized { message }
            | Self::Forbidden { message }
            | Self::NotFound { message }
            | Self::Conflict { message }
            | Self::Gone { message }
            | Self::TooManyRequests { message, .. }
            | Self::Server { message, .. }
            | Self::Other { message } => Admission::named(message),
            Self::Credentials(_) | Self::Unreachable { .. } | Self::Timeout { .. } => None,
        }
    }

    /// What to do after this error.
    pub fn retry_class(&self) -> Retry {
        match self {
            Self::NotFound { .. } | Self::Conflict { .. } | Self::Gone { .. } => Retry::Reread,
            Self::TooManyRequests { retry_after, .. } => Retry::Later(*retry_after),
            Self::Server { .. } | Self::Unreachable { .. } | Self::Timeout { .. } => {
                Retry::Later(None)
            }
            Self::Credentials(_) | Self::Unauthorized { .. } => Retry::Credentials,
            Self::Forbidden { .. } | Self::Other { .. } => Retry::Denied,
        }
    }

    fn from_status(status: &Status) -> Self {
        let message = describe(status);
        let denied = matches!(
            Admission::named(&message),
            Some(Admission::Denied(_) | Admission::Policy(_))
        );
        match status.code {
            // A webhook refuses with any code, and a policy with one of several: the code says nothing about the credentials, the object or
            // the request. Only 429 means what it says.
            400..=428 | 430..=499 if denied => Self::Forbidden { message },
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { message },
            404 => Self::NotFound { message },
            409 => Self::Conflict { message },
            410 => Self::Gone { message },
            429 => Self::TooManyRequests {
                retry_after: retry_after(status),
                message,
            },
            code @ 500.. => Self::Server { code, message },
            code => Self::Other {
                message: format!("{code} {message}"),
            },
        }
    }
}

/// The status's message and its causes. For a refused eviction, these name the disruption budget.
fn describe(status: &Status) -> String {
    let mut text = if status.message.is_empty() {
        status.reason.clone()
    } else {
        status.message.clone()
    };
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        if !cause.message.is_empty() && !text.contains(&cause.message) {
            text.push(' ');
            text.push_str(&cause.message);
        }
    }
    text
}

fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => Self::from_status(status),
            kube::Error::HyperError(cause) => Self::Unreachable {
                message: servers_in_words(cause),
            },
            kube::Error::Service(cause) => Self::Unreachable {
                message: servers_in_words(cause.as_ref()),
            },
            kube::Error::ReadEvents(cause) => Self::Unreachable {
                message: servers_in_words(cause),
            },
            // A token file or a credential plugin stopped working while the client was in use.
            kube::Error::Auth(cause) => Self::Unauthorized {
                message: chain(cause),
            },
            _ => Self::Other {
                message: chain(&error),
            },
        }
    }
}

impl From<kube::core::request::Error> for ApiError {
    fn from(error: kube::core::request::Error) -> Self {
        Self::Other {
            message: chain(&error),
        }
    }
}

impl From<kube::core::Status> for ApiError {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

#[cfg(test)]
mod tests;
