//! Large messages, many at a time.

use std::time::Duration;

use thrift_nats_runtime::Server;
use thrift_nats_tests::probe::ProbeClient;
use thrift_nats_tests::{NatsServer, SUBJECT, TestService};
use tokio::task::JoinSet;

/// The bound for all large messages of a test. A busy machine needs long for them.
const BOUND: Duration = Duration::from_secs(240);

struct Setup {
    probe: ProbeClient,
    _server: Server,
    _nats: NatsServer,
}

impl Setup {
    async fn new() -> Self {
        let nats = NatsServer::start().unwrap();
        let server = TestService::default().serve(&nats, |server| server).await;
        let probe = ProbeClient::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
        Self { probe, _server: server, _nats: nats }
    }
}

/// The limit of a session's queued replies is far below the sum of these.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_replies_at_a_time_all_arrive() {
    let it = Setup::new().await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        calls.spawn(it.probe.text(5_000_000).timeout(BOUND).into_future());
    }
    for result in calls.join_all().await {
        assert_eq!(result.map(|text| text.len()), Ok(5_000_000));
    }
}
