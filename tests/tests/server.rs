//! What a server does with peers that misbehave, vanish or come at the wrong time, over a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::Duration;

use async_nats::{Client as Nats, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};

use thrift_nats_runtime::protocol::Limits;
use thrift_nats_runtime::{Context, Error, ServeError, Server, ServerBuilder, ShutdownError};
use thrift_nats_runtime::{ReplyFuture, Request, Service};
use thrift_nats_tests::shared::{SharedService, SharedStruct};
use thrift_nats_tests::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorClient, CalculatorServer, Work,
};
use thrift_nats_tests::{NatsServer, eventually};
use tokio::sync::Notify;
use tokio::task::{self, JoinSet};

const BOUND: Duration = Duration::from_secs(30);

/// Adds.
#[derive(Clone, Default)]
struct Handler;

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, _key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct::default())
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1 + num2)
    }

    async fn calculate(&self, _cx: &Context, _id: i32, _w: Work) -> Result<i32, CalculatorCalculateError> {
        Ok(0)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// Has this service serve on `calculator`.
async fn serve_by(nats: &NatsServer, service: impl Service) -> Server {
    Server::builder(&nats.client().await.unwrap(), "calculator").serve(service).await.unwrap()
}

/// Serves with these options on `calculator`.
async fn serve(nats: &NatsServer, options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let server = options(Server::builder(&nats.client().await.unwrap(), "calculator"));
    server.serve(CalculatorServer::new(Handler)).await.unwrap()
}

/// The options of a server that wants no heartbeats.
fn no_heartbeats(server: ServerBuilder) -> ServerBuilder {
    server.heartbeat(None)
}

async fn next(inbox: &mut Subscriber) -> Message {
    tokio::time::timeout(BOUND, inbox.next()).await.expect("a message in time").expect("an open subscription")
}

/// Shakes hands as a legacy client does; what the server answers.
async fn accept(nats: &Nats) -> Message {
    let own = nats.new_inbox();
    let mut inbox = nats.subscribe(own.clone()).await.unwrap();
    nats.publish_with_reply("calculator", own, "".into()).await.unwrap();
    next(&mut inbox).await
}

#[tokio::test]
async fn an_option_out_of_range_is_refused_and_named() {
    let nats = NatsServer::start().unwrap();
    let server = Server::builder(&nats.client().await.unwrap(), "calculator").heartbeat(Duration::ZERO);
    let error = server.serve(CalculatorServer::new(Handler)).await.unwrap_err();
    assert_eq!(error.kind(), "invalid_option");
    let text = "option `heartbeat` is 0ns; it must be a whole number of milliseconds from 1 ms to 292 years, or None";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn the_heartbeat_of_the_options_is_what_the_accept_asks_for() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let seconds = Duration::from_secs;
    for (deadline, expected) in [
        (None, "10000"),
        (Some(Some(seconds(5))), "5000"),
        (Some(Some(Duration::from_millis(1))), "1"),
        (Some(None), "0"),
        (Some(Some(Duration::from_millis(9_223_372_036_854))), "9223372036854"),
    ] {
        let option =
            |server: ServerBuilder| deadline.into_iter().fold(server, |server, it| server.heartbeat(it));
        let server = serve(&nats, option).await;
        let accept = accept(&connection).await;
        let body = str::from_utf8(&accept.payload).unwrap();
        assert_eq!(body.split_once(' ').unwrap().1, expected);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_handshake_of_a_peer_that_is_gone_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    for n in 0..100 {
        // Nobody listens there.
        connection.publish_with_reply("calculator", format!("nobody.{n}"), "".into()).await.unwrap();
    }
    // Behind all of them.
    let _last = accept(&connection).await;
    eventually("only the last is left", || server.sessions() <= 1).await;
}

#[tokio::test]
async fn a_session_whose_accept_cannot_be_sent_is_over_and_its_client_told() {
    // Less than the subject that an accept names.
    let nats = NatsServer::builder().max_payload(20).start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let answer = accept(&nats.client().await.unwrap()).await;
    assert_eq!(answer.reply.as_deref(), Some("DISCONNECT"));
    eventually("the session is gone", || server.sessions() == 0).await;
}

/// A peer by hand that numbers its chunks.
struct Numbered {
    nats: Nats,
    own: String,
    inbox: Subscriber,
    listen: async_nats::Subject,
}

impl Numbered {
    async fn open(nats: &Nats) -> Self {
        Self::open_as(nats, Some("1")).await
    }

    /// With this version, or as a legacy peer.
    async fn open_as(nats: &Nats, version: Option<&str>) -> Self {
        let own = nats.new_inbox();
        let mut inbox = nats.subscribe(own.clone()).await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        if let Some(version) = version {
            headers.insert("Thrift-Nats-Version", version);
        }
        nats.publish_with_reply_and_headers("calculator", own.clone(), headers, "".into()).await.unwrap();
        let listen = next(&mut inbox).await.reply.unwrap();
        Self { nats: nats.clone(), own, inbox, listen }
    }

    /// Sends calls of functions without arguments in one chunk; their seqids are their places.
    async fn send(&self, chunk: u64, names: &[&str]) {
        let call = |(seqid, name): (usize, &&str)| {
            let len = (name.len() as u32).to_be_bytes();
            [b"\x80\x01\x00\x01", &len[..], name.as_bytes(), &(seqid as u32).to_be_bytes(), &[0]].concat()
        };
        let calls = names.iter().enumerate().flat_map(call).collect::<Vec<_>>();
        let reply = format!("{}.{chunk}", self.own);
        self.nats.publish_with_reply(self.listen.clone(), reply, calls.into()).await.unwrap();
    }

    /// Says that nobody waits for these calls any more.
    async fn cancel(&self, seqids: &str) {
        self.nats.publish(format!("{}.c", self.listen), seqids.to_owned().into()).await.unwrap();
    }

    /// The seqids of the next answers, which are so many, in their order.
    async fn answers(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < 17 * count {
            bytes.extend(next(&mut self.inbox).await.payload);
        }
        // They are 17 bytes long.
        let mut seqids: Vec<_> = bytes.chunks(17).map(|answer| answer[15]).collect();
        seqids.sort_unstable();
        seqids
    }
}

/// Begins to connect, and drops it: each time a little later.
async fn drop_connects(connection: &Nats) {
    for polls in 0..40 {
        let mut connect = Box::pin(CalculatorClient::connect(connection, "calculator"));
        for _ in 0..polls {
            if futures_util::poll!(&mut connect).is_ready() {
                break;
            }
            task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connect_that_is_dropped_leaves_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    // Its inbox is that of the others, too: an accept that comes late is answered.
    let client = CalculatorClient::connect(&connection, "calculator").await.unwrap();
    drop_connects(&connection).await;
    // Behind all of them, of this connection: what they sent has come when it is accepted.
    let _last = accept(&connection).await;
    eventually("only the first and the last are left", || server.sessions() <= 2).await;
    assert_eq!(client.add(1, 1).await.unwrap(), 2);
}

/// An accept that is on its way when the last client of a connection takes its inbox with it was delivered, for NATS: only
/// the heartbeats that do not come tell.
#[tokio::test]
async fn a_connect_that_is_dropped_with_the_inbox_leaves_no_session_where_heartbeats_are_wanted() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, |server| server.heartbeat(Duration::from_millis(20))).await;
    let connection = nats.client().await.unwrap();
    drop_connects(&connection).await;
    let _last = accept(&connection).await;
    eventually("none is left", || server.sessions() == 0).await;
}

#[tokio::test]
async fn what_is_no_handshake_opens_no_session() {
    let nats = NatsServer::start().unwrap();
    let server = serve(&nats, no_heartbeats).await;
    let connection = nats.client().await.unwrap();
    let first = accept(&connection).await;
    let listen = first.reply.unwrap();
    let inbox = connection.new_inbox();
    let mut listens = connection.subscribe(inbox.clone()).await.unwrap();
    for (reply, body) in
        [(inbox.as_str(), "hello"), ("DISCONNECT", ""), (listen.as_str(), ""), ("calculator", "")]
    {
        connection
            .publish_with_reply(
                "calculator",
                reply.to_owned(),
                bytes::Bytes::copy_from_slice(body.as_bytes()),
            )
            .await
            .unwrap();
    }
    // Behind all of them.
    accept(&connection).await;
    // Nor was one accepted and ended meanwhile.
    assert!(listens.next().now_or_never().is_none());
    assert!(server.sessions() <= 2, "{}", server.sessions());
}

#[tokio::test]
async fn a_subject_that_nats_does_not_take_is_refused_at_once() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    for subject in ["", "a b", "a..b", "a\r\nPUB b 0"] {
        let serving = Server::builder(&connection, subject).serve(CalculatorServer::new(Handler));
        match tokio::time::timeout(BOUND, serving).await.expect("at once") {
            Err(ServeError::InvalidSubject { subject: named, .. }) => assert_eq!(named, subject),
            other => panic!("{subject:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connects_and_calls_under_a_drain_lose_nothing() {
    let nats = NatsServer::start().unwrap();
    let mut server = serve(&nats, no_heartbeats).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (connection, stop) = (nats.client().await.unwrap(), Arc::clone(&stop));
        clients.spawn(async move {
            let kept = CalculatorClient::connect(&connection, "calculator").await.unwrap();
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                let new = CalculatorClient::connect(&connection, "calculator").await.expect("a connect");
                assert_eq!(new.add(rounds, 1).await.expect("the first call of a session"), rounds + 1);
                assert_eq!(kept.add(rounds, 2).await.expect("a call of a session that moves"), rounds + 2);
                rounds += 1;
            }
            rounds
        });
    }
    for _ in 0..30 {
        let next = serve(&nats, no_heartbeats).await;
        // Not before the old one has something to lose.
        eventually("it has sessions", || server.sessions() > 0).await;
        server.drain(BOUND).await.unwrap();
        server = next;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(rounds) = clients.join_next().await {
        assert!(rounds.unwrap() > 0);
    }
}

/// Answers with many chunks, as soon as it may; says when it runs.
#[derive(Clone, Default)]
struct LongAnswer {
    runs: Arc<Notify>,
    may_end: Arc<Notify>,
}

/// So long that a client has read its beginning before the end of it has gone.
const LONG_ANSWER: usize = 24 << 20;

impl Service for LongAnswer {
    fn name(&self) -> &'static str {
        "LongAnswer"
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let handler = self.clone();
        Box::pin(async move {
            if request.method() != "long" {
                return request.reply::<(), Error>(Ok(()));
            }
            handler.runs.notify_one();
            handler.may_end.notified().await;
            request.reply::<String, Error>(Ok("x".repeat(LONG_ANSWER)))
        })
    }
}

#[tokio::test]
async fn a_drained_session_is_unknown_to_nobody_before_its_last_answer_has_gone() {
    let nats = NatsServer::start().unwrap();
    let handler = LongAnswer::default();
    let server = serve_by(&nats, handler.clone()).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    peer.send(1, &["long"]).await;
    handler.runs.notified().await;
    let drained = tokio::spawn(server.drain(BOUND));
    // A handshake that nobody takes is answered by NATS.
    let own = peer.nats.new_inbox();
    let mut other = peer.nats.subscribe(own.clone()).await.unwrap();
    let mut taken = true;
    while taken {
        peer.nats.publish_with_reply("calculator", own.clone(), "".into()).await.unwrap();
        taken = next(&mut other).await.status.is_none();
    }
    handler.may_end.notify_one();
    let (mut answer, mut chunk) = (0, 1);
    let end = loop {
        let message = next(&mut peer.inbox).await;
        if message.reply.as_deref() == Some("DISCONNECT") {
            break message;
        }
        answer += message.payload.len();
        chunk += 1;
        // Not taken up, unless the drain is slow.
        peer.send(chunk, &["ping"]).await;
    };
    assert!(end.payload.ends_with(b" stopping"), "{:?}", end.payload);
    assert!(answer > LONG_ANSWER, "{answer} bytes");
    drained.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_chunk_is_longer_than_the_chunk_limit_of_the_options() {
    let nats = NatsServer::start().unwrap();
    let _server = serve(&nats, |server| server.chunk_limit(10)).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    peer.send(1, &["ping"]).await;
    let (head, tail) = (next(&mut peer.inbox).await, next(&mut peer.inbox).await);
    assert_eq!((head.payload.len(), tail.payload.len()), (10, 7));
}

#[tokio::test]
async fn a_message_above_the_limits_of_the_options_ends_the_session() {
    let nats = NatsServer::start().unwrap();
    let limits = Limits::DEFAULT.with_name(4);
    let server = serve(&nats, |server| server.limits(limits)).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    peer.send(1, &["ping"]).await;
    assert_eq!(next(&mut peer.inbox).await.payload.len(), 17);
    peer.send(2, &["pings"]).await;
    let end = next(&mut peer.inbox).await;
    assert_eq!((end.reply.as_deref(), &end.payload[..]), (Some("DISCONNECT"), &b"1 malformed"[..]));
    eventually("the session is gone", || server.sessions() == 0).await;
}

/// A service by hand: `long` holds up its thread for a while, `wait` until it may go on, `hold` too, but
/// tokio is told; `task` notes its task, `stay` never ends, `bomb` panics when it is dropped, and `ping` is done at once.
#[derive(Clone)]
struct Blocking {
    may_go_on: Arc<Mutex<mpsc::Receiver<()>>>,
    /// How often one has begun that is not done at once.
    begun: Arc<AtomicUsize>,
    /// The tasks that calls of `task` ran in.
    tasks: Arc<Mutex<Vec<task::Id>>>,
}

impl Blocking {
    /// And what lets one `wait` go on.
    fn new() -> (mpsc::Sender<()>, Self) {
        let (go_on, may_go_on) = mpsc::channel();
        (
            go_on,
            Self { may_go_on: Arc::new(Mutex::new(may_go_on)), begun: Arc::default(), tasks: Arc::default() },
        )
    }

    fn wait(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        // One waits for the message, the others for the lock.
        self.may_go_on.lock().unwrap().recv_timeout(BOUND).unwrap();
    }
}

impl Service for Blocking {
    fn name(&self) -> &'static str {
        "Blocking"
    }

    fn call(&self, request: Request) -> ReplyFuture {
        let handler = self.clone();
        let is_bomb = request.method() == "bomb";
        let call = Box::pin(async move {
            match request.method() {
                // Work, as far as the server can see.
                "long" => {
                    handler.begun.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                }
                "stay" => {
                    handler.begun.fetch_add(1, Ordering::SeqCst);
                    std::future::pending().await
                }
                "wait" => handler.wait(),
                "hold" => task::block_in_place(|| handler.wait()),
                "task" => handler.tasks.lock().unwrap().push(task::id()),
                _ => {}
            }
            request.reply::<(), Error>(Ok(()))
        });
        if is_bomb { Box::pin(Bomb(call)) } else { call }
    }
}

struct Bomb(ReplyFuture);

impl Future for Bomb {
    type Output = <ReplyFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn handlers_that_block_their_threads_delay_no_other_message() {
    let nats = NatsServer::start().unwrap();
    let (go_on, handler) = Blocking::new();
    let server = serve_by(&nats, handler.clone()).await;
    let connection = nats.client().await.unwrap();
    let (mut one, mut other) = (Numbered::open(&connection).await, Numbered::open(&connection).await);

    // Three handlers block three threads. The receive loop still takes what the same client and another one send.
    for chunk in 1..=3 {
        one.send(chunk, &["hold", "ping"]).await;
    }
    eventually("three handlers block", || handler.begun.load(Ordering::SeqCst) == 3).await;
    for chunk in 4..=6 {
        one.send(chunk, &["ping"]).await;
        assert_eq!(one.answers(1).await, [0]);
        other.send(chunk - 3, &["ping"]).await;
        assert_eq!(other.answers(1).await, [0]);
    }
    for _ in 0..3 {
        go_on.send(()).unwrap();
    }
    assert_eq!(one.answers(6).await, [0, 0, 0, 1, 1, 1]);

    // The end of the server does not wait for a handler that blocks, either.
    one.send(7, &["hold"]).await;
    eventually("the handler blocks", || handler.begun.load(Ordering::SeqCst) == 4).await;
    server.stop().await.unwrap();
    assert_eq!(next(&mut other.inbox).await.reply.as_deref(), Some("DISCONNECT"));
    go_on.send(()).unwrap();
}

#[tokio::test]
async fn replies_do_not_wait_for_slow_handlers_after_them_in_the_same_message() {
    let nats = NatsServer::start().unwrap();
    let (_, handler) = Blocking::new();
    let _server = serve_by(&nats, handler.clone()).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    peer.send(1, &["long"; 20]).await;
    // Each takes longer than the time slice of a chunk task.
    let first = next(&mut peer.inbox).await.payload.len() / 17;
    assert!(first < 20, "they came together");
    assert_eq!(peer.answers(20 - first).await.len(), 20 - first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_that_is_given_up_before_it_is_begun_is_not_run() {
    let nats = NatsServer::start().unwrap();
    let (go_on, handler) = Blocking::new();
    let server = serve_by(&nats, handler.clone()).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    // Numbers of calls that are over, as most are when they are given up. They are not kept, though a call still runs.
    peer.send(1, &["stay"]).await;
    eventually("it has begun", || handler.begun.load(Ordering::SeqCst) == 1).await;
    let over: Vec<_> = (1000..1100).map(|seqid| seqid.to_string()).collect();
    peer.cancel(&over.join(" ")).await;
    // Behind one that holds up their thread, one is given up; what comes next is taken up behind that.
    peer.send(2, &["hold", "task", "ping"]).await;
    peer.cancel("1").await;
    peer.send(3, &["ping"]).await;
    assert_eq!(peer.answers(1).await, [0]);
    go_on.send(()).unwrap();
    assert_eq!(peer.answers(2).await, [0, 2]);
    peer.cancel("0").await;
    server.drain(BOUND).await.unwrap();
    assert_eq!(*handler.tasks.lock().unwrap(), []);
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_dropped_ends_nothing_else() {
    let nats = NatsServer::start().unwrap();
    let server = serve_by(&nats, Blocking::new().1).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    for chunk in 1..=3 {
        peer.send(chunk, &["bomb"]).await;
        assert_eq!(next(&mut peer.inbox).await.payload.len(), 17);
    }
    assert_eq!(server.failed().now_or_never(), None);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_how_many_calls_it_dropped() {
    let nats = NatsServer::start().unwrap();
    let (_, handler) = Blocking::new();
    let server = serve_by(&nats, handler.clone()).await;
    let mut peer = Numbered::open(&nats.client().await.unwrap()).await;
    peer.send(1, &["stay", "ping", "stay"]).await;
    eventually("they have begun", || handler.begun.load(Ordering::SeqCst) == 2).await;
    assert_eq!(next(&mut peer.inbox).await.payload.len(), 17);
    // Long enough to leave the queue group and to tell the client, even on a busy machine.
    let timeout = Duration::from_secs(1);
    assert_eq!(server.drain(timeout).await, Err(ShutdownError::NotDrained { timeout, calls: 2 }));
    // That it takes nothing up behind the first chunk, and then its end.
    assert_eq!(next(&mut peer.inbox).await.reply, Some(format!("{}.d1", peer.listen).into()));
    assert_eq!(next(&mut peer.inbox).await.reply.as_deref(), Some("DISCONNECT"));
}

#[tokio::test]
async fn an_legacy_client_that_waits_for_no_answer_gets_them_all_the_same() {
    let nats = NatsServer::start().unwrap();
    let (_, handler) = Blocking::new();
    let server = serve_by(&nats, handler.clone()).await;
    let mut peer = Numbered::open_as(&nats.client().await.unwrap(), None).await;
    // Of these one runs after the other. The first is not answered behind the last.
    let calls = 2000;
    peer.send(1, &vec!["long"; calls]).await;
    assert_eq!(next(&mut peer.inbox).await.payload.len(), 17);
    assert!(handler.begun.load(Ordering::SeqCst) < calls);
    // Nor is the thread theirs alone.
    let mut other = Numbered::open(&peer.nats).await;
    other.send(1, &["ping"]).await;
    assert_eq!(next(&mut other.inbox).await.payload.len(), 17);
    server.stop().await.unwrap();
    assert!(handler.begun.load(Ordering::SeqCst) < calls);
}

#[tokio::test]
async fn a_server_says_when_it_cannot_serve_any_more() {
    let nats = NatsServer::start().unwrap();
    let connection = nats.client().await.unwrap();
    let server =
        Server::builder(&connection, "calculator").serve(CalculatorServer::new(Handler)).await.unwrap();
    assert_eq!(server.failed().now_or_never(), None);
    connection.drain().await.unwrap();
    let error = tokio::time::timeout(BOUND, server.failed()).await.unwrap();
    assert_eq!(error.to_string(), "cannot serve any more: the connection to NATS is closed");
    assert_eq!(server.failed().now_or_never(), Some(error), "whoever asks later is told, too");
}
