//! The service that a client calls.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::options::ClientOptions;
use super::session_pool::SessionPool;
use crate::service::Service;

/// The service that a client calls.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) kind: TargetKind,
    /// The name of the service, if the server has several.
    pub(super) service: Option<Arc<str>>,
}

/// The place where the service runs.
#[derive(Clone)]
pub(super) enum TargetKind {
    /// On the servers of a session pool.
    Pool(Arc<SessionPool>),
    /// In this process.
    InProcess(InProcess),
}

/// A service in this process.
#[derive(Clone)]
pub(super) struct InProcess {
    pub(super) service: Arc<dyn Service>,
    /// Cancelled when the client is closed. Shared by all clones.
    pub(super) closed: CancellationToken,
}

impl Target {
    /// The options of calls.
    pub(super) fn options(&self) -> ClientOptions {
        match &self.kind {
            TargetKind::Pool(pool) => *pool.options(),
            TargetKind::InProcess(_) => ClientOptions::default(),
        }
    }
}
