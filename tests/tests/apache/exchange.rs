//! Random values, exchanged with Apache's implementations. A failure shows the seed; EXCHANGE_SEED sets another.

use std::env;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;

use thrift_nats_runtime::Protocol;
use thrift_nats_runtime::protocol::{from_bytes, to_bytes};
use thrift_nats_tests::ApachePython;

use crate::peer::{apache_bytes, apache_value};
use crate::random::{Draw as _, Random};
use crate::types::Everything;

/// The number of values in each direction between the two languages, per protocol.
const WITH_PYTHON: usize = 700;
/// The number of values in each direction between the two crates.
const WITH_RUST: usize = 2_000;

fn seed() -> u64 {
    env::var("EXCHANGE_SEED").map_or(20_260_801, |seed| seed.parse().unwrap())
}

fn values(count: usize) -> impl Iterator<Item = Everything> {
    let mut random = Random::new(seed());
    (0..count).map(move |_| Everything::draw(&mut random, 0))
}

/// Compares bytes, because NaN is not equal to itself.
fn binary(value: &Everything) -> Vec<u8> {
    to_bytes(Protocol::Binary, value).unwrap().into()
}

#[track_caller]
fn assert_same(number: usize, protocol: Protocol, read: &Everything, value: &Everything) {
    assert!(
        binary(read) == binary(value),
        "value {number} of seed {}, {protocol}: read {read:?}, not {value:?}",
        seed()
    );
}

#[test]
fn values_survive_the_exchange_with_the_crate_of_apache() {
    for (number, value) in values(WITH_RUST).enumerate() {
        for protocol in [Protocol::Binary, Protocol::Compact] {
            let ours = to_bytes(protocol, &value).unwrap();
            assert_same(number, protocol, &apache_value(protocol, &ours).unwrap(), &value);
            let theirs = apache_bytes(protocol, &value);
            assert_same(number, protocol, &from_bytes(protocol, theirs.clone()).unwrap(), &value);
            if protocol == Protocol::Binary {
                assert!(ours == theirs, "value {number} of seed {}", seed());
            }
        }
    }
}

/// Lines of `tests/vectors/peer.py`: protocol, and bytes in hex.
fn line(protocol: Protocol, bytes: &[u8]) -> String {
    format!("{protocol} {}\n", crate::vectors::to_hex(bytes))
}

fn parse(line: &str) -> (Protocol, Vec<u8>) {
    let (protocol, hex) = line.split_once(' ').unwrap();
    (protocol.parse().unwrap(), crate::vectors::from_hex(hex))
}

#[test]
fn values_survive_the_exchange_with_python() {
    let Some(python) = ApachePython::or_skip() else { return };
    let values: Vec<_> = values(WITH_PYTHON).collect();
    let mut sent = String::new();
    for value in &values {
        for protocol in Protocol::ALL {
            sent += &line(*protocol, &to_bytes(*protocol, value).unwrap());
        }
    }
    let mut child =
        python.script("peer.py").arg("echo").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // In another thread, because the output of Python fills its pipe before all input is written.
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(sent.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    writer.join().unwrap().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = text.lines().map(parse).collect();
    assert_eq!(answers.len(), WITH_PYTHON * Protocol::ALL.len());
    for (place, (protocol, bytes)) in answers.into_iter().enumerate() {
        let number = place / Protocol::ALL.len();
        let read = from_bytes(protocol, bytes).unwrap_or_else(|error| panic!("value {number}: {error}"));
        assert_same(number, protocol, &read, &values[number]);
    }
}

#[test]
fn values_made_by_python_are_decoded_and_encoded_alike() {
    let Some(python) = ApachePython::or_skip() else { return };
    let mut script = python.script("peer.py");
    let output = script.arg("make").arg(seed().to_string()).arg(WITH_PYTHON.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let made: Vec<_> = text.lines().map(parse).collect();
    assert_eq!(made.len(), WITH_PYTHON * Protocol::ALL.len());
    for (number, forms) in made.chunks(Protocol::ALL.len()).enumerate() {
        let read = |(protocol, bytes): &(Protocol, Vec<u8>)| {
            from_bytes::<Everything>(*protocol, bytes.clone())
                .unwrap_or_else(|error| panic!("value {number}, {protocol}: {error}"))
        };
        let value = read(&forms[0]);
        for form in forms {
            assert_same(number, form.0, &read(form), &value);
            // Python encodes numbers and some characters differently in JSON.
            if form.0 != Protocol::Json {
                assert!(to_bytes(form.0, &value).unwrap() == form.1, "value {number}, {}", form.0);
            }
        }
    }
}
