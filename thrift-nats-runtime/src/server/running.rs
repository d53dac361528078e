//! A server that is listening: how it starts, drains and stops.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client as Nats, Subscriber};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::accepting::{QUEUE_GROUP, accept_sessions, round_trip};
use super::lame_duck::LameDuck;
use super::options::ServerOptions;
use super::receive_loop::receive_loop;
use super::server_endpoint::{ServerEndpoint, Vital};
use crate::endpoint::{CONNECTION_CHECK, EndpointHandle};
use crate::error::{NatsError, ServeError, ShutdownError};
use crate::service::Service;
use crate::time::DISCONNECT_TIMEOUT;

/// Timeout of the confirmation of the subscriptions by NATS.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that is listening. Dropping it stops it as [`stop`](Self::stop) does, without waiting for anything.
///
/// ```no_run
/// use std::time::Duration;
///
/// use thrift_nats_runtime::{Server, Service};
///
/// async fn run(
///     nats: &async_nats::Client,
///     calculator: impl Service,
///     shutdown: impl Future<Output = ()>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let server = Server::builder(nats, "calculator").serve(calculator).await?;
///     tokio::select! {
///         error = server.failed() => return Err(error.into()),
///         () = shutdown => {}
///     }
///     server.drain(Duration::from_secs(10)).await?;
///     Ok(())
/// }
/// ```
pub struct Server {
    endpoint: Arc<ServerEndpoint>,
    subject: String,
    /// Whether new sessions are accepted.
    accepting: watch::Sender<bool>,
    /// Ends once the queue group is left, and every handshake that NATS assigned to this server is accepted.
    accept_task: JoinHandle<Option<()>>,
    tasks: TaskTracker,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) async fn start(
        nats: Nats,
        subject: String,
        service: Arc<dyn Service>,
        options: ServerOptions,
        lame_duck: Option<LameDuck>,
    ) -> Result<Self, ServeError> {
        let endpoint = ServerEndpoint::start(&nats, service, options)?;
        let cannot_subscribe = |error| NatsError::new("cannot subscribe", error);
        // Before the first handshake, so that NATS knows of the subscription when a client sends to it.
        let mut inbox = nats.subscribe(endpoint.endpoint().subscription()).await.map_err(cannot_subscribe)?;
        let handshakes =
            nats.queue_subscribe(subject.clone(), QUEUE_GROUP.to_owned()).await.map_err(cannot_subscribe)?;
        confirm(endpoint.handle(), &mut inbox).await?;

        let (accepting, accept) = watch::channel(true);
        let tasks = TaskTracker::new();
        let weak = Arc::downgrade(&endpoint);
        let accept_task =
            tasks.spawn(endpoint.executor().stopped().clone().run_until_cancelled_owned(accept_sessions(
                weak.clone(),
                endpoint.receive_handshakes(handshakes),
                subject.clone(),
                accept,
                lame_duck.as_ref().map(LameDuck::join),
            )));
        tasks.spawn(receive_loop(&endpoint, endpoint.endpoint().receive(inbox)));
        let timed = Arc::clone(&endpoint);
        tasks.spawn(async move {
            let _vital = Vital(weak);
            tokio::select! {
                () = timed.handle().timers().run(CONNECTION_CHECK, || timed.check()) => {}
                () = timed.disconnected() => {}
            }
        });
        Ok(Self { endpoint, subject, accepting, accept_task, tasks })
    }

    /// The subject that the server listens on.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Number of open sessions.
    pub fn sessions(&self) -> usize {
        self.endpoint.sessions().len()
    }

    /// Waits until the server cannot serve any more although it was not stopped, and returns why: the connection to NATS
    /// was closed or drained, it could not be established again after lame duck mode (see [`LameDuck`]),
    /// or a task of the server has panicked. A lost connection is none of these: the client library establishes it again,
    /// and the server continues.
    ///
    /// # Cancellation
    /// Dropping the future has no effect.
    ///
    /// ```no_run
    /// # async fn told_to_end() {}
    /// # async fn example(server: thrift_nats_runtime::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// tokio::select! {
    ///     error = server.failed() => return Err(error.into()),
    ///     () = told_to_end() => {}
    /// }
    /// server.drain(std::time::Duration::from_secs(10)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn failed(&self) -> ServeError {
        self.endpoint.failed().await
    }

    /// Stops at once: drops the handlers that run, and sends every client a disconnect message. Its calls end at once:
    /// those whose requests the server has received fail with an unknown outcome, and clients of this crate retry the
    /// others. Replies that a client does not allow the server to send are dropped after 500 ms. When it returns, no handler
    /// is left, except one that blocks its thread for more than 2 s: it is dropped when its thread returns.
    ///
    /// # Errors
    /// [`ShutdownError::Nats`] if NATS does not confirm the disconnect messages within 2 s. Outside a tokio runtime, the
    /// server stops, and the error says that nothing waits for the messages.
    ///
    /// # Cancellation
    /// The server stops even if the future is dropped; the disconnect messages may then be lost.
    pub async fn stop(self) -> Result<(), ShutdownError> {
        self.end();
        self.tasks.close();
        self.disconnected().await
    }

    /// Stops without failing a two-way call: accepts no more sessions, tells every client so, sends the replies of all
    /// requests that it has received, and stops. Clients of this crate retry calls that the server has not received on
    /// another server at once. Oneway calls in transit may be lost, because their clients do not wait for anything. After
    /// `timeout` it stops as [`stop`](Self::stop) does, which takes 2 s at most.
    ///
    /// # Errors
    /// [`ShutdownError::NotDrained`] if requests had not finished after `timeout`, or NATS had not confirmed by then that
    /// the server left the queue group, or had not taken all replies; [`ShutdownError::Nats`] if NATS does not
    /// confirm the disconnect messages within 2 s.
    ///
    /// # Cancellation
    /// The server stops as [`stop`](Self::stop) does if the future is dropped.
    pub async fn drain(mut self, timeout: Duration) -> Result<(), ShutdownError> {
        if Handle::try_current().is_err() {
            // Without a runtime, no timer can end the drain.
            return self.stop().await;
        }
        self.accepting.send_replace(false);
        let endpoint = Arc::clone(&self.endpoint);
        let accept_task = &mut self.accept_task;
        let drained = async {
            // First, because a client whose session ended earlier would connect to this server again. An error means that
            // the task has panicked, which has ended it, too.
            let _ = accept_task.await;
            for session in endpoint.sessions().all() {
                session.drain();
            }
            endpoint.drained().await;
        };
        let drained = tokio::time::timeout(timeout, drained).await.is_ok();
        let calls = self.endpoint.unfinished_requests();
        self.stop().await?;
        if drained { Ok(()) } else { Err(ShutdownError::NotDrained { timeout, calls }) }
    }

    fn end(&self) {
        self.endpoint.executor().stop();
        for session in self.endpoint.sessions().all() {
            session.stop();
        }
        self.endpoint.stopped().cancel();
    }

    /// Waits until the handlers are dropped and NATS has processed everything that was queued. It does not suffice that the
    /// bytes are written to the socket: if a socket is closed with unread data, the peer's TCP drops all bytes that NATS has
    /// not read.
    async fn disconnected(&self) -> Result<(), ShutdownError> {
        let handle = self.endpoint.handle();
        if Handle::try_current().is_err() {
            let cause = "no tokio runtime runs here";
            return Err(NatsError::new("cannot wait until the disconnect messages are sent", cause).into());
        }
        let flushed = async {
            self.tasks.wait().await;
            self.endpoint.flushed().await;
            round_trip(handle)
                .await
                .map_err(|error| NatsError::new("cannot send the disconnect messages", error))
        };
        // A handler that blocks its thread cannot be dropped. It does not make this an error: the server has stopped.
        let dropped = tokio::time::timeout(DISCONNECT_TIMEOUT, self.endpoint.executor().ended());
        let (flushed, _) = tokio::join!(tokio::time::timeout(DISCONNECT_TIMEOUT, flushed), dropped);
        flushed.unwrap_or_else(|_| {
            let cause = format!("NATS did not confirm them within {DISCONNECT_TIMEOUT:?}");
            Err(NatsError::new("cannot send the disconnect messages", cause))
        })?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until NATS has processed the subscriptions: a message published after them on the same connection comes back.
async fn confirm(handle: &EndpointHandle, inbox: &mut Subscriber) -> Result<(), NatsError> {
    let what = "NATS does not confirm the subscriptions of the server";
    let subject = handle.new_subject()?;
    handle
        .nats()
        .publish(subject.clone(), bytes::Bytes::new())
        .await
        .map_err(|error| NatsError::new(what, error))?;
    let confirmed = async {
        while let Some(message) = inbox.next().await {
            if message.subject == subject {
                return Ok(());
            }
        }
        Err(NatsError::new(what, "the subscription has ended"))
    };
    let timeout = tokio::time::timeout(LISTEN_TIMEOUT, confirmed).await;
    timeout.unwrap_or_else(|elapsed| Err(NatsError::new(what, elapsed)))
}
