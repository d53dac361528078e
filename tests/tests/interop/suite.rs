//! The rules, each in all pairings.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use thrift_nats_tests::{GoPeer, NatsServer};

use crate::answer::{Answer, Command};
use crate::caller::{Caller, Language};
use crate::host::Host;
use crate::wire::Wire;

const BOUND: Duration = Duration::from_secs(60);
/// The kinds of a TApplicationException.
const UNKNOWN_METHOD: i64 = 1;
const MISSING_RESULT: i64 = 5;
const INTERNAL_ERROR: i64 = 6;

/// A client, a server, and the NATS server between them.
struct Pair {
    host: Host,
    caller: Caller,
    client: Language,
    wire: Wire,
    /// All published messages.
    traffic: Subscriber,
    peer: &'static GoPeer,
    nats: NatsServer,
}

impl Pair {
    async fn start(
        peer: &'static GoPeer,
        languages: (Language, Language),
        wire: Wire,
        heartbeat: Duration,
    ) -> Self {
        let (client, server) = languages;
        let nats = NatsServer::start().unwrap();
        let connection = nats.client().await.unwrap();
        let traffic = connection.subscribe(">").await.unwrap();
        // NATS has the subscription now, so that it sees all later messages.
        let (mut own, inbox) = (connection.subscribe("here").await.unwrap(), "here");
        connection.publish(inbox, "".into()).await.unwrap();
        own.next().await.unwrap();
        let host = Host::start(server, peer, &nats, wire, heartbeat).await;
        let caller = Caller::open(client, peer, &nats, wire).await;
        Self { host, caller, client, wire, traffic, peer, nats }
    }

    /// The next unread message on a subject.
    async fn next_on(&mut self, subject: &str) -> async_nats::Message {
        loop {
            let next = tokio::time::timeout(BOUND, self.traffic.next());
            let message = next.await.expect("in time").unwrap();
            if message.subject.as_str() == subject {
                return message;
            }
        }
    }

    /// The subject and the interval of heartbeats in the accept of the server.
    async fn accept(&mut self) -> (String, String) {
        let inbox = self.next_on("calculator").await.reply.unwrap();
        let accept = self.next_on(&inbox).await;
        let body = String::from_utf8(accept.payload.to_vec()).unwrap();
        let (heartbeat, deadline) = body.split_once(' ').unwrap();
        (heartbeat.to_owned(), deadline.to_owned())
    }
}

/// Runs a rule in a pairing, in each of these formats.
async fn hold(
    languages: (Language, Language),
    wires: impl Iterator<Item = Wire>,
    heartbeat: Duration,
    rule: impl AsyncFn(Pair),
) {
    let Some(peer) = GoPeer::or_skip() else { return };
    for wire in wires {
        println!("{wire}");
        rule(Pair::start(peer, languages, wire, heartbeat).await).await;
    }
}

/// A test for each pairing.
macro_rules! pairings {
    ($rule:ident: $wires:expr, $heartbeat:expr) => {
        mod $rule {
            use super::*;
            use Language::{Go, Rust};

            async fn hold_for(languages: (Language, Language)) {
                hold(languages, $wires, $heartbeat, super::rules::$rule).await;
            }

            #[tokio::test]
            async fn go_client_go_server() {
                hold_for((Go, Go)).await;
            }

            #[tokio::test]
            async fn go_client_rust_server() {
                hold_for((Go, Rust)).await;
            }

            #[tokio::test]
            async fn rust_client_go_server() {
                hold_for((Rust, Go)).await;
            }

            #[tokio::test]
            async fn rust_client_rust_server() {
                hold_for((Rust, Rust)).await;
            }
        }
    };
}

const NO_HEARTBEATS: Duration = Duration::ZERO;
/// The shortest interval of the legacy package, which announces whole seconds.
const SECOND: Duration = Duration::from_secs(1);

