//! What the operator makes of each code when it is its verdict about a node.
//!
//! The match names every code, so that a new one does not compile before it is classified here.

use super::Code;

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
    const fn new(tells: Tells, way: u8) -> Self {
        Self {
            tells,
            way,
            stalls: false,
            soon: false,
        }
    }

    const fn stalls(self) -> Self {
        Self {
            stalls: true,
            ..self
        }
    }

    const fn soon(self) -> Self {
        Self { soon: true, ..self }
    }
}

const fn silent(way: u8) -> Verdict {
    Verdict::new(Tells::Nothing, way)
}

const fn hold(way: u8) -> Verdict {
    Verdict::new(Tells::Hold, way)
}

const fn warn(way: u8) -> Verdict {
    Verdict::new(Tells::Warn, way)
}

impl Code {
    /// What the operator makes of it.
    pub const fn verdict(self) -> Verdict {
        match self {
            // What is not understood comes before everything else.
            Self::MalformedAnnotation | Self::ProtocolUnknown => warn(0).stalls(),
            Self::NoAgent => silent(0),
            // On the way to a slot, in the order in which each is asked.
            Self::UpToDate => silent(1),
            Self::Paused => hold(2),
            Self::IdentityFailed => warn(3),
            Self::AgentHolds => hold(4),
            Self::NodeNotReady => warn(5),
            Self::WriteRefused => warn(6).stalls(),
            Self::GrantUnanswered => warn(7),
            Self::CordonedByOther => hold(8),
            Self::AgentTooOld => hold(9),
            Self::PoolsDiffer => warn(10),
            Self::NotTarget => hold(11),
            Self::NotApproved => hold(12),
            Self::ClusterPaused => hold(13),
            Self::PoolPaused => hold(14),
            Self::WindowClosed => hold(15),
            Self::OwnNodeLast => hold(16),
            Self::CanaryFirst => hold(17),
            Self::PoolSettling => hold(18).soon(),
            Self::ControlPlaneBusy => hold(19),
            Self::BudgetExhausted => hold(20),
            Self::PoolInvalid => warn(21),
            Self::Reserved => silent(22).soon(),
            // With a slot.
            Self::BeforeChecks | Self::AfterChecks => hold(0).stalls(),
            Self::Granted => silent(0),
            Self::Rebooting => Verdict::new(Tells::Accept, 0),
            Self::GrantMismatch | Self::GrantExpired => hold(0),
            // About a pool, or in the agent's words, which `AgentHolds` quotes.
            Self::Hold
            | Self::OtherDriver
            | Self::StagedUnlocked
            | Self::BootIncomplete
            | Self::UnitsInactive
            | Self::Settling
            | Self::Unhealthy
            | Self::RollbackWanted
            | Self::UnitsUnknown
            | Self::ConfigInvalid
            | Self::RebootPrepared
            | Self::Inhibited
            | Self::Preflight
            | Self::Draining
            | Self::DrainBlocked
            | Self::BlockingPod
            | Self::PreflightBlocked
            | Self::VolumesInUse
            | Self::DrainDelay
            | Self::Drained
            | Self::ControlPlaneFound
            | Self::ControlPlaneNotReady
            | Self::DaemonSetsNotReady
            | Self::RpmOstreeUnavailable
            | Self::StageFailed
            | Self::NetworkFailed
            | Self::SignatureRefused
            | Self::DiskFull
            | Self::LayeringConflict
            | Self::OlderVersion
            | Self::OriginUnusable
            | Self::RpmOstreeBusy
            | Self::RpmOstreeDenied
            | Self::RpmOstreeDied
            | Self::NothingStaged
            | Self::UpdateAvailable
            | Self::Metered
            | Self::GrantRevoked
            | Self::PendingChanged
            | Self::Uncordoned
            | Self::FinalizeFailed
            | Self::FinalizerInactive
            | Self::FinalizationFailed
            | Self::RebootDidNotHappen
            | Self::SoftReboot
            | Self::ForeignReboot
            | Self::UpdateLost
            | Self::BootedFallback
            | Self::RolledBack
            | Self::ForeignDeployment
            | Self::StateUnreadable
            | Self::StateUnwritable
            | Self::PoolValid => hold(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two that stop nodes at the same place would hide each other.
    #[test]
    fn every_place_on_the_way_is_taken_once() {
        let ways = Code::ALL.iter().map(|code| code.verdict().way);
        let mut ways: Vec<_> = ways.filter(|way| *way > 0).collect();
        ways.sort_unstable();
        let most = u8::try_from(ways.len()).unwrap();
        assert_eq!(ways, (1..=most).collect::<Vec<_>>());
    }
}
