//! The only crate of CUO that uses the Kubernetes client.
//!
//! It gives the two programs small typed interfaces: a [`ClientSource`] that keeps a working client through every rotation of credentials,
//! calls that each have a deadline and fail with an [`ApiError`], and streams that never end. Their arguments and results are types of
//! `cuo_core`.

pub mod admission;
mod backoff;
mod causes;
pub mod credentials;
pub mod error;
pub mod events;
pub mod evict;
mod keep;
pub mod node;
pub mod paths;
pub mod pods;
pub mod process;
pub mod rights;
pub mod source;
mod tls;
pub mod watch;
pub mod wire;

#[cfg(test)]
#[expect(dead_code, reason = "tests of cuo-coordination ask for more")]
mod double;
#[cfg(test)]
mod tests;

pub use backoff::{LONGEST_ASKED, scattered};
pub use credentials::{Credentials, CredentialsError};
pub use error::{ApiError, Retry};
pub use source::{ClientSource, Program, Status};
