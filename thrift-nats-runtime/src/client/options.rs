//! The options of a client, and their ranges. All are checked before anything is sent.

use std::time::Duration;

use crate::endpoint::EndpointLimits;
use crate::error::{ConnectError, InvalidOption};
use crate::format::WireFormat;
use crate::protocol::Limits;

/// The options of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientOptions {
    pub(super) timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) liveness_timeout: Duration,
    pub(super) chunk_limit: usize,
    pub(super) queue_limit: usize,
    pub(super) endpoint: EndpointLimits,
    pub(super) max_calls: usize,
    pub(super) sessions: usize,
    pub(super) wait_for_server: Duration,
    pub(super) fail_fast: bool,
    pub(super) limits: Limits,
    pub(super) format: WireFormat,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(2),
            liveness_timeout: Duration::from_secs(1),
            chunk_limit: 1 << 20,
            queue_limit: 64 << 20,
            endpoint: EndpointLimits::default(),
            max_calls: 1 << 14,
            sessions: 1,
            wait_for_server: Duration::from_millis(100),
            fail_fast: false,
            limits: Limits::DEFAULT,
            format: WireFormat::default(),
        }
    }
}

impl ClientOptions {
    /// Checks the range of every option.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let WireFormat { protocol, transport, .. } = self.format;
        self.format.check().map_err(|reason| ConnectError::InvalidFormat { protocol, transport, reason })?;
        InvalidOption::check_bytes("chunk_limit", self.chunk_limit)?;
        InvalidOption::check_bytes("queue_limit", self.queue_limit)?;
        self.endpoint.check()?;
        InvalidOption::check("sessions", self.sessions, "1 or more", |it| *it > 0)?;
        InvalidOption::check("max_calls_per_session", self.max_calls, "1 or more", |it| *it > 0)?;
        let range = "longer than 0";
        InvalidOption::check("handshake_timeout", self.handshake_timeout, range, |it| !it.is_zero())?;
        InvalidOption::check("liveness_timeout", self.liveness_timeout, range, |it| !it.is_zero())?;
        Ok(())
    }
}

/// Checks the name of a service. A colon separates it from the name of the function in messages.
pub(super) fn check_service(name: &str) -> Result<(), InvalidOption> {
    let is_valid = |name: &&str| !name.is_empty() && !name.contains(':');
    InvalidOption::check("service", name, "a name without a colon", is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_out_of_range_is_an_error_that_names_it() {
        type Change = fn(&mut ClientOptions);
        let changes: [(&str, Change); 8] = [
            ("sessions", |options| options.sessions = 0),
            ("max_calls_per_session", |options| options.max_calls = 0),
            ("chunk_limit", |options| options.chunk_limit = 0),
            ("queue_limit", |options| options.queue_limit = 0),
            ("memory_limit", |options| options.endpoint.memory = Some(0)),
            ("in_flight_limit", |options| options.endpoint.in_flight = Some(0)),
            ("handshake_timeout", |options| options.handshake_timeout = Duration::ZERO),
            ("liveness_timeout", |options| options.liveness_timeout = Duration::ZERO),
        ];
        assert_eq!(ClientOptions::default().check(), Ok(()));
        for (option, change) in changes {
            let mut options = ClientOptions::default();
            change(&mut options);
            match options.check() {
                Err(ConnectError::InvalidOption(error)) => assert_eq!(error.option, option),
                other => panic!("{option}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_service_has_a_name_without_a_colon() {
        assert_eq!(check_service("Calculator"), Ok(()));
        for name in ["", ":", "a:b"] {
            let error = check_service(name).unwrap_err();
            assert_eq!((error.option, error.value), ("service", format!("{name:?}")));
        }
    }
}