pairings!(every_function_has_the_same_result: Wire::all(), NO_HEARTBEATS);
pairings!(texts_longer_than_a_nats_message_come_whole: Wire::all(), NO_HEARTBEATS);
pairings!(an_unknown_function_is_said_to_be_unknown: Wire::all(), NO_HEARTBEATS);
pairings!(an_error_that_is_not_declared_is_an_internal_error: Wire::all(), NO_HEARTBEATS);
pairings!(a_missing_value_is_a_missing_result: Wire::all(), NO_HEARTBEATS);
pairings!(a_oneway_function_gets_no_reply: Wire::all(), NO_HEARTBEATS);
pairings!(thousands_of_calls_go_through_one_session: Wire::all(), NO_HEARTBEATS);
pairings!(a_client_that_closes_ends_the_session_of_the_server: [Wire::USUAL].into_iter(), NO_HEARTBEATS);
pairings!(a_server_that_stops_ends_the_session_of_the_client: [Wire::USUAL].into_iter(), NO_HEARTBEATS);
pairings!(heartbeats_keep_an_idle_session: [Wire::USUAL].into_iter(), SECOND);
pairings!(a_client_that_does_not_beat_is_ended_after_three_windows: [Wire::USUAL].into_iter(), SECOND);
pairings!(a_server_that_wants_no_heartbeats_says_so: [Wire::USUAL].into_iter(), NO_HEARTBEATS);

mod rules {
    use super::*;

    pub(super) async fn every_function_has_the_same_result(mut pair: Pair) {
        let caller = &mut pair.caller;
        assert_eq!(caller.ping().await, Answer::done());
        assert_eq!(caller.add(1, 1).await, Answer::number(2));
        assert_eq!(caller.add(i32::MIN, 0).await, Answer::number(i32::MIN));
        assert_eq!(caller.add(-1, i32::MIN + 2).await, Answer::number(i32::MIN + 1));
        assert_eq!(caller.calculate(1, 15, 2, 10).await, Answer::number(5));
        assert_eq!(caller.get_struct(1).await, Answer::entry(1, "5"));
        assert_eq!(
            caller.calculate(2, 1, 4, 0).await,
            Answer::Ouch { what_op: 4, why: "cannot divide by zero".into() }
        );
        // A number without a value in the enum.
        assert_eq!(
            caller.calculate(2, 1, -7, 0).await,
            Answer::Ouch { what_op: -7, why: "unknown operation".into() }
        );
        let all_kinds = "\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é€😀\u{2028}";
        for text in ["", "plain", all_kinds] {
            assert_eq!(caller.keep(3, text).await, Answer::number(2));
            assert_eq!(caller.get_struct(3).await, Answer::entry(3, text));
        }
        assert_eq!(caller.add(2, 2).await, Answer::number(4));
    }

    pub(super) async fn texts_longer_than_a_nats_message_come_whole(mut pair: Pair) {
        // Around the chunk length of the legacy package, and far above the payload that NATS permits.
        for len in [1_048_000, 1_048_576, 1_049_000, 3_000_000] {
            let text: String = ('a'..='z').cycle().take(len).collect();
            assert_eq!(pair.caller.keep(1, &text).await, Answer::number(2), "{len}");
            assert!(pair.caller.get_struct(1).await == Answer::entry(1, &text), "{len}");
        }
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
    }

    pub(super) async fn an_unknown_function_is_said_to_be_unknown(mut pair: Pair) {
        let answer = pair.caller.call(Command::Unknown).await;
        assert!(answer.is_application(UNKNOWN_METHOD), "{answer:?}");
        goes_on_as_the_server_does(pair).await;
    }

    pub(super) async fn an_error_that_is_not_declared_is_an_internal_error(mut pair: Pair) {
        let answer = pair.caller.calculate(1, 1, 99, 1).await;
        assert!(answer.is_application(INTERNAL_ERROR), "{answer:?}");
        assert!(
            matches!(&answer, Answer::Application { message, .. } if message.ends_with("the handler is broken"))
        );
        goes_on_as_the_server_does(pair).await;
    }

