//! Golden bytes: values are encoded as Apache encodes them, and Apache's bytes are decoded.
//!
//! `tests/vectors/apache.txt` has a line per vector: the name of the value or message, its format, the bytes in hex, and the
//! implementations that encode it so. It changes only with BLESS=1.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use bytes::Bytes;
use thrift_nats_runtime::internals::{Framing, MessageReader, wrap};
use thrift_nats_runtime::protocol::{
    BinaryReader, BinaryWriter, CompactReader, CompactWriter, InputProtocol, JsonReader, JsonWriter, Limits,
    MessageHeader, OutputProtocol, from_bytes, to_bytes,
};
use thrift_nats_runtime::{Protocol, Transport};
use thrift_nats_tests::{ApachePython, workspace_dir};

use crate::peer::{apache_bytes, apache_message, apache_value};
use crate::types::Everything;
use crate::values::{Message, messages, values, with_body};

const RUST: &str = "rust";
const PYTHON: &str = "python";

/// Encodings that differ from Apache's Python, with the reason. Both forms are decoded.
const OUR_CHOICE: &[(&str, &str, &str)] = &[
    ("double-third", "json", "the shortest digits that are read as the same number; Python writes 17"),
    ("double-tenth", "json", "the shortest digits"),
    ("double-large", "json", "the shortest digits"),
    ("double-whole", "json", "an exponent without a sign"),
    ("double-max", "json", "an exponent without a sign"),
    ("double-least", "json", "the shortest digits"),
    ("double-small", "json", "the shortest digits"),
    ("double-nan", "json", "in quotes, as C++, Java and Go write it; Python writes invalid JSON"),
    ("double-infinity", "json", "in quotes, as C++, Java and Go write it"),
    ("double-minus-infinity", "json", "in quotes, as C++, Java and Go write it"),
    ("string-control", "json", "escaped, as C++, Java and Go write it; Python leaves control characters raw"),
];

/// A line of the file, without the implementations.
type Vector = (String, String, Vec<u8>);

/// The lines of the file, with the implementations.
fn golden() -> Vec<(Vector, String)> {
    let path = workspace_dir().join("tests/vectors/apache.txt");
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_else(|| panic!("four words: {line}")).to_owned();
            ((word(), word(), from_hex(&word())), word())
        })
        .collect()
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The encodings of Apache's crate.
fn from_rust() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut add = |name: &str, form: &str, bytes| vectors.push((name.to_owned(), form.to_owned(), bytes));
    for (name, value) in values() {
        for protocol in [Protocol::Binary, Protocol::Compact] {
            add(name, protocol.name(), apache_bytes(protocol, &value));
        }
    }
    for (name, message) in messages() {
        let header = header(&message);
        for (form, protocol, strict) in [
            ("binary", Protocol::Binary, true),
            ("old-binary", Protocol::Binary, false),
            ("compact", Protocol::Compact, true),
        ] {
            add(
                name,
                form,
                with_body!(&message.body, |body| apache_message(protocol, strict, &header, body)),
            );
        }
    }
    vectors
}

/// The encodings of Apache's Python library.
fn from_python(python: &ApachePython) -> Vec<Vector> {
    let text = python.output("make.py").unwrap();
    let lines = text.lines().map(|line| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        (word(), word(), from_hex(&word()))
    });
    lines.collect()
}

/// The lines of the implementation `who`.
fn written_by(who: &str) -> Vec<Vector> {
    let by = |writers: &str| writers.split('+').any(|writer| writer == who);
    golden().into_iter().filter(|(_, writers)| by(writers)).map(|(vector, _)| vector).collect()
}

#[test]
fn vectors_match_the_crate_of_apache() {
    let written = from_rust();
    bless();
    assert!(written_by(RUST) == sorted(written), "run it with BLESS=1 and read the difference");
}

#[test]
fn vectors_match_the_python_library_of_apache() {
    let Some(python) = ApachePython::or_skip() else { return };
    bless();
    let (golden, written) = (written_by(PYTHON), sorted(from_python(&python)));
    // The output of zlib depends on its version.
    let but_zlib = |vectors: Vec<Vector>| -> Vec<Vector> {
        vectors.into_iter().filter(|(_, form, _)| !form.starts_with("zlib-")).collect()
    };
    assert!(but_zlib(golden) == but_zlib(written), "run it with BLESS=1 and read the difference");
}

