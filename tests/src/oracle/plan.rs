//! The plan of a call, which follows from its number; and the faults.

use std::fmt;
use std::time::Duration;

use super::api::oracle::Parcel;
use crate::proxy::random::Random;

/// The timeout of an idempotent call.
const AGAIN: Duration = Duration::from_secs(5);
/// The timeout of a call that may have a payload of up to 8 MiB.
const LARGE_CALL: Duration = Duration::from_secs(30);
/// The timeout of all other calls.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// The duration of a call of `linger`.
pub(super) const LINGERS: Duration = Duration::from_secs(3600);
/// A call that ends later than this after its deadline counts as hanging. It is long, for a busy machine. While clients
/// are paused, the longest pause is added.
const GRACE: Duration = Duration::from_secs(3);
/// The longest pause of a client.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A payload that is longer blocks its thread for more than a millisecond.
const BLOCKS: usize = 500_000;

/// The bit in the number of a call that permits a long payload; half of those calls have one.
pub(super) const HEAVY: u64 = 1 << 39;
/// The bit in the number of a call of a client that the fault does not touch. Every such call must succeed.
pub(super) const UNTOUCHED: u64 = 1 << 38;
/// The bit in the number of a call of the client that floods the servers.
pub(super) const FLOOD: u64 = 1 << 37;
/// The bit in the number of a call of `linger`.
pub(super) const LINGER: u64 = 1 << 36;
/// The bit in the number of a call that permits a payload of up to 8 MiB; one in twenty of those calls has one.
pub(super) const LARGE: u64 = 1 << 35;

/// The function of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Once,
    Again,
    Make,
    Tell,
    Linger,
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
            _ if id & LINGER != 0 => Function::Linger,
            0..=5 => Function::Once,
            6 | 7 => Function::Again,
            8 => Function::Make,
            _ => Function::Tell,
        };
        let len = match random.next() % 1000 {
            0..500 if id & HEAVY != 0 => 300_000,
            0..50 if id & LARGE != 0 => (1 << 20) + random.next() % (7 << 20),
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

    pub(super) fn timeout(self) -> Duration {
        match self.function {
            _ if self.id & LARGE != 0 => LARGE_CALL,
            Function::Again => AGAIN,
            Function::Once | Function::Make | Function::Tell | Function::Linger => DEADLINE,
        }
    }

    /// The time after which a client ends the call itself, and records that it hangs.
    pub(super) fn hangs(self) -> Duration {
        self.timeout() + GRACE + LONGEST_PAUSE
    }

    /// The argument and the reply of the call.
    pub(super) fn parcel(self) -> Parcel {
        self.compute(|| self.make_parcel())
    }

    /// Computes with the payload. Others do not wait for a large one, on a runtime with several threads.
    fn compute<T>(self, compute: impl FnOnce() -> T) -> T {
        if self.len > BLOCKS { tokio::task::block_in_place(compute) } else { compute() }
    }

    fn make_parcel(self) -> Parcel {
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
            && self.compute(|| parcel.sum == sum(self.id, &parcel.payload) && *parcel == self.make_parcel())
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
    /// The process of a server is paused (SIGSTOP), and resumed after up to seven seconds. No idempotent call may fail.
    ServersPaused,
    /// The process of a client is paused, and resumed after up to three seconds. No call of the other client may fail.
    ClientsPaused,
    /// Another client sends handshakes, messages of one byte and calls as fast as it can. No call of the others may fail.
    Flood,
    /// One call in twenty has a payload of 1 to 8 MiB. No call may fail.
    LargeMessages,
    /// Thousands of calls are dropped at once. Their handlers must be dropped too, and no other call may fail.
    CancelStorm,
}

impl Fault {
    /// All of them. Processes are only paused on Unix.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let all = [
            Self::None,
            Self::RollingRestart,
            Self::ServerKilled,
            Self::ClientKilled,
            Self::ChunksDropped,
            Self::SlowConsumer,
            Self::NodeKilled,
            Self::NatsRestarted,
            Self::ServersPaused,
            Self::ClientsPaused,
            Self::Flood,
            Self::LargeMessages,
            Self::CancelStorm,
        ];
        let pauses = |it: &Self| matches!(it, Self::ServersPaused | Self::ClientsPaused);
        all.into_iter().filter(|it| cfg!(unix) || !pauses(it)).collect()
    }

    /// The number of calls that are made under this fault, if each fault has an equal `share`.
    pub(super) const fn calls(self, share: u64) -> u64 {
        match self {
            // The replies that the client does not read have to fill all buffers between the server and the client.
            Self::SlowConsumer => share.div_ceil(20),
            // A large call takes a hundred times as long as a small one.
            Self::LargeMessages => share.div_ceil(4),
            Self::None
            | Self::RollingRestart
            | Self::ServerKilled
            | Self::ClientKilled
            | Self::ChunksDropped
            | Self::NodeKilled
            | Self::NatsRestarted
            | Self::ServersPaused
            | Self::ClientsPaused
            | Self::Flood
            | Self::CancelStorm => share,
        }
    }

    /// The bits in the numbers of the calls of this client.
    pub(super) fn bits(self, client: usize) -> u64 {
        match self {
            Self::SlowConsumer => HEAVY,
            Self::LargeMessages => LARGE,
            // The fault always happens to the first client.
            Self::ClientKilled | Self::ClientsPaused if client > 0 => UNTOUCHED,
            Self::None
            | Self::RollingRestart
            | Self::ServerKilled
            | Self::ClientKilled
            | Self::ChunksDropped
            | Self::NodeKilled
            | Self::NatsRestarted
            | Self::ServersPaused
            | Self::ClientsPaused
            | Self::Flood
            | Self::CancelStorm => 0,
        }
    }

    /// The shortest time for the calls, so that the fault happens more than once. Pauses last for seconds.
    pub(super) fn at_least(self, at_least: Duration) -> Duration {
        if matches!(self, Self::ServersPaused | Self::ClientsPaused) { 2 * at_least } else { at_least }
    }

    /// Whether the call must succeed despite the fault.
    pub(super) fn must_succeed(self, plan: Plan) -> bool {
        match self {
            Self::None | Self::RollingRestart | Self::LargeMessages => true,
            Self::ServersPaused => plan.may_be_run_again(),
            Self::Flood => plan.id & FLOOD == 0,
            Self::CancelStorm => plan.function != Function::Linger,
            Self::ServerKilled
            | Self::ClientKilled
            | Self::ChunksDropped
            | Self::SlowConsumer
            | Self::NodeKilled
            | Self::NatsRestarted
            | Self::ClientsPaused => plan.id & UNTOUCHED != 0,
        }
    }

    /// The time after which the call counts as hanging.
    pub(super) fn bound(self, plan: Plan) -> Duration {
        match self {
            // The client ends the session of a paused server soon after the server has stopped to respond.
            Self::ServersPaused => AGAIN + GRACE,
            Self::ClientsPaused => plan.timeout() + GRACE + LONGEST_PAUSE,
            Self::None
            | Self::RollingRestart
            | Self::ServerKilled
            | Self::ClientKilled
            | Self::ChunksDropped
            | Self::SlowConsumer
            | Self::NodeKilled
            | Self::NatsRestarted
            | Self::Flood
            | Self::LargeMessages
            | Self::CancelStorm => plan.timeout() + GRACE,
        }
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
            Self::ServersPaused => "servers paused",
            Self::ClientsPaused => "clients paused",
            Self::Flood => "flood of a tenant",
            Self::LargeMessages => "large messages",
            Self::CancelStorm => "cancel storms",
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
