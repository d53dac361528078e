//! Several services in one server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{ReplyFuture, Request, Service};
use crate::error::{ApplicationException, ApplicationExceptionKind};

/// Several services on one subject. Messages name the service: `service:function`, as Apache's TMultiplexedProtocol writes
/// it. A client names the one that it calls with [`ClientBuilder::service`](crate::ClientBuilder::service).
///
/// ```no_run
/// use thrift_nats_runtime::{ServeError, Server, Service, Services};
///
/// async fn serve(
///     nats: &async_nats::Client,
///     calculator: impl Service, // CalculatorServer::new(…)
///     weather: impl Service,
/// ) -> Result<Server, ServeError> {
///     let services = Services::new().with(calculator).with_named("Weather2", weather);
///     Server::builder(nats, "my-services").serve(services).await
/// }
/// ```
#[derive(Clone, Default)]
pub struct Services {
    services: BTreeMap<String, Arc<dyn Service>>,
    default: Option<Arc<dyn Service>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.services.keys()).finish()
    }
}

impl Services {
    /// No services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds this service, under its name in the IDL. It replaces one of the same name.
    #[must_use]
    pub fn with(self, service: impl Service) -> Self {
        let name = service.name();
        self.with_named(name, service)
    }

    /// Adds this service, under another name. It replaces one of the same name.
    #[must_use]
    pub fn with_named(mut self, name: impl Into<String>, service: impl Service) -> Self {
        self.services.insert(name.into(), Arc::new(service));
        self
    }

    /// Uses this service for calls that name none.
    #[must_use]
    pub fn with_default(mut self, service: impl Service) -> Self {
        self.default = Some(Arc::new(service));
        self
    }

    fn unknown(&self, request: &Request) -> ApplicationException {
        let names: Vec<_> = self.services.keys().map(String::as_str).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let function = request.method();
        let text = match request.context().service() {
            Some(service) => {
                format!("unknown service `{service}` in the call of `{function}`; the server has {names}")
            }
            None => format!("the call of `{function}` names no service; the server has {names}"),
        };
        ApplicationException::new(ApplicationExceptionKind::UNKNOWN_METHOD, text)
    }
}

impl Service for Services {
    fn name(&self) -> &'static str {
        "Services"
    }

    fn call(&self, mut request: Request) -> ReplyFuture {
        request.split_service();
        let service = match request.context().service() {
            Some(name) => self.services.get(name),
            None => self.default.as_ref(),
        };
        match service {
            Some(service) => service.call(request),
            None => {
                let error = self.unknown(&request);
                Box::pin(std::future::ready(Err(error.into())))
            }
        }
    }
}
