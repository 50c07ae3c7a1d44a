//! The rights of these credentials, and the API server's clock.

use http::header::DATE;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldSelectorRequirement;
use kube::Api;
use kube::api::PostParams;
use kube::client::Body;

use crate::error::ApiError;
use crate::source::ClientSource;

/// A right to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right<'a> {
    /// `get`, `patch`, …
    pub verb: &'a str,
    /// `nodes` or `pods`.
    pub resource: &'a str,
    /// The subresource, such as `eviction`.
    pub subresource: Option<&'a str>,
    /// The name of the object, if the right is limited to one.
    pub name: Option<&'a str>,
    /// A field and its value, if the right is limited to objects that have it.
    pub only: Option<(&'a str, &'a str)>,
}

impl std::fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(subresource) = self.subresource {
            write!(f, "/{subresource}")?;
        }
        if let Some(name) = self.name {
            write!(f, " {name}")?;
        }
        match self.only {
            Some((field, value)) => write!(f, " with {field}={value}"),
            None => Ok(()),
        }
    }
}

impl Right<'_> {
    fn attributes(&self) -> ResourceAttributes {
        let text = |text: &str| Some(text.to_owned());
        let requirement = |(field, value): (&str, &str)| FieldSelectorAttributes {
            requirements: Some(vec![FieldSelectorRequirement {
                key: field.to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![value.to_owned()]),
            }]),
            ..FieldSelectorAttributes::default()
        };
        ResourceAttributes {
            verb: text(self.verb),
            resource: text(self.resource),
            version: text("v1"),
            subresource: self.subresource.and_then(text),
            name: self.name.and_then(text),
            field_selector: self.only.map(requirement),
            ..ResourceAttributes::default()
        }
    }
}

/// Asks the API server whether this program has `right`; everybody may ask that of themselves.
///
/// # Errors
/// Any [`ApiError`].
pub async fn allowed(source: &ClientSource, right: &Right<'_>) -> Result<bool, ApiError> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(right.attributes()),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answered = source.call(|client| async move {
        let api = Api::<SelfSubjectAccessReview>::all(client);
        api.create(&PostParams::default(), &review).await
    });
    let status = answered.await?.status;
    Ok(status.is_some_and(|status| status.allowed))
}

/// How far the API server's clock is ahead of this host's, accurate to about a second, because answers carry whole seconds.
///
/// # Errors
/// Any [`ApiError`]; [`ApiError::Other`] if the answer carries no time.
pub async fn clock_ahead(source: &ClientSource) -> Result<SignedDuration, ApiError> {
    let other = |message: String| ApiError::Other { message };
    let request = http::Request::get("/version").body(Body::empty());
    let request = request.map_err(|error| other(error.to_string()))?;
    let before = Timestamp::now();
    let response = source.call(|client| async move { client.send(request).await });
    let response = response.await?;
    let after = Timestamp::now();
    let date = response.headers().get(DATE);
    let text = date.and_then(|date| date.to_str().ok());
    let text = text.ok_or_else(|| other("an answer without a time".to_owned()))?;
    let theirs = DateTimeParser::new().parse_timestamp(text);
    let theirs = theirs.map_err(|error| other(format!("Date: {text}: {error}")))?;
    Ok(outside(theirs, before, after))
}

/// The version of the API server, such as `v1.34.2`; everybody may ask for it.
///
/// # Errors
/// Any [`ApiError`].
pub async fn server_version(source: &ClientSource) -> Result<String, ApiError> {
    let found = source.call(|client| async move { client.apiserver_version().await });
    Ok(found.await?.git_version)
}

/// How far `theirs`, a whole second that has begun, is from the time between `before` and `after`.
fn outside(theirs: Timestamp, before: Timestamp, after: Timestamp) -> SignedDuration {
    let end = theirs.saturating_add(SignedDuration::from_secs(1));
    let end = end.unwrap_or(Timestamp::MAX);
    if theirs > after {
        theirs.duration_since(after)
    } else if end < before {
        end.duration_since(before)
    } else {
        SignedDuration::ZERO
    }
}

#[cfg(test)]
mod tests;
