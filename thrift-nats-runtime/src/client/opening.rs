//! Opening one session: the handshake, as its caller sees it.

use std::sync::Arc;

use async_nats::Subject;
use tokio::sync::oneshot;

use super::client_endpoint::ClientEndpoint;
use super::events::OneSession;
use super::session_handle::SessionHandle;
use super::wait_queue::WaitQueues;
use crate::endpoint::{EndpointSession, random_token};
use crate::error::ConnectError;
use crate::proto::{ClientConfig, ClientSession, CloseReason, session_subject};
use crate::time::now;

/// Opens a session with one of the servers that listen on `subject`.
///
/// # Cancellation
/// Closes the session if the future is dropped.
pub(super) async fn open_session(
    endpoint: &Arc<ClientEndpoint>,
    subject: &str,
    config: Arc<ClientConfig>,
    events: OneSession,
    wait_queues: Arc<WaitQueues>,
) -> Result<Arc<SessionHandle>, ConnectError> {
    let token = random_token()?;
    let chunk_limit = config.chunk_limit;
    let inbox = session_subject(endpoint.handle().base(), &token);
    let state = ClientSession::open(now(), Subject::from(subject), inbox, config);
    let (opening, opened) = oneshot::channel();
    let session =
        SessionHandle::new(&endpoint.parts(), token, state, chunk_limit, events, wait_queues, opening);
    endpoint.insert(&session);
    let mut guard = OpeningGuard { endpoint, session: Some(Arc::clone(&session)) };
    session.start();
    match opened.await.unwrap_or(Err(CloseReason::NatsClosed)) {
        Ok(()) => {
            guard.session = None;
            Ok(session)
        }
        Err(CloseReason::NoServer) => {
            // No server got the handshake, so that no late accept can come.
            guard.session = None;
            Err(ConnectError::NoServer { subject: subject.to_owned() })
        }
        Err(reason) => Err(ConnectError::Handshake { subject: subject.to_owned(), reason }),
    }
}

/// Closes a session whose opening was cancelled or failed.
struct OpeningGuard<'a> {
    endpoint: &'a Arc<ClientEndpoint>,
    session: Option<Arc<SessionHandle>>,
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.close(CloseReason::Closed);
            self.endpoint.keep_for_late_accepts();
        }
    }
}