fn sorted(mut vectors: Vec<Vector>) -> Vec<Vector> {
    vectors.sort();
    vectors
}

/// Updates the file, with BLESS=1.
fn bless() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("BLESS").is_none_or(|value| value != "1") {
        return;
    }
    ONCE.call_once(|| {
        let python = ApachePython::find().unwrap();
        let mut lines = BTreeMap::<Vector, Vec<&str>>::new();
        for (who, vectors) in [(PYTHON, from_python(&python)), (RUST, from_rust())] {
            for vector in vectors {
                lines.entry(vector).or_default().push(who);
            }
        }
        let mut text = String::from(
            "# Name, what it is written in, bytes, and which implementations of Apache write them so. Written by the test \
             `apache` with BLESS=1.\n",
        );
        for ((name, form, bytes), writers) in lines {
            writeln!(text, "{name} {form} {} {}", to_hex(&bytes), writers.join("+")).unwrap();
        }
        fs::write(workspace_dir().join("tests/vectors/apache.txt"), text).unwrap();
    });
}

fn header(message: &Message) -> MessageHeader<'static> {
    MessageHeader { name: message.name.into(), kind: message.kind, seqid: message.seqid }
}

fn our_message(protocol: Protocol, message: &Message) -> Vec<u8> {
    fn write<O: OutputProtocol>(mut output: O, message: &Message) {
        output.message_begin(&header(message)).unwrap();
        with_body!(&message.body, |body| thrift_nats_runtime::protocol::Value::write(body, &mut output))
            .unwrap();
        output.message_end();
    }
    let mut bytes = Vec::new();
    match protocol {
        Protocol::Binary => write(BinaryWriter::new(&mut bytes, Limits::DEFAULT), message),
        Protocol::Compact => write(CompactWriter::new(&mut bytes, Limits::DEFAULT), message),
        Protocol::Json => write(JsonWriter::new(&mut bytes, Limits::DEFAULT), message),
        other => panic!("no vectors for {other}"),
    }
    bytes
}

#[track_caller]
fn read_message(protocol: Protocol, payload: &Bytes, message: &Message) {
    #[track_caller]
    fn read<I: InputProtocol>(mut input: I, message: &Message) {
        assert_eq!(input.message_begin().unwrap(), header(message));
        assert_eq!(message.body.read_alike(&mut input).unwrap(), message.body);
        input.message_end().unwrap();
    }
    match protocol {
        Protocol::Binary => read(BinaryReader::new(payload, Limits::DEFAULT), message),
        Protocol::Compact => read(CompactReader::new(payload, Limits::DEFAULT), message),
        Protocol::Json => read(JsonReader::new(payload, Limits::DEFAULT), message),
        other => panic!("no vectors for {other}"),
    }
}

/// Compares values by their bytes, because NaN is not equal to itself.
#[track_caller]
fn assert_same(name: &str, read: &Everything, value: &Everything) {
    let bytes = |value| to_bytes(Protocol::Binary, value).unwrap();
    assert_eq!(bytes(read), bytes(value), "{name}: read {read:?}, not {value:?}");
}

/// The vectors of values. The names of messages are different.
fn of_values() -> impl Iterator<Item = (Vector, Everything)> {
    let values: BTreeMap<_, _> = values().into_iter().collect();
    golden().into_iter().filter_map(move |(vector, _)| {
        let value = values.get(vector.0.as_str())?.clone();
        Some((vector, value))
    })
}

#[test]
fn every_vector_of_a_value_is_decoded() {
    let mut count = 0;
    for ((name, form, bytes), value) in of_values() {
        let protocol: Protocol = form.parse().unwrap();
        let read = from_bytes(protocol, bytes).unwrap_or_else(|error| panic!("{name}, {form}: {error}"));
        assert_same(&format!("{name}, {form}"), &read, &value);
        count += 1;
    }
    assert!(count > 280, "{count}");
}