    /// After a TApplicationException, our server keeps the session, and the legacy package ends it. Our client then opens
    /// the next one, and the call that causes this does not fail.
    async fn goes_on_as_the_server_does(mut pair: Pair) {
        if pair.host.ends_after_exceptions() {
            pair.host.until_sessions(0).await;
            pair.caller.until_ended().await;
        }
        let answer = pair.caller.add(1, 1).await;
        if pair.host.ends_after_exceptions() && pair.client == Language::Go {
            assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
        } else {
            assert_eq!(answer, Answer::number(2));
            pair.host.until_sessions(1).await;
        }
    }

    pub(super) async fn a_missing_value_is_a_missing_result(mut pair: Pair) {
        let answer = pair.caller.get_struct(17).await;
        assert!(answer.is_application(MISSING_RESULT), "{answer:?}");
        // A missing result is not an exception: the session continues with either server.
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        pair.host.until_sessions(1).await;
    }

    pub(super) async fn a_oneway_function_gets_no_reply(mut pair: Pair) {
        assert_eq!(pair.caller.call(Command::Zip).await, Answer::done());
        // The next reply is that of the next call.
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        pair.host.until_ran("zip", 1).await;
        // Apache's Go client does not mark the message as oneway, but does not wait for a reply.
        if pair.client == Language::Go {
            assert_eq!(pair.caller.call(Command::ZipAsCall).await, Answer::done());
            assert_eq!(pair.caller.add(2, 2).await, Answer::number(4));
            pair.host.until_ran("zip", 2).await;
        }
    }

    pub(super) async fn thousands_of_calls_go_through_one_session(mut pair: Pair) {
        let many = Command::Add { num1: 20, num2: 22, times: 2000 };
        assert_eq!(pair.caller.call(many).await, Answer::number(42));
        pair.host.until_ran("add", 2000).await;
        pair.host.until_sessions(1).await;
    }

    pub(super) async fn a_client_that_closes_ends_the_session_of_the_server(mut pair: Pair) {
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        pair.host.until_sessions(1).await;
        assert_eq!(pair.caller.call(Command::Close).await, Answer::done());
        pair.host.until_sessions(0).await;
        let answer = pair.caller.add(1, 1).await;
        assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
        // The server accepts the next client.
        let mut next = Caller::open(pair.client, pair.peer, &pair.nats, pair.wire).await;
        assert_eq!(next.add(1, 1).await, Answer::number(2));
        pair.host.until_sessions(1).await;
    }

    pub(super) async fn a_server_that_stops_ends_the_session_of_the_client(mut pair: Pair) {
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        pair.host.stop().await;
        pair.caller.until_ended().await;
        let answer = pair.caller.add(1, 1).await;
        assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
    }

    pub(super) async fn heartbeats_keep_an_idle_session(mut pair: Pair) {
        pair.host.until_sessions(1).await;
        let (heartbeat, deadline) = pair.accept().await;
        assert_eq!(deadline, "1000");
        // A server of this crate gets them from a client of this crate where it gets everything else.
        let is_current = matches!((&pair.caller, &pair.host), (Caller::Rust(_), Host::Rust { .. }));
        let subject = heartbeat.strip_suffix(".h").filter(|_| is_current).unwrap_or(&heartbeat).to_owned();
        // The fifth heartbeat comes after 3.75 s. Without heartbeats, the session would have ended after 3 s. A client of
        // this crate sends another one at once.
        for _ in 0..5 + usize::from(is_current) {
            let beat = pair.next_on(&subject).await;
            assert_eq!(beat.payload, if is_current { "alive" } else { "" });
        }
        pair.host.until_sessions(1).await;
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        pair.host.until_sessions(1).await;
    }

