//! A server that is listening: its start, and its end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client as Nats, Subscriber};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::accepting::{QUEUE_GROUP, accept_sessions, round_trip};
use super::listener::Listener;
use super::receive_loop::receive_loop;
use super::{LameDuck, Server};
use crate::endpoint::random_base;
use crate::error::{NatsError, ServeError, ShutdownError};
use crate::service::Service;

/// How long NATS may take to confirm that the server is listening.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the connection is looked at, besides whenever a message comes: there is no signal to wait for.
pub(super) const CONNECTION_CHECK: Duration = Duration::from_millis(50);
/// How long the end of a server waits for NATS to take its farewells.
pub(super) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that is listening. Dropping it stops it as [`stop`](Self::stop) does, without waiting for anything.
pub struct RunningServer {
    listener: Arc<Listener>,
    subject: String,
    /// Whether new sessions are accepted.
    accepting: watch::Sender<bool>,
    /// Ends once the queue group is left, and every handshake that NATS gave to this server is accepted.
    accepts: JoinHandle<Option<()>>,
    tasks: TaskTracker,
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl RunningServer {
    pub(super) async fn start(server: Server, service: Arc<dyn Service>) -> Result<Self, ServeError> {
        let Server { nats, subject, options, lame_duck } = server;
        let base = random_base(&nats)?;
        let cannot_subscribe = |error| NatsError::new("cannot subscribe", error);
        // Once, before the first handshake: a session then costs no subscription, and NATS knows of it in time.
        let mut inbox = nats.subscribe(format!("{base}.>")).await.map_err(cannot_subscribe)?;
        let handshakes =
            nats.queue_subscribe(subject.clone(), QUEUE_GROUP.to_owned()).await.map_err(cannot_subscribe)?;
        confirm(&nats, &base, &mut inbox).await?;

        let listener = Arc::new(Listener::new(nats, base, service, options));
        let (accepting, accept) = watch::channel(true);
        let tasks = TaskTracker::new();
        let weak = Arc::downgrade(&listener);
        let accepts =
            tasks.spawn(listener.executor().stopped().clone().run_until_cancelled_owned(accept_sessions(
                weak.clone(),
                handshakes,
                subject.clone(),
                accept,
                lame_duck.as_ref().map(LameDuck::join),
            )));
        tasks.spawn(receive_loop(weak.clone(), inbox, listener.gone().clone()));
        let timers = Arc::clone(listener.timers());
        tasks.spawn(listener.gone().clone().run_until_cancelled_owned(async move {
            let check = || {
                if let Some(listener) = weak.upgrade() {
                    listener.check_connection();
                }
            };
            timers.run(CONNECTION_CHECK, check).await;
        }));
        Ok(Self { listener, subject, accepting, accepts, tasks })
    }

    /// The subject that it listens on.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.listener.session_count()
    }

    /// Waits until the server cannot serve any more though nobody has stopped it, and says why: the connection to NATS was
    /// closed or drained, or could not be made anew when the NATS server left (see [`LameDuck`](super::LameDuck)), or a task
    /// of the server has panicked. A connection that is lost is none of these: the client library makes it again, and the
    /// server goes on. Dropping the future changes nothing.
    ///
    /// ```no_run
    /// # async fn told_to_end() {}
    /// # async fn example(server: thrift_nats_runtime::RunningServer) -> Result<(), Box<dyn std::error::Error>> {
    /// tokio::select! {
    ///     error = server.failed() => return Err(error.into()),
    ///     () = told_to_end() => {}
    /// }
    /// server.drain(std::time::Duration::from_secs(10)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn failed(&self) -> ServeError {
        self.listener.failed().await
    }

    /// Stops at once: calls that run are dropped, and every client is told, so that its calls in flight fail at once.
    ///
    /// # Errors
    /// [`ShutdownError::Nats`] if the connection to NATS does not take the farewells within 2 s.
    pub async fn stop(self) -> Result<(), ShutdownError> {
        self.end();
        self.tasks.close();
        self.farewell().await
    }

    /// Stops without losing a call: accepts no more sessions, tells every client so, answers what was taken up, and stops.
    /// What clients of this crate send beyond that moves to another server, without waiting for those answers; but oneway
    /// calls, which nobody waits for, are forgotten once they are sent, and may be lost. After `timeout` it stops as
    /// [`stop`](Self::stop) does.
    ///
    /// # Errors
    /// [`ShutdownError::NotDrained`] if that took longer than `timeout`; [`ShutdownError::Nats`] if the connection to NATS does not take the
    /// farewells within 2 s.
    pub async fn drain(mut self, timeout: Duration) -> Result<(), ShutdownError> {
        self.accepting.send_replace(false);
        let listener = Arc::clone(&self.listener);
        let accepts = &mut self.accepts;
        let drained = async {
            // First: a client whose session ends before would come back to this server. An error is a panic, which has
            // ended that task too.
            let _ = accepts.await;
            for session in listener.sessions() {
                session.drain();
            }
            listener.all_ended().await;
            // Of sessions that ended otherwise, for one because the client sent oneway requests and left.
            listener.executor().idle().await;
        };
        let drained = tokio::time::timeout(timeout, drained).await.is_ok();
        let calls = self.listener.executor().pending_calls();
        self.stop().await?;
        if drained { Ok(()) } else { Err(ShutdownError::NotDrained { timeout, calls }) }
    }

    fn end(&self) {
        self.listener.executor().stop();
        for session in self.listener.sessions() {
            session.stop();
        }
        self.listener.gone().cancel();
    }

    /// Waits until everything that was queued is with NATS. To have it written is not enough: a socket that is closed
    /// with something unread in it is reset, and NATS then drops what it has not read, too.
    async fn farewell(&self) -> Result<(), ShutdownError> {
        let told = async {
            self.tasks.wait().await;
            self.listener.said().await;
            round_trip(self.listener.nats(), format!("{}.end", self.listener.base()))
                .await
                .map_err(|error| NatsError::new("cannot end the sessions", error))
        };
        tokio::time::timeout(FAREWELL_TIMEOUT, told).await.unwrap_or_else(|elapsed| {
            Err(NatsError::new("NATS did not take the disconnect messages in time", elapsed))
        })?;
        Ok(())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until NATS has taken the subscriptions: what is published behind them on the same connection comes after them.
async fn confirm(nats: &Nats, base: &str, inbox: &mut Subscriber) -> Result<(), NatsError> {
    let what = "NATS does not confirm that the server is listening";
    nats.publish(format!("{base}.ready"), bytes::Bytes::new())
        .await
        .map_err(|error| NatsError::new(what, error))?;
    match tokio::time::timeout(LISTEN_TIMEOUT, inbox.next()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(NatsError::new(what, "the subscription has ended")),
        Err(elapsed) => Err(NatsError::new(what, elapsed)),
    }
}
