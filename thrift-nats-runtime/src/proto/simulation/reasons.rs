//! The consequences of each reason for both sides.

use super::CallState::Ended;
use super::Outcome::{NotRun, Unknown};
use super::*;
use crate::error::SharedError;
use crate::protocol::DecodeErrorKind;

/// The disconnect message, and the outcomes of a request that was sent and of one that was queued.
#[test]
fn every_reason_decides_the_disconnect_message_and_the_outcomes() {
    let interval = ms(1);
    let failed = |chunk| CloseReason::PublishFailed { chunk, source: SharedError::new("refused") };
    let lost = CloseReason::ChunkLost { expected: 1, found: 2 };
    let malformed = CloseReason::Malformed(DecodeErrorKind::InvalidUtf8.into());
    let peer_closed = CloseReason::Disconnected { reason: None, acknowledged: None };
    for (reason, told, sent, queued) in [
        (CloseReason::Closed, Some("0 closed"), Unknown, Unknown),
        (CloseReason::Stopped, Some("0 stopping"), Unknown, Unknown),
        (CloseReason::Reconnected, Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::NatsClosed, None, Unknown, NotRun),
        (CloseReason::RuntimeStopped, Some("0 closed"), Unknown, NotRun),
        (failed(None), Some("0 chunk-lost"), Unknown, NotRun),
        (failed(Some(2)), Some("0 chunk-lost"), NotRun, NotRun),
        (failed(Some(3)), Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::MissedHeartbeats { interval }, Some("0 missed-heartbeats"), Unknown, NotRun),
        (lost, Some("0 chunk-lost"), Unknown, NotRun),
        (CloseReason::ChunkWithoutNumber, Some("0 malformed"), Unknown, NotRun),
        (malformed, Some("0 malformed"), Unknown, NotRun),
        (peer_closed, None, Unknown, NotRun),
        (disconnected(PeerReason::Stopping, 2), None, Unknown, NotRun),
        (disconnected(PeerReason::Stopping, 1), None, NotRun, NotRun),
        (CloseReason::PeerGone { chunk: None }, None, Unknown, NotRun),
        (CloseReason::PeerGone { chunk: Some(3) }, None, Unknown, NotRun),
        (CloseReason::PeerGone { chunk: Some(2) }, None, NotRun, NotRun),
    ] {
        let mut simulation = Simulation::opened(slow());
        simulation.call(10);
        simulation.publish();
        simulation.call(10);
        simulation.client.close(reason.clone());
        simulation.client_events();
        assert_eq!(simulation.states(), [Ended(sent), Ended(queued)], "{reason:?}");
        simulation.publish();
        let disconnects = simulation.disconnects(Party::Client);
        assert_eq!(disconnects.first().map(|(_, body)| *body), told, "{reason:?}");
        let chunks = if queued == Unknown { 2 } else { 1 };
        assert_eq!(simulation.chunks(Party::Client).len(), chunks, "{reason:?}");

        let mut session = accepted(false);
        session.poll_transmit().expect("the accept");
        session.handle_message(
            Instant::now(),
            Some("client.session.1"),
            message(MessageType::Call, 1, 0, b"").into(),
        );
        let request = one_request(&mut session);
        session.finish(request.key, Bytes::from("reply"));
        session.close(reason.clone());
        session.close(CloseReason::Reconnected);
        assert_eq!(poll(&mut session), (Vec::new(), Some(reason.clone())));
        let published: Vec<_> =
            std::iter::from_fn(|| session.poll_transmit()).map(|transmit| transmit.payload).collect();
        let kept = (queued == Unknown).then(|| Bytes::from("reply"));
        let told = told.map(|told| format!("{} server.s0", told.replacen('0', "1", 1)).into());
        let expected: Vec<Bytes> = kept.into_iter().chain(told).collect();
        assert_eq!(published, expected, "{reason:?}: the disconnect message is sent once");
    }
}
