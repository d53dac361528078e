//! The interface of Apache's cross test, over a real NATS server in every protocol and transport, with the assertions of
//! Apache's clients.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use thrift_nats_runtime::Services;
use thrift_nats_runtime::{
    ApplicationException, ApplicationExceptionKind, Client, Context, Error, Protocol, Server, Transport, Uuid,
};
use thrift_nats_tests::NatsServer;
use tokio::sync::{Notify, mpsc};

#[thrift_nats_runtime::thrift("../idl/thrift_test.thrift")]
mod api {}

use api::thrift_test::{
    Insanity, Numberz, SecondService, SecondServiceClient, SecondServiceServer, ThriftTest, ThriftTestClient,
    ThriftTestServer, ThriftTestTestExceptionError, ThriftTestTestMultiExceptionError, UserId, Xception,
    Xception2, Xtruct, Xtruct2,
};

/// The bound of waits.
const BOUND: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Handler {
    /// Lets `testOneway` return.
    wake: &'static Notify,
    /// Receives the argument of `testOneway` when it returns.
    ended: mpsc::UnboundedSender<i32>,
}

impl ThriftTest for Handler {
    async fn test_void(&self, _: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn test_string(&self, _: &Context, thing: String) -> Result<String, Error> {
        Ok(thing)
    }

    async fn test_bool(&self, _: &Context, thing: bool) -> Result<bool, Error> {
        Ok(thing)
    }

    async fn test_byte(&self, _: &Context, thing: i8) -> Result<i8, Error> {
        Ok(thing)
    }

    async fn test_i32(&self, _: &Context, thing: i32) -> Result<i32, Error> {
        Ok(thing)
    }

    async fn test_i64(&self, _: &Context, thing: i64) -> Result<i64, Error> {
        Ok(thing)
    }

    async fn test_double(&self, _: &Context, thing: f64) -> Result<f64, Error> {
        Ok(thing)
    }

    async fn test_binary(&self, _: &Context, thing: Bytes) -> Result<Bytes, Error> {
        Ok(thing)
    }

    async fn test_uuid(&self, _: &Context, thing: Uuid) -> Result<Uuid, Error> {
        Ok(thing)
    }

    async fn test_struct(&self, _: &Context, thing: Xtruct) -> Result<Xtruct, Error> {
        Ok(thing)
    }

    async fn test_nest(&self, _: &Context, thing: Xtruct2) -> Result<Xtruct2, Error> {
        Ok(thing)
    }

    async fn test_map(&self, _: &Context, thing: BTreeMap<i32, i32>) -> Result<BTreeMap<i32, i32>, Error> {
        Ok(thing)
    }

    async fn test_string_map(
        &self,
        _: &Context,
        thing: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Error> {
        Ok(thing)
    }

    async fn test_set(&self, _: &Context, thing: BTreeSet<i32>) -> Result<BTreeSet<i32>, Error> {
        Ok(thing)
    }

    async fn test_list(&self, _: &Context, thing: Vec<i32>) -> Result<Vec<i32>, Error> {
        Ok(thing)
    }

    async fn test_enum(&self, _: &Context, thing: Numberz) -> Result<Numberz, Error> {
        Ok(thing)
    }

    async fn test_typedef(&self, _: &Context, thing: UserId) -> Result<UserId, Error> {
        Ok(thing)
    }

    async fn test_map_map(
        &self,
        _: &Context,
        _hello: i32,
    ) -> Result<BTreeMap<i32, BTreeMap<i32, i32>>, Error> {
        let line = |from: i32, to: i32| (from..=to).map(|n| (n, n)).collect();
        Ok(BTreeMap::from([(-4, line(-4, -1)), (4, line(1, 4))]))
    }

    async fn test_insanity(
        &self,
        _: &Context,
        argument: Insanity,
    ) -> Result<BTreeMap<UserId, BTreeMap<Numberz, Insanity>>, Error> {
        let first = BTreeMap::from([(Numberz::TWO, argument.clone()), (Numberz::THREE, argument)]);
        let second = BTreeMap::from([(Numberz::SIX, Insanity::default())]);
        Ok(BTreeMap::from([(1, first), (2, second)]))
    }

    async fn test_multi(
        &self,
        _: &Context,
        arg0: i8,
        arg1: i32,
        arg2: i64,
        arg3: BTreeMap<i16, String>,
        arg4: Numberz,
        arg5: UserId,
    ) -> Result<Xtruct, Error> {
        assert_eq!((arg3, arg4, arg5), multi());
        Ok(Xtruct { string_thing: "Hello2".into(), byte_thing: arg0, i32_thing: arg1, i64_thing: arg2 })
    }

    async fn test_exception(&self, _: &Context, arg: String) -> Result<(), ThriftTestTestExceptionError> {
        match arg.as_str() {
            "Xception" => Err(Xception { error_code: 1001, message: arg }.into()),
            "TException" => Err(Error::from(ApplicationException::revealed("not declared")).into()),
            _ => Ok(()),
        }
    }

    async fn test_multi_exception(
        &self,
        _: &Context,
        arg0: String,
        arg1: String,
    ) -> Result<Xtruct, ThriftTestTestMultiExceptionError> {
        match arg0.as_str() {
            "Xception" => Err(Xception { error_code: 1001, message: "This is an Xception".into() }.into()),
            "Xception2" => {
                let struct_thing =
                    Xtruct { string_thing: "This is an Xception2".into(), ..Xtruct::default() };
                Err(Xception2 { error_code: 2002, struct_thing }.into())
            }
            _ => Ok(Xtruct { string_thing: arg1, ..Xtruct::default() }),
        }
    }

    async fn test_oneway(&self, _: &Context, seconds_to_sleep: i32) -> Result<(), Error> {
        self.wake.notified().await;
        self.ended.send(seconds_to_sleep).unwrap();
        Ok(())
    }
}

impl SecondService for Handler {
    async fn secondtest_string(&self, _: &Context, thing: String) -> Result<String, Error> {
        Ok(format!("testString(\"{thing}\")"))
    }
}

/// The last three arguments of `testMulti`.
fn multi() -> (BTreeMap<i16, String>, Numberz, UserId) {
    (BTreeMap::from([(0, "abc".into())]), Numberz::FIVE, 0xf0_f0f0)
}

/// A handler, the switch that lets its oneway function return, and the arguments of those that have.
fn handler() -> (Handler, &'static Notify, mpsc::UnboundedReceiver<i32>) {
    let wake: &'static Notify = Box::leak(Box::new(Notify::new()));
    let (ended, oneway) = mpsc::unbounded_channel();
    (Handler { wake, ended }, wake, oneway)
}

/// Text in many scripts, with characters that some protocol has to escape.
const TEXTS: &[&str] = &[
    "",
    "Test",
    "Afrikaans, Alemannisch, አማርኛ, العربية, বাংলা, Ελληνικά, עברית, हिन्दी, 日本語, ქართული, 한국어, Русский, தமிழ், ไทย, 中文",
    "quote: \" backslash: \\ forward-slash: / backspace: \u{8} formfeed: \u{c} newline: \n return: \r tab: \t \
     now-all-of-them-together: \"\\/\u{8}\n\r\t now-a-bunch-of-junk: !@#$%&()(&%$#{}{}<><><",
    "char-to-test-json-parsing: ]] \"]] \\\" }}}{ [[[ ",
    "𝄞 and 😀, which are two units of UTF-16 each",
];

#[expect(clippy::float_cmp, reason = "the result equals the argument to the last bit")]
async fn base_types(client: &ThriftTestClient) {
    client.test_void().await.unwrap();
    for text in TEXTS.iter().map(ToString::to_string).chain(["x".repeat(200_000)]) {
        assert_eq!(client.test_string(&text).await.unwrap(), text);
    }
    for thing in [true, false] {
        assert_eq!(client.test_bool(thing).await, Ok(thing));
    }
    for thing in [0, 1, -1, i8::MIN, i8::MAX] {
        assert_eq!(client.test_byte(thing).await, Ok(thing));
    }
    let powers = (0..31).map(|bit| 1 << bit);
    for thing in powers.flat_map(|n: i32| [n, -n, n - 1, !n]).chain([i32::MIN, i32::MAX]) {
        assert_eq!(client.test_i32(thing).await, Ok(thing));
    }
    let powers = (0..63).map(|bit| 1 << bit);
    for thing in powers.flat_map(|n: i64| [n, -n, n - 1]).chain([i64::MIN, i64::MAX, -34_359_738_368]) {
        assert_eq!(client.test_i64(thing).await, Ok(thing));
    }
    let two = |power: i32| 2_f64.powi(power);
    for thing in [
        0.0,
        1.0,
        -1.0,
        -5.2098523,
        -0.000_341_012_439_638_598_3,
        two(32),
        two(32) + 1.0,
        two(53) - 1.0,
        -two(32),
        -two(32) - 1.0,
        two(307),
        two(-1075),
        -two(-1074),
        9_007_199_254_740_993.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        assert_eq!(client.test_double(thing).await.unwrap(), thing);
    }
    assert!(client.test_double(f64::NAN).await.unwrap().is_nan());
    for len in [0, 1, 2, 3, 256, 131_072] {
        let thing: Bytes = (0..=255).cycle().take(len).collect::<Vec<u8>>().into();
        assert_eq!(client.test_binary(&thing).await, Ok(thing));
    }
    let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    assert_eq!(client.test_uuid(uuid).await, Ok(uuid));
    for thing in [Numberz::ONE, Numberz::TWO, Numberz::THREE, Numberz::FIVE, Numberz::EIGHT, Numberz(77)] {
        assert_eq!(client.test_enum(thing).await, Ok(thing));
    }
    assert_eq!(client.test_typedef(309_858_235_082_523).await, Ok(309_858_235_082_523));
}

async fn structs_and_containers(client: &ThriftTestClient) {
    let xtruct =
        Xtruct { string_thing: "Zero".into(), byte_thing: 1, i32_thing: -3, i64_thing: -5_000_000_000 };
    assert_eq!(client.test_struct(&xtruct).await, Ok(xtruct.clone()));
    let nest = Xtruct2 { byte_thing: 1, struct_thing: xtruct, i32_thing: 5 };
    assert_eq!(client.test_nest(&nest).await, Ok(nest));

    for range in [0..0, 0..5, -2..3, -200..200] {
        let map: BTreeMap<_, _> = range.clone().map(|n| (n, n - 10)).collect();
        assert_eq!(client.test_map(&map).await, Ok(map));
        let set: BTreeSet<_> = range.clone().collect();
        assert_eq!(client.test_set(&set).await, Ok(set));
        let list: Vec<_> = range.collect();
        assert_eq!(client.test_list(&list).await, Ok(list));
    }
    let texts = [("a", "123"), ("a b", "with spaces "), ("same", "same"), ("0", "numeric key"), ("", "")];
    let map: BTreeMap<_, _> = texts
        .into_iter()
        .chain(TEXTS.iter().map(|text| (*text, *text)))
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    assert_eq!(client.test_string_map(&map).await, Ok(map));

    let line = |from: i32, to: i32| (from..=to).map(|n| (n, n)).collect::<BTreeMap<_, _>>();
    assert_eq!(client.test_map_map(1).await, Ok(BTreeMap::from([(-4, line(-4, -1)), (4, line(1, 4))])));

    let insanity = Insanity {
        user_map: BTreeMap::from([(Numberz::FIVE, 5), (Numberz::EIGHT, 8)]),
        xtructs: vec![
            Xtruct { string_thing: "Goodbye4".into(), byte_thing: 4, i32_thing: 4, i64_thing: 4 },
            Xtruct { string_thing: "Hello2".into(), byte_thing: 2, i32_thing: 2, i64_thing: 2 },
        ],
    };
    let answer = client.test_insanity(&insanity).await.unwrap();
    assert_eq!(answer.len(), 2);
    assert_eq!(answer[&1], BTreeMap::from([(Numberz::TWO, insanity.clone()), (Numberz::THREE, insanity)]));
    assert_eq!(answer[&2], BTreeMap::from([(Numberz::SIX, Insanity::default())]));

    let (arg3, arg4, arg5) = multi();
    let answer = client.test_multi(74, 0x00ff_00ff, 0xff_0000_ffff, &arg3, arg4, arg5).await;
    let expected = Xtruct {
        string_thing: "Hello2".into(),
        byte_thing: 74,
        i32_thing: 0x00ff_00ff,
        i64_thing: 0xff_0000_ffff,
    };
    assert_eq!(answer, Ok(expected));
}

async fn exceptions(client: &ThriftTestClient) {
    let error = client.test_exception("Xception").await.unwrap_err();
    let expected = Xception { error_code: 1001, message: "Xception".into() };
    assert_eq!(error, ThriftTestTestExceptionError::Xception(expected));
    let error = client.test_exception("TException").await.unwrap_err();
    let ThriftTestTestExceptionError::Rpc(Error::Application(exception)) = error else { panic!("{error}") };
    assert_eq!(exception.kind, ApplicationExceptionKind::INTERNAL_ERROR);
    assert_eq!(client.test_exception("success").await, Ok(()));

    let error = client.test_multi_exception("Xception", "test 1").await.unwrap_err();
    let expected = Xception { error_code: 1001, message: "This is an Xception".into() };
    assert_eq!(error, ThriftTestTestMultiExceptionError::Xception(expected));
    let error = client.test_multi_exception("Xception2", "test 2").await.unwrap_err();
    let ThriftTestTestMultiExceptionError::Xception2(exception) = error else { panic!("{error}") };
    assert_eq!(exception.error_code, 2002);
    assert_eq!(exception.struct_thing.string_thing, "This is an Xception2");
    let answer = client.test_multi_exception("success", "test 3").await.unwrap();
    assert_eq!(answer.string_thing, "test 3");
}

/// All formats.
fn formats() -> impl Iterator<Item = (Protocol, Transport)> {
    let all = Protocol::ALL.iter().flat_map(|protocol| Transport::ALL.iter().map(|it| (*protocol, *it)));
    // The header transport has no identifier for JSON.
    all.filter(|format| *format != (Protocol::Json, Transport::Header))
}

/// Calls every function of a client.
async fn call_all(client: &ThriftTestClient, wake: &Notify, oneway: &mut mpsc::UnboundedReceiver<i32>) {
    base_types(client).await;
    structs_and_containers(client).await;
    exceptions(client).await;
    // The call returns while the handler waits.
    client.test_oneway(3).await.unwrap();
    client.test_void().await.unwrap();
    oneway.try_recv().unwrap_err();
    wake.notify_one();
    assert_eq!(tokio::time::timeout(BOUND, oneway.recv()).await.unwrap(), Some(3));
}

#[tokio::test]
async fn every_function_passes_the_assertions_of_apache_in_every_format() {
    let server = NatsServer::start().unwrap();
    let (handler, wake, mut oneway) = handler();
    let running = Server::builder(&server.client().await.unwrap(), "thrift-test")
        .serve(ThriftTestServer::new(handler))
        .await
        .unwrap();
    let nats = server.client().await.unwrap();
    let mut count = 0;
    for (protocol, transport) in formats() {
        println!("{protocol} over {transport}");
        let client = Client::builder(&nats, "thrift-test").protocol(protocol).transport(transport);
        let client = ThriftTestClient::new(client.connect().await.unwrap());
        call_all(&client, wake, &mut oneway).await;
        client.close().await.unwrap();
        count += 1;
    }
    assert_eq!(count, 8);
    running.drain(BOUND).await.unwrap();
}

#[tokio::test]
async fn multiplexed_services_pass_the_assertions_of_apache_in_every_format() {
    let server = NatsServer::start().unwrap();
    let (handler, wake, mut oneway) = handler();
    let services = Services::new()
        .with(ThriftTestServer::new(handler.clone()))
        .with(SecondServiceServer::new(handler.clone()))
        .with_default(ThriftTestServer::new(handler));
    let running =
        Server::builder(&server.client().await.unwrap(), "thrift-test").serve(services).await.unwrap();
    let nats = server.client().await.unwrap();
    for (protocol, transport) in formats() {
        println!("{protocol} over {transport}");
        let client = Client::builder(&nats, "thrift-test").protocol(protocol).transport(transport);
        let client = client.connect().await.unwrap();
        let second = SecondServiceClient::new(client.for_service("SecondService"));
        call_all(&ThriftTestClient::new(client.for_service("ThriftTest")), wake, &mut oneway).await;
        assert_eq!(second.secondtest_string("foo").await.unwrap(), "testString(\"foo\")");
        // A client without a service name gets the default service.
        let plain = ThriftTestClient::new(client);
        assert_eq!(plain.test_string("bar").await.unwrap(), "bar");
        plain.close().await.unwrap();
    }
    running.drain(BOUND).await.unwrap();
}

#[tokio::test]
async fn every_function_passes_the_assertions_of_apache_in_process() {
    let (handler, wake, mut oneway) = handler();
    let client = ThriftTestClient::in_process(handler);
    base_types(&client).await;
    structs_and_containers(&client).await;
    exceptions(&client).await;
    wake.notify_one();
    client.test_oneway(3).await.unwrap();
    assert_eq!(tokio::time::timeout(BOUND, oneway.recv()).await.unwrap(), Some(3));
}
