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
