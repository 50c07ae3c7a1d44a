//! How the operator treats a code as its verdict about a node.

/// How a node's change to this verdict is announced.
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

/// How the operator treats a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How it is announced.
    pub tells: Tells,
    /// How far the node got on its way to a slot before this stopped it. A pool shows what stopped those of its nodes that got furthest.
    pub way: u8,
    /// Whether a slot with this verdict waits for something outside of CUO.
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
