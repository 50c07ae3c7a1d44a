//! Which release a node goes to: what the host follows, what the update graph leads to, and what the cluster assigns.
//!
//! All of it is values: the agent fetches graphs and asks rpm-ostree, and the operator writes assignments; what follows from them is decided
//! here.

mod declared;
mod origin;
mod rollout;
mod value;

pub use declared::{Declaration, Declared};
pub use origin::{Form, ImageName, NamedBy, Origin, OriginError};
pub use rollout::{Chosen, Ended, GIVEN_UP, GivenUp, HISTORY, Past, Rollout};
pub use value::{Assigned, Following, NamedRelease, Source};
