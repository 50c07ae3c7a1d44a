//! What the operator makes of a code when it is its verdict about a node.

/// How people hear that a node's verdict changed to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Not at all, or by the Event of the write that led to it.
    Nothing,
    /// The agent accepted its grant.
    Accept,
    /// The node waits.
    Hold,
    /// The node waits, and a person has to look.
    Warn,
}

/// What the operator makes of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How people hear of it.
    pub tells: Tells,
    /// How far the node got on its way to a slot before this stopped it. A pool shows what stopped those of its nodes that got furthest.
    pub way: u8,
    /// A slot with this verdict does not get on by itself.
    pub stalls: bool,
    /// The node has its turn now or as soon as time passes, so the operator's own node lets it go first.
    pub soon: bool,
}

impl Verdict {
    pub(super) const fn new(tells: Tells, way: u8) -> Self {
        Self {
            tells,
            way,
            stalls: false,
            soon: false,
        }
    }

    pub(super) const fn stalls(self) -> Self {
        Self {
            stalls: true,
            ..self
        }
    }

    pub(super) const fn soon(self) -> Self {
        Self { soon: true, ..self }
    }
}

pub(super) const fn silent(way: u8) -> Verdict {
    Verdict::new(Tells::Nothing, way)
}

pub(super) const fn hold(way: u8) -> Verdict {
    Verdict::new(Tells::Hold, way)
}

pub(super) const fn warn(way: u8) -> Verdict {
    Verdict::new(Tells::Warn, way)
}

pub(super) const fn accept() -> Verdict {
    Verdict::new(Tells::Accept, 0)
}
