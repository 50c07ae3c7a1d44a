//! Which release a node goes to: what the host follows, what the update graph leads to, and what the cluster assigns.
//!
//! All of it is values: the agent fetches graphs and asks rpm-ostree, and the operator writes assignments; what follows from them is decided
//! here.

mod declared;
mod direction;
mod graph;
mod origin;
mod policy;
mod report;
mod rollout;
mod value;

pub use declared::{Declaration, Declared};
pub use direction::{Deploy, Direction, FCOS, Place, Preference, Revision};
pub use graph::{Aim, Graph, GraphError, GraphRelease, Here, Route, Walk};
pub use origin::{Form, ImageName, Origin, OriginError};
pub use policy::ImagePolicy;
pub use report::Runs;
pub use rollout::{Chosen, Ended, GIVEN_UP, GivenUp, HISTORY, Past, Rollout};
pub use value::{Assigned, Following, NamedRelease, Source};
