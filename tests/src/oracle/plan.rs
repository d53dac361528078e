//! The plan of a call, which follows from its number; and the faults.

use std::fmt;
use std::time::Duration;

use super::api::oracle::Parcel;
use crate::proxy::random::Random;

/// The timeout of a call.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// A call that ends later than this after its deadline counts as hanging. It is long, for a busy machine.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The bit in the number of a call that permits a long payload; half of those calls have one.
pub(super) const HEAVY: u64 = 1 << 39;

/// The function of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Once,
    Again,
    Make,
    Tell,
}

/// The properties of a call that follow from its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) id: u64,
    pub(super) function: Function,
    pub(super) len: usize,
    /// The duration of the handler.
    pub(super) takes: Duration,
}

impl Plan {
    pub(super) fn of(id: u64) -> Self {
        let mut random = Random::new(id);
        let function = match random.next() % 10 {
            0..=5 => Function::Once,
            6 | 7 => Function::Again,
            8 => Function::Make,
            _ => Function::Tell,
        };
        let len = match random.next() % 1000 {
            0..500 if id & HEAVY != 0 => 300_000,
            0 => 1 << 20,
            1..=9 => 100_000,
            _ => random.next() % 200,
        };
        let takes = if random.next().is_multiple_of(50) { Duration::from_millis(5) } else { Duration::ZERO };
        Self { id, function, len: len as usize, takes }
    }

    /// Whether it may run more than once.
    pub(super) fn may_be_run_again(self) -> bool {
        self.function == Function::Again
    }

    pub(super) fn parcel(self) -> Parcel {
        let mut random = Random::new(!self.id);
        let mut payload = Vec::with_capacity(self.len + 8);
        while payload.len() < self.len {
            payload.extend_from_slice(&random.next().to_le_bytes());
        }
        payload.truncate(self.len);
        let sum = sum(self.id, &payload);
        Parcel { id: self.id.cast_signed(), payload: payload.into(), sum }
    }

    /// Whether this is the argument and the reply of the call.
    pub(super) fn is_parcel(self, parcel: &Parcel) -> bool {
        parcel.id == self.id.cast_signed()
            && parcel.payload.len() == self.len
            && parcel.sum == sum(self.id, &parcel.payload)
            && *parcel == self.parcel()
    }
}

/// FNV-1a over the number and the bytes.
fn sum(id: u64, payload: &[u8]) -> i64 {
    let bytes = id.to_le_bytes();
    let hash = bytes.iter().chain(payload).fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    hash.cast_signed()
}

/// A fault during a share of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Servers are drained and replaced one after the other. No call may fail.
    RollingRestart,
    /// The process of a server is killed and replaced.
    ServerKilled,
    /// The process of a client is killed and replaced.
    ClientKilled,
    /// One message in a hundred is dropped, in either direction.
    ChunksDropped,
    /// A client does not read from its connection for a while.
    SlowConsumer,
    /// One of the three NATS servers is killed, and comes back a moment later.
    NodeKilled,
    /// All three NATS servers are killed and started again.
    NatsRestarted,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::RollingRestart,
        Self::ServerKilled,
        Self::ClientKilled,
        Self::ChunksDropped,
        Self::SlowConsumer,
        Self::NodeKilled,
        Self::NatsRestarted,
    ];

    /// The number of calls that are made under this fault, if each fault has an equal `share`; and whether the calls are
    /// heavy.
    pub(super) fn calls(self, share: u64) -> (u64, bool) {
        match self {
            // The replies that the client does not read have to fill all buffers between the server and the client.
            Self::SlowConsumer => (share.div_ceil(20), true),
            Self::None
            | Self::RollingRestart
            | Self::ServerKilled
            | Self::ClientKilled
            | Self::ChunksDropped
            | Self::NodeKilled
            | Self::NatsRestarted => (share, false),
        }
    }

    /// Whether every call must succeed despite the fault.
    pub(super) fn fails_no_call(self) -> bool {
        matches!(self, Self::None | Self::RollingRestart)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "nothing breaks",
            Self::RollingRestart => "rolling restart",
            Self::ServerKilled => "servers killed",
            Self::ClientKilled => "clients killed",
            Self::ChunksDropped => "1% of chunks dropped",
            Self::SlowConsumer => "slow consumer",
            Self::NodeKilled => "NATS nodes killed",
            Self::NatsRestarted => "NATS restarted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_parcel_is_detected() {
        for id in 0..200 {
            let plan = Plan::of(id);
            let parcel = plan.parcel();
            assert!(plan.is_parcel(&parcel));
            assert!(!Plan::of(id + 1).is_parcel(&parcel));
            let mut bytes = parcel.payload.to_vec();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
                assert!(!plan.is_parcel(&Parcel { payload: bytes.into(), ..parcel }));
            }
        }
    }
}
