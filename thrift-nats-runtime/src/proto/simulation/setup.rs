//! The setup of a simulation: its random choices, its network, and the options of both sides.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{CALL_TIMEOUT, HANDSHAKE_TIMEOUT, InTransit, LIVENESS_TIMEOUT, MEMORY_LIMIT, ms};
use crate::format::{Protocol, ServedFormats, Transport, WireFormat};
use crate::proto::{Budget, ClientConfig, InboxPolicy, ServerConfig};
use crate::protocol::Limits;

/// Splitmix64: small, and the same on every platform.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub(super) fn one_of(&mut self, values: &[u64]) -> u64 {
        values[self.within(0..=values.len() as u64 - 1) as usize]
    }

    pub(super) fn time(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let micros = |duration: &Duration| duration.as_micros() as u64;
        Duration::from_micros(self.within(micros(range.start())..=micros(range.end())))
    }

    /// True this many times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.within(0..=999) < per_mille
    }
}

/// The faults of the simulated NATS.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) delay: RangeInclusive<Duration>,
    /// Lost messages per thousand.
    pub(super) lost: u64,
    /// Duplicated messages per thousand.
    pub(super) twice: u64,
    /// Messages per thousand that may be reordered.
    pub(super) unordered: u64,
    /// Returns true for other messages that are lost.
    pub(super) loses: fn(&InTransit) -> bool,
}

pub(super) const fn nothing(_: &InTransit) -> bool {
    false
}

impl Network {
    /// As NATS while a connection lasts: no message is lost, and all are in order.
    pub(super) const fn sound(delay: RangeInclusive<Duration>) -> Self {
        Self { delay, lost: 0, twice: 0, unordered: 0, loses: nothing }
    }
}

/// A random format among those of clients.
pub(super) fn any_format(random: &mut Random) -> WireFormat {
    loop {
        let protocol = Protocol::ALL[random.within(0..=Protocol::ALL.len() as u64 - 1) as usize];
        let transport = Transport::ALL[random.within(0..=Transport::ALL.len() as u64 - 1) as usize];
        let format = WireFormat::new(protocol, transport);
        if format.check().is_ok() {
            return WireFormat { zlib: transport == Transport::Header && random.chance(500), ..format };
        }
    }
}

/// The setup of a simulation.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) network: Network,
    pub(super) chunk_limit: usize,
    /// The server's heartbeat interval.
    pub(super) interval: Option<Duration>,
    /// The duration of a handler.
    pub(super) handler: RangeInclusive<Duration>,
    /// The network removes all additions of this project, so that each side treats the other as a legacy peer.
    pub(super) legacy: bool,
    /// The client's format.
    pub(super) format: WireFormat,
    /// The shortest pause between the client's probes.
    pub(super) pace: Duration,
}

/// The pace of a client that sends no probes.
pub(super) const NO_PROBES: Duration = Duration::MAX;

impl Setup {
    pub(super) const fn new() -> Self {
        Self {
            seed: 0,
            network: Network::sound(ms(1)..=ms(1)),
            chunk_limit: 1000,
            interval: None,
            handler: ms(0)..=ms(0),
            legacy: false,
            format: WireFormat::new(Protocol::Binary, Transport::Buffered),
            pace: NO_PROBES,
        }
    }

    pub(super) fn client_config(&self) -> ClientConfig {
        let servers: Arc<[String]> = ["server".to_owned()].into();
        ClientConfig {
            chunk_limit: self.chunk_limit,
            queue_limit: super::QUEUE_LIMIT,
            max_calls: 100_000,
            limits: Limits::DEFAULT,
            format: self.format,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            liveness_timeout: LIVENESS_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            service: None,
            inboxes: InboxPolicy::new("client", Some(servers)),
            budget: Budget::new(MEMORY_LIMIT),
        }
    }

    pub(super) fn server_config(&self) -> ServerConfig {
        ServerConfig {
            chunk_limit: self.chunk_limit,
            queue_limit: super::QUEUE_LIMIT,
            max_calls: 100_000,
            limits: Limits::DEFAULT,
            served: ServedFormats::ALL,
            budget: Budget::new(MEMORY_LIMIT),
        }
    }
}
