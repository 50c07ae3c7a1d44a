//! What can go wrong between this program and the API server, and what that asks of the caller.

use std::time::Duration;

use kube::core::Status;

use crate::admission::Admission;
use crate::causes::chain;
use crate::credentials::CredentialsError;
use crate::tls::servers_in_words;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// There is no client: no usable credentials were found yet.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// 401: the credentials are not, or no longer, accepted. The [`crate::ClientSource`] has been reported.
    #[error("the API server does not accept the credentials: {message}")]
    Unauthorized {
        /// The API server's words.
        message: String,
    },
    /// 403: RBAC or the node authorizer refuses. Any 4xx but 429: an admission webhook or policy does.
    #[error("forbidden: {message}")]
    Forbidden {
        /// The API server's words; they name the user, the verb and the object.
        message: String,
    },
    /// 404: no such object, or no such resource.
    #[error("not found: {message}")]
    NotFound {
        /// The API server's words.
        message: String,
    },
    /// 409: the object was changed since it was read, or exists already.
    #[error("conflict: {message}")]
    Conflict {
        /// The API server's words.
        message: String,
    },
    /// 410: a resource version or a continue token is too old.
    #[error("gone: {message}")]
    Gone {
        /// The API server's words.
        message: String,
    },
    /// 429: overload, or a disruption budget.
    #[error("too many requests: {message}")]
    TooManyRequests {
        /// How long the API server asks to wait, if it says so.
        retry_after: Option<Duration>,
        /// The API server's words.
        message: String,
    },
    /// 5xx: the API server, or something in front of it, failed.
    #[error("the API server failed with {code}: {message}")]
    Server {
        /// The HTTP status.
        code: u16,
        /// The API server's words.
        message: String,
    },
    /// No answer: name resolution, connection, TLS, or a connection that broke.
    #[error("the API server can't be reached: {message}")]
    Unreachable {
        /// The whole chain of causes.
        message: String,
    },
    /// No answer within the deadline. A write may have been done all the same.
    #[error("no answer from the API server within {after:?}")]
    Timeout {
        /// The deadline.
        after: Duration,
    },
    /// A request that the API server rejects as wrong, or an answer that can't be read: an error of this program.
    #[error("unexpected answer from the API server: {message}")]
    Other {
        /// The whole chain of causes.
        message: String,
    },
}

/// What a failed call asks of the caller. Every one of them may be tried again; they differ in what has to happen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// What the call was decided on is out of date: read again, decide again.
    Reread,
    /// Nothing is wrong with the call: wait, at least this long if the API server says so.
    Later(Option<Duration>),
    /// New credentials are needed. They are looked for already; wait.
    Credentials,
    /// An administrator has to allow it; waiting alone does not help, so try rarely and tell people.
    Denied,
}

impl ApiError {
    /// The admission webhook or policy that refused the write, where one did.
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

    /// What this error asks of the caller.
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
            // A webhook refuses with whatever code it likes, and a policy with one of several: that says nothing of the credentials, of
            // the object or of the request. 429 is as good as its word.
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

/// The status' message and what its causes add. The causes of a refused eviction name the disruption budget.
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
            // A token file or a credential plugin that stopped working while the client was in use.
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
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn text(message: &str) -> String {
        message.to_owned()
    }

    #[test]
    fn each_status_becomes_its_error_and_asks_for_its_remedy() {
        let message = text("m");
        let later = Retry::Later(None);
        let cases = [
            (
                400,
                ApiError::Other {
                    message: text("400 m"),
                },
                Retry::Denied,
            ),
            (
                401,
                ApiError::Unauthorized { message: text("m") },
                Retry::Credentials,
            ),
            (
                403,
                ApiError::Forbidden { message: text("m") },
                Retry::Denied,
            ),
            (
                404,
                ApiError::NotFound { message: text("m") },
                Retry::Reread,
            ),
            (
                409,
                ApiError::Conflict { message: text("m") },
                Retry::Reread,
            ),
            (410, ApiError::Gone { message: text("m") }, Retry::Reread),
            (
                422,
                ApiError::Other {
                    message: text("422 m"),
                },
                Retry::Denied,
            ),
            (
                429,
                ApiError::TooManyRequests {
                    retry_after: None,
                    message: text("m"),
                },
                later,
            ),
            (
                500,
                ApiError::Server {
                    code: 500,
                    message: text("m"),
                },
                later,
            ),
            (
                503,
                ApiError::Server {
                    code: 503,
                    message: text("m"),
                },
                later,
            ),
            (504, ApiError::Server { code: 504, message }, later),
        ];
        for (code, expected, retry) in cases {
            let found = ApiError::from(Status::failure("m", "Any").with_code(code));
            assert_eq!(found, expected);
            assert_eq!(found.retry_class(), retry, "{code}");
        }
    }