#[test]
fn values_are_encoded_like_apache() {
    let mut choices = OUR_CHOICE.to_vec();
    for (name, value) in values() {
        for protocol in Protocol::ALL.iter().copied() {
            let bytes = to_bytes(protocol, &value).unwrap();
            let same = of_values()
                .any(|((n, form, golden), _)| n == name && form == protocol.name() && golden == bytes);
            let before = choices.len();
            choices.retain(|(n, form, _)| *n != name || *form != protocol.name());
            let ours = choices.len() < before;
            assert!(same != ours, "{name}, {protocol}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
    assert_eq!(choices, [], "these vectors do not exist");
}

#[test]
fn both_forms_are_decoded_where_apache_differs() {
    let mut forms = BTreeMap::<_, Vec<_>>::new();
    for ((name, form, bytes), _) in of_values() {
        forms.entry((name, form)).or_default().push(bytes);
    }
    let differ: Vec<_> = forms.into_iter().filter(|(_, bytes)| bytes.len() > 1).collect();
    assert!(!differ.is_empty(), "compact has a delta of 15 in two forms");
    for ((name, form), bytes) in &differ {
        let protocol: Protocol = form.parse().unwrap();
        let read = |bytes: &Vec<u8>| from_bytes::<Everything>(protocol, bytes.clone()).unwrap();
        assert_same(&format!("{name}, {form}"), &read(&bytes[0]), &read(&bytes[1]));
    }
}

#[test]
fn crate_of_apache_decodes_every_value() {
    for (name, value) in values() {
        for protocol in [Protocol::Binary, Protocol::Compact] {
            let read = apache_value(protocol, &to_bytes(protocol, &value).unwrap()).unwrap();
            assert_same(name, &read, &value);
        }
    }
}

/// The prefix of a format before the name of its protocol.
fn framing(form: &str) -> Framing {
    let (around, protocol) = form.split_once('-').unwrap_or(("", form));
    let headers = match around {
        "headers" => vec![("client_timeout".into(), "250".into()), ("who".into(), "Zoë".into())],
        _ => Vec::new(),
    };
    let transport = match around {
        "" | "old" => Transport::Buffered,
        "framed" => Transport::Framed,
        "header" | "headers" | "zlib" => Transport::Header,
        other => panic!("no such form: {other}"),
    };
    Framing { protocol: protocol.parse().unwrap(), transport, zlib: around == "zlib", headers }
}

/// The vectors of messages.
fn of_messages() -> impl Iterator<Item = (Vector, Message)> {
    golden().into_iter().filter_map(|(vector, _)| {
        let (_, message) = messages().into_iter().find(|(name, _)| *name == vector.0)?;
        Some((vector, message))
    })
}

#[test]
fn every_vector_of_a_message_is_delimited_and_decoded() {
    let mut count = 0;
    for ((name, form, bytes), message) in of_messages() {
        // In one piece, and in pieces of three bytes.
        for piece in [bytes.len(), 3] {
            let mut found = Vec::new();
            let mut stream = MessageReader::new(Limits::DEFAULT);
            for chunk in bytes.chunks(piece) {
                stream
                    .receive(Bytes::copy_from_slice(chunk), |framing, payload| {
                        found.push((framing, payload));
                    })
                    .unwrap_or_else(|error| panic!("{name}, {form}: {error}"));
            }
            let [(found, payload)] = &found[..] else { panic!("{name}, {form}: {} messages", found.len()) };
            assert_eq!(*found, framing(&form), "{name}, {form}");
            read_message(found.protocol, payload, &message);
        }
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn messages_are_encoded_like_apache() {
    for ((name, form, golden), message) in of_messages() {
        let framing = framing(&form);
        // The old form of binary is only decoded, and the output of zlib depends on its version.
        if form.starts_with("old-") || framing.zlib {
            continue;
        }
        let message_bytes = our_message(framing.protocol, &message);
        let bytes = wrap(&message_bytes, &framing, message.seqid, Limits::DEFAULT).unwrap();
        assert_eq!(to_hex(&bytes), to_hex(&golden), "{name}, {form}");
    }
}

#[test]
fn every_value_and_message_has_vectors() {
    let golden = golden();
    let has = |name: &str, form: &str| golden.iter().any(|((n, f, _), _)| n == name && f == form);
    for (name, _) in values() {
        assert!(Protocol::ALL.iter().all(|protocol| has(name, protocol.name())), "{name}");
    }
    for (name, _) in messages() {
        for form in
            ["binary", "compact", "json", "old-binary", "framed-json", "headers-compact", "zlib-binary"]
        {
            assert!(has(name, form), "{name}, {form}");
        }
    }
    let known = |name: &str| {
        values().iter().any(|(known, _)| *known == name) || messages().iter().any(|(known, _)| *known == name)
    };
    assert!(golden.iter().all(|((name, ..), _)| known(name)), "the script knows more than the test");
}
