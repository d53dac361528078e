//! Decides whether a call is retried on another session, and with which error it ends. Sends nothing itself.

use crate::error::{Error, Outcome};
use crate::log_limit::limited;
use crate::method::Message;
use crate::proto::CloseReason;
use crate::protocol::Limits;

/// Limit of retries. Each server that is drained or gone costs one, and a rolling restart may drain one
/// after the other. But a call that itself ends its sessions must not end all of them.
const RETRIES: u32 = 8;

/// The error of one attempt at a call.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The session had ended before the call was sent.
    NotOpen(CloseReason),
    /// The session ended before the reply arrived.
    SessionEnded(CloseReason, Outcome),
    /// No other attempt can do better.
    Final(Error),
}

/// The attempts at one call.
#[derive(Debug)]
pub(super) struct Retries {
    idempotent: bool,
    left: u32,
    /// The reason why the last session ended on which the call may have run.
    may_have_run: Option<CloseReason>,
}

impl Retries {
    pub(super) const fn new(idempotent: bool) -> Self {
        Self { idempotent, left: RETRIES, may_have_run: None }
    }

    /// Whether no attempt has failed so far.
    pub(super) const fn is_first_attempt(&self) -> bool {
        self.left == RETRIES
    }

    /// Records a failed attempt. `Ok` if the call is to be sent again.
    pub(super) fn after(&mut self, error: AttemptError) -> Result<(), Error> {
        let (reason, outcome, retry) = match error {
            // The session did not end because of this call.
            AttemptError::NotOpen(reason) => (reason, Outcome::NotRun, true),
            AttemptError::SessionEnded(reason, outcome) => {
                let harmless = outcome == Outcome::NotRun || self.idempotent;
                let retry = harmless && reason.is_retryable();
                (reason, outcome, retry)
            }
            AttemptError::Final(error) => return Err(self.whole(error)),
        };
        if !retry || self.left == 0 {
            return Err(self.whole(Error::SessionEnded { reason, outcome }));
        }
        self.left -= 1;
        limited!(debug, %reason, "call is sent again on another session");
        if outcome == Outcome::Unknown {
            self.may_have_run = Some(reason);
        }
        Ok(())
    }

    /// The result of the call, whose last attempt got this reply.
    pub(super) fn reply(&mut self, reply: Message, limits: Limits) -> Result<Message, Error> {
        if self.may_have_run.is_none() {
            return Ok(reply);
        }
        match reply.exception(limits) {
            // "Not run" is true of the last server only.
            Some(error) if error.outcome() == Outcome::NotRun => Err(self.whole(error)),
            _ => Ok(reply),
        }
    }

    /// The error of the call, whose last attempt ended in `error`: an earlier attempt may have run even if the last did
    /// not.
    fn whole(&mut self, error: Error) -> Error {
        let Some(earlier) = self.may_have_run.take() else { return error };
        let outcome = Outcome::Unknown;
        match error {
            Error::SessionEnded { reason, .. } => Error::SessionEnded { reason, outcome },
            Error::DeadlineExceeded { method, timeout, .. } => {
                Error::DeadlineExceeded { method, timeout, outcome }
            }
            error if error.outcome() == Outcome::NotRun => Error::SessionEnded { reason: earlier, outcome },
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ConnectError;

    fn ended(outcome: Outcome) -> AttemptError {
        AttemptError::SessionEnded(CloseReason::Reconnected, outcome)
    }

    #[test]
    fn a_call_is_sent_again_if_that_is_harmless() {
        let malformed = CloseReason::ChunkWithoutNumber;
        for (error, idempotent, retry) in [
            (AttemptError::NotOpen(CloseReason::Reconnected), false, true),
            // The session had ended before: the call is not the reason.
            (AttemptError::NotOpen(malformed.clone()), false, true),
            (ended(Outcome::NotRun), false, true),
            (ended(Outcome::Unknown), false, false),
            (ended(Outcome::Unknown), true, true),
            (AttemptError::SessionEnded(malformed.clone(), Outcome::NotRun), false, false),
            (AttemptError::SessionEnded(malformed, Outcome::Unknown), true, false),
            (AttemptError::Final(Error::TooManyCalls { limit: 1 }), true, false),
        ] {
            let text = format!("{error:?}, {idempotent}");
            assert_eq!(Retries::new(idempotent).after(error).is_ok(), retry, "{text}");
        }
    }

    #[test]
    fn a_call_is_sent_again_eight_times() {
        let mut retries = Retries::new(false);
        assert!(retries.is_first_attempt());
        for _ in 0..8 {
            assert_eq!(retries.after(ended(Outcome::NotRun)), Ok(()));
            assert!(!retries.is_first_attempt());
        }
        let error = Error::SessionEnded { reason: CloseReason::Reconnected, outcome: Outcome::NotRun };
        assert_eq!(retries.after(ended(Outcome::NotRun)), Err(error));
    }

    #[test]
    fn the_outcome_stays_unknown_after_an_attempt_that_may_have_run() {
        let no_server = || Error::Connect(ConnectError::NoServer { subject: "a".to_owned() });
        for last in [
            ended(Outcome::Unknown),
            AttemptError::Final(no_server()),
            AttemptError::Final(Error::DeadlineExceeded {
                method: "add".to_owned(),
                timeout: std::time::Duration::from_secs(1),
                outcome: Outcome::NotRun,
            }),
        ] {
            let mut retries = Retries::new(true);
            retries.after(ended(Outcome::Unknown)).unwrap();
            retries.left = 0;
            let error = retries.after(last).unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
        }
        let error = Retries::new(true).after(AttemptError::Final(no_server())).unwrap_err();
        assert_eq!(error, no_server(), "without such an attempt the error is that of the last one");
    }
}