    #[test]
    fn what_a_webhook_refuses_is_refused_whatever_code_it_gives() {
        let message = text("admission webhook \"w\" denied the request: m");
        let forbidden = || ApiError::Forbidden {
            message: message.clone(),
        };
        let cases = [400, 401, 404, 409, 410, 413, 422].map(|code| (code, forbidden()));
        let busy = ApiError::TooManyRequests {
            retry_after: None,
            message: message.clone(),
        };
        for (code, expected) in cases.into_iter().chain([(403, forbidden()), (429, busy)]) {
            let found = ApiError::from(Status::failure(&message, "Any").with_code(code));
            assert_eq!(found, expected, "{code}");
            let by = Some(Admission::Denied(text("w")));
            assert_eq!(found.admission(), by, "{code}");
        }
    }

    /// The words and codes of Kubernetes 1.37. It has a code for `Unauthorized`, but lets no policy give that.
    #[test]
    fn what_a_policy_refuses_is_refused_whatever_reason_it_gives() {
        let message = text(
            "nodes \"n1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        );
        for (code, reason) in [
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (413, "RequestEntityTooLarge"),
            (422, "Invalid"),
        ] {
            let found = ApiError::from(Status::failure(&message, reason).with_code(code));
            let expected = ApiError::Forbidden {
                message: message.clone(),
            };
            assert_eq!(found, expected, "{code}");
            assert_eq!(found.admission(), Some(Admission::Policy(text("p"))));
        }
    }

    #[test]
    fn who_refused_is_told_by_every_error_that_has_the_api_servers_words() {
        let message = || text("ValidatingAdmissionPolicy 'p' denied request: no");
        let retry_after = None;
        let spoken = [
            ApiError::Unauthorized { message: message() },
            ApiError::Forbidden { message: message() },
            ApiError::NotFound { message: message() },
            ApiError::Conflict { message: message() },
            ApiError::Gone { message: message() },
            ApiError::TooManyRequests {
                retry_after,
                message: message(),
            },
            ApiError::Server {
                code: 500,
                message: message(),
            },
            ApiError::Other { message: message() },
        ];
        for error in spoken {
            let by = Some(Admission::Policy(text("p")));
            assert_eq!(error.admission(), by, "{error:?}");
        }
        let silent = [
            ApiError::Unreachable { message: message() },
            ApiError::Timeout {
                after: Duration::from_secs(1),
            },
        ];
        for error in silent {
            assert_eq!(error.admission(), None, "{error:?}");
        }
    }

    #[test]
    fn a_refusal_says_how_long_to_wait_and_which_budget() {
        // The body of a refused eviction as seen with Kubernetes 1.37.
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![StatusCause {
                reason: text("DisruptionBudget"),
                message: text("The disruption budget web needs 1 healthy pods and has 1 currently"),
                field: String::new(),
            }],
            retry_after_seconds: 10,
        };
        let status = Status::failure("Cannot evict pod.", "TooManyRequests")
            .with_code(429)
            .with_details(details);
        let found = ApiError::from(kube::Error::Api(status.boxed()));
        let expected = ApiError::TooManyRequests {
            retry_after: Some(Duration::from_secs(10)),
            message: text(
                "Cannot evict pod. The disruption budget web needs 1 healthy pods and has 1 currently",
            ),
        };
        assert_eq!(found, expected);
        assert_eq!(
            found.retry_class(),
            Retry::Later(Some(Duration::from_secs(10)))
        );
    }
}