    pub(super) async fn a_client_that_does_not_beat_is_ended_after_three_windows(mut pair: Pair) {
        pair.host.until_sessions(1).await;
        // A server of this crate tells nothing to a client that has never sent anything.
        assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        let muted = std::time::Instant::now();
        assert_eq!(pair.caller.call(Command::Mute).await, Answer::done());
        pair.host.until_sessions(0).await;
        // The last heartbeat was sent at most an interval before.
        assert!(muted.elapsed() > 3 * SECOND - SECOND * 3 / 4, "{:?}", muted.elapsed());
        match &pair.host {
            Host::Go(process) => assert!(process.has(|said| said.closed == ["heartbeat"])),
            Host::Rust { .. } => {}
        }
        if let Caller::Go(process) = &pair.caller {
            process.until("the Go client is told", |said| said.closed == ["disconnect"]).await;
        }
    }

    pub(super) async fn a_server_that_wants_no_heartbeats_says_so(mut pair: Pair) {
        let (heartbeat, deadline) = pair.accept().await;
        assert_eq!(deadline, "0");
        assert!(!heartbeat.is_empty());
    }
}

/// Rules for a single pairing.
mod alone {
    use super::*;

    /// The Go server announces 500 ms as `0`, as the legacy package does. Clients send no heartbeats, and it ends the
    /// session.
    #[tokio::test]
    async fn client_survives_a_server_that_enforces_heartbeats_without_announcing_them() {
        let half = Duration::from_millis(500);
        hold((Language::Rust, Language::Go), [Wire::USUAL].into_iter(), half, async |mut pair: Pair| {
            assert_eq!(pair.accept().await.1, "0");
            for _ in 0..2 {
                assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
                pair.host.until_sessions(0).await;
                pair.caller.until_ended().await;
            }
            assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        })
        .await;
    }

    /// The Go server announces 1.5 s as `1000`, so that clients send more heartbeats than necessary.
    #[tokio::test]
    async fn server_that_announces_a_shorter_interval_gets_its_heartbeats() {
        let deadline = Duration::from_millis(1500);
        hold((Language::Rust, Language::Go), [Wire::USUAL].into_iter(), deadline, async |mut pair: Pair| {
            let (heartbeat, deadline) = pair.accept().await;
            assert_eq!(deadline, "1000");
            for _ in 0..7 {
                pair.next_on(&heartbeat).await;
            }
            pair.host.until_sessions(1).await;
        })
        .await;
    }

    /// Our server announces exact milliseconds.
    #[tokio::test]
    async fn legacy_client_keeps_a_session_with_an_interval_in_milliseconds() {
        let deadline = Duration::from_millis(400);
        hold((Language::Go, Language::Rust), [Wire::USUAL].into_iter(), deadline, async |mut pair: Pair| {
            let (heartbeat, deadline) = pair.accept().await;
            assert_eq!(deadline, "400");
            for _ in 0..5 {
                pair.next_on(&heartbeat).await;
            }
            pair.host.until_sessions(1).await;
            assert_eq!(pair.caller.add(1, 1).await, Answer::number(2));
        })
        .await;
    }

    /// The Go server runs one request at a time. Concurrent calls wait, and each gets its own reply.
    #[tokio::test]
    async fn concurrent_calls_succeed_with_a_server_that_runs_one_at_a_time() {
        use futures_util::FutureExt;
        use thrift_nats_tests::tutorial::CalculatorClient;

        hold((Language::Rust, Language::Go), [Wire::USUAL].into_iter(), NO_HEARTBEATS, async |pair: Pair| {
            let nats = pair.nats.client().await.unwrap();
            let client = CalculatorClient::connect(&nats, "calculator").await.unwrap();
            let calls = (0..500).map(|n| client.add(n, n).map(move |answer| (n, answer)));
            let answers = futures_util::future::join_all(calls).await;
            for (n, answer) in answers {
                assert_eq!(answer, Ok(2 * n));
            }
        })
        .await;
    }
}
