//! The events of a client's sessions.

use std::collections::BTreeSet;

use thrift_nats_runtime::{Client, CloseReason, ConnectError, PeerReason, SessionEvent};
use thrift_nats_tests::{BOUND, NatsServer, SUBJECT, TestService, soon};

use crate::length;

#[tokio::test]
async fn every_session_has_events_of_its_own() {
    let nats = NatsServer::start().unwrap();
    let first = TestService::default().serve(&nats, |server| server).await;
    let second = TestService::default().serve(&nats, |server| server).await;
    let builder = Client::builder(&nats.client().await.unwrap(), SUBJECT).sessions(8);
    let client = builder.connect().await.unwrap();
    let mut events = client.events();
    first.drain(BOUND).await.unwrap();
    while second.sessions() < 8 {
        assert_eq!(soon(length(&client, 1)).await, Ok(1));
    }
    client.close().await.unwrap();
    drop(client);
    let (mut opened, mut ended) = (BTreeSet::new(), BTreeSet::new());
    while let Some(event) = soon(events.next()).await {
        match event {
            SessionEvent::Opened { session } => {
                assert!(!ended.contains(&session) && opened.insert(session), "{session}");
            }
            SessionEvent::Ended { session, .. } => assert!(ended.insert(session), "{session}"),
            _ => {}
        }
    }
    // The eight that were open before the test listened have ended, too.
    assert!(opened.is_subset(&ended));
    assert_eq!(ended.len(), 8 + opened.len());
}

#[tokio::test]
async fn events_tell_when_a_session_ends_fails_to_open_and_opens() {
    let nats = NatsServer::start().unwrap();
    let server = TestService::default().serve(&nats, |server| server).await;
    let client = Client::connect(&nats.client().await.unwrap(), SUBJECT).await.unwrap();
    let mut events = client.events();
    server.stop().await.unwrap();
    let Some(SessionEvent::Ended { session: first, reason }) = soon(events.next()).await else {
        panic!("the session has ended")
    };
    assert!(
        matches!(reason, CloseReason::Disconnected { reason: Some(PeerReason::Stopping), .. }),
        "{reason}"
    );
    soon(length(&client, 1)).await.unwrap_err();
    let error = ConnectError::NoServer { subject: SUBJECT.into() };
    assert_eq!(soon(events.next()).await, Some(SessionEvent::OpenFailed { error }));
    let _server = TestService::default().serve(&nats, |server| server).await;
    assert_eq!(soon(length(&client, 1)).await, Ok(1));
    let second = loop {
        match soon(events.next()).await {
            Some(SessionEvent::OpenFailed { .. }) => {}
            Some(SessionEvent::Opened { session }) => break session,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(second, first);
    client.close().await.unwrap();
    let ended = SessionEvent::Ended { session: second, reason: CloseReason::Closed };
    assert_eq!(soon(events.next()).await, Some(ended));
    drop(client);
    assert_eq!(soon(events.next()).await, None);
}
