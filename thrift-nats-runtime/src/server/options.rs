//! The options of a server, and their ranges. All are checked before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::EndpointLimits;
use crate::error::InvalidOption;
use crate::format::ServedFormats;
use crate::proto::InboxPolicy;
use crate::protocol::Limits;

/// The longest heartbeat: a legacy peer counts nanoseconds in 64 bits.
const MAX_HEARTBEAT: Duration = Duration::from_millis(i64::MAX as u64 / 1_000_000);

/// The options of a server.
#[derive(Clone, Debug)]
pub(super) struct ServerOptions {
    pub(super) heartbeat: Option<Duration>,
    pub(super) max_sessions: usize,
    pub(super) max_calls: usize,
    pub(super) max_calls_per_session: usize,
    pub(super) max_timeout: Duration,
    pub(super) grace_after_end: Duration,
    pub(super) chunk_limit: usize,
    pub(super) queue_limit: usize,
    pub(super) endpoint: EndpointLimits,
    pub(super) limits: Limits,
    pub(super) served: ServedFormats,
    /// `None`: the usual inbox prefix.
    pub(super) reply_prefixes: Option<Arc<[String]>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            heartbeat: Some(Duration::from_secs(10)),
            max_sessions: 1 << 18,
            max_calls: 1 << 16,
            max_calls_per_session: 1 << 14,
            max_timeout: Duration::from_secs(600),
            grace_after_end: Duration::from_secs(5),
            chunk_limit: 1 << 20,
            queue_limit: 64 << 20,
            endpoint: EndpointLimits::default(),
            limits: Limits::DEFAULT,
            served: ServedFormats::ALL,
            reply_prefixes: None,
        }
    }
}

impl ServerOptions {
    /// Checks the range of every option.
    pub(super) fn check(&self) -> Result<(), InvalidOption> {
        if let Some(heartbeat) = self.heartbeat {
            let whole = heartbeat.subsec_nanos().is_multiple_of(1_000_000);
            if heartbeat.is_zero() || heartbeat > MAX_HEARTBEAT || !whole {
                return Err(InvalidOption {
                    option: "heartbeat",
                    value: format!("{heartbeat:?}"),
                    range: "a whole number of milliseconds from 1 ms to 292 years, or None",
                });
            }
        }
        let calls = self.max_calls_per_session;
        InvalidOption::check("max_calls_per_session", calls, "1 or more", |calls| *calls > 0)?;
        if self.max_timeout.is_zero() {
            let (option, value) = ("max_timeout", format!("{:?}", self.max_timeout));
            return Err(InvalidOption { option, value, range: "more than 0" });
        }
        InvalidOption::check_bytes("chunk_limit", self.chunk_limit)?;
        InvalidOption::check_bytes("queue_limit", self.queue_limit)?;
        self.endpoint.check()?;
        InboxPolicy::check_prefixes(self.reply_prefixes.as_deref())?;
        if self.served.protocols().next().is_none() {
            let (option, value) = ("protocols and transports", self.served.to_string());
            let range = "at least one protocol with a transport that supports it";
            return Err(InvalidOption { option, value, range });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Protocol, Transport};

    #[test]
    fn an_option_out_of_range_is_an_error_that_names_it() {
        let with = |change: fn(&mut ServerOptions)| {
            let mut options = ServerOptions::default();
            change(&mut options);
            options.check().err().map(|error| (error.option, error.value))
        };
        let named = |option, value: &str| Some((option, value.to_owned()));
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|options| options.heartbeat = None), None);
        assert_eq!(with(|options| options.heartbeat = Some(MAX_HEARTBEAT)), None);
        for (heartbeat, value) in [
            (Duration::ZERO, "0ns"),
            (Duration::from_micros(1500), "1.5ms"),
            (MAX_HEARTBEAT + Duration::from_millis(1), "9223372036.855s"),
        ] {
            let options = ServerOptions { heartbeat: Some(heartbeat), ..ServerOptions::default() };
            let error = options.check().unwrap_err();
            assert_eq!((error.option, error.value.as_str()), ("heartbeat", value));
        }
        let calls = named("max_calls_per_session", "0");
        assert_eq!(with(|options| options.max_calls_per_session = 0), calls);
        assert_eq!(with(|options| options.max_timeout = Duration::ZERO), named("max_timeout", "0ns"));
        assert_eq!(with(|options| options.max_timeout = Duration::MAX), None);
        let prefixes = |options: &mut ServerOptions| {
            options.reply_prefixes = Some(["_INBOX_a".to_owned(), "$JS".to_owned()].into());
        };
        assert_eq!(with(prefixes), named("reply_prefixes", "\"$JS\""));
        assert_eq!(with(|options| options.reply_prefixes = Some(Arc::default())), None);
        assert_eq!(with(|options| options.chunk_limit = 0), named("chunk_limit", "0"));
        assert_eq!(with(|options| options.queue_limit = 0), named("queue_limit", "0"));
        assert_eq!(with(|options| options.endpoint.memory = Some(0)), named("memory_limit", "0"));
        assert_eq!(with(|options| options.endpoint.in_flight = Some(0)), named("in_flight_limit", "0"));
        for (protocols, transports, value) in [
            (&[][..], Transport::ALL, "protocols: none; transports: buffered, framed, header"),
            (Protocol::ALL, &[], "protocols: none; transports: none"),
            (&[Protocol::Json], &[Transport::Header], "protocols: none; transports: header"),
        ] {
            let served = ServedFormats::ALL.with_protocols(protocols).with_transports(transports);
            let error = ServerOptions { served, ..ServerOptions::default() }.check().unwrap_err();
            assert_eq!((error.option, error.value.as_str()), ("protocols and transports", value));
        }
    }
}
