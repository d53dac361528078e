//! The codecs under test, as closures of one type.

use std::fmt;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe};

use ::pilota::thrift::{Message, binary, compact};
use bytes::{Bytes, BytesMut};
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TCompactInputProtocol, TCompactOutputProtocol, TSerializable,
};
use thrift_nats_runtime::protocol::{
    BinaryReader, BinaryWriter, CompactReader, CompactWriter, Limits, Value,
};

use crate::generated::{APACHE, apache, shared, theirs};
use crate::messages;

pub(crate) const PROTOCOLS: [&str; 2] = ["binary", "compact"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Encode,
    Decode,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encode => "Encoding",
            Self::Decode => "Decoding",
        })
    }
}

type Run = Box<dyn FnMut()>;

/// One message, with a closure per contestant that encodes or decodes it.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// The length of the message in bytes.
    pub(crate) bytes: usize,
    pub(crate) shared: Run,
    /// `None` if pilota cannot decode the message.
    pub(crate) pilota: Option<Run>,
    pub(crate) owned: Run,
    pub(crate) apache: Option<Run>,
}

const SAME_BYTES: &str = "all have written or read these bytes";

/// One protocol: encoding a value into an empty buffer, and decoding one from bytes.
trait Protocol: 'static {
    fn write(value: &impl Value, buffer: &mut Vec<u8>);
    fn read<T: Value>(bytes: &Bytes) -> T;
    fn pilota_write(value: &impl Message, buffer: &mut BytesMut);
    fn pilota_read<M: Message>(bytes: &Bytes) -> M;
    fn apache_write(value: &impl TSerializable, buffer: &mut Vec<u8>);
    fn apache_read<T: TSerializable>(bytes: &Bytes) -> T;
}

struct Binary;

impl Protocol for Binary {
    #[inline]
    fn write(value: &impl Value, buffer: &mut Vec<u8>) {
        value.write(&mut BinaryWriter::new(buffer, Limits::DEFAULT)).expect(SAME_BYTES);
    }

    #[inline]
    fn read<T: Value>(bytes: &Bytes) -> T {
        T::read(&mut BinaryReader::new(bytes, Limits::DEFAULT)).expect(SAME_BYTES)
    }

    #[inline]
    fn pilota_write(value: &impl Message, buffer: &mut BytesMut) {
        value.encode(&mut binary::TBinaryProtocol::new(buffer, false)).expect(SAME_BYTES);
    }

    #[inline]
    fn pilota_read<M: Message>(bytes: &Bytes) -> M {
        M::decode(&mut binary::TBinaryProtocol::new(&mut bytes.clone(), true)).expect(SAME_BYTES)
    }

    #[inline]
    fn apache_write(value: &impl TSerializable, buffer: &mut Vec<u8>) {
        value.write_to_out_protocol(&mut TBinaryOutputProtocol::new(buffer, true)).expect(SAME_BYTES);
    }

    #[inline]
    fn apache_read<T: TSerializable>(bytes: &Bytes) -> T {
        T::read_from_in_protocol(&mut TBinaryInputProtocol::new(&bytes[..], true)).expect(SAME_BYTES)
    }
}

struct Compact;

impl Protocol for Compact {
    #[inline]
    fn write(value: &impl Value, buffer: &mut Vec<u8>) {
        value.write(&mut CompactWriter::new(buffer, Limits::DEFAULT)).expect(SAME_BYTES);
    }

    #[inline]
    fn read<T: Value>(bytes: &Bytes) -> T {
        T::read(&mut CompactReader::new(bytes, Limits::DEFAULT)).expect(SAME_BYTES)
    }

    #[inline]
    fn pilota_write(value: &impl Message, buffer: &mut BytesMut) {
        value.encode(&mut compact::TCompactOutputProtocol::new(buffer, false)).expect(SAME_BYTES);
    }

    #[inline]
    fn pilota_read<M: Message>(bytes: &Bytes) -> M {
        M::decode(&mut compact::TCompactInputProtocol::new(&mut bytes.clone())).expect(SAME_BYTES)
    }

    #[inline]
    fn apache_write(value: &impl TSerializable, buffer: &mut Vec<u8>) {
        value.write_to_out_protocol(&mut TCompactOutputProtocol::new(buffer)).expect(SAME_BYTES);
    }

    #[inline]
    fn apache_read<T: TSerializable>(bytes: &Bytes) -> T {
        T::read_from_in_protocol(&mut TCompactInputProtocol::new(&bytes[..])).expect(SAME_BYTES)
    }
}

/// The messages in `protocol`.
pub(crate) fn contestants(protocol: &str, way: Way) -> Vec<Contestant> {
    match protocol {
        "binary" => all::<Binary>(way),
        "compact" => all::<Compact>(way),
        _ => unreachable!("one of PROTOCOLS"),
    }
}

fn all<P: Protocol>(way: Way) -> Vec<Contestant> {
    use {apache as a, shared as s, theirs as p};
    vec![
        contestant::<P, _, s::Small, p::Small, a::Small>("small", messages::small(), way),
        contestant::<P, _, s::Nested, p::Nested, a::Nested>("nested", messages::nested(), way),
        contestant::<P, _, s::Text, p::Text, a::Text>("text", messages::text(), way),
        contestant::<P, _, s::Blob, p::Blob, a::Blob>("64 KiB binary", messages::blob(), way),
        contestant::<P, _, s::Order, p::Order, a::Order>("order, 20 items", messages::order(), way),
    ]
}

fn contestant<P: Protocol, O, S, M, A>(name: &'static str, value: O, way: Way) -> Contestant
where
    O: Value + PartialEq + fmt::Debug + 'static,
    S: Value + 'static,
    M: Message + 'static,
    A: TSerializable + 'static,
{
    let mut buffer = Vec::new();
    P::write(&value, &mut buffer);
    let bytes = Bytes::from(buffer);
    assert_eq!(P::read::<O>(&bytes), value, "the value survives a round trip");
    // The others decode our bytes and encode as many. The order of their maps may differ.
    let shared = P::read::<S>(&bytes);
    let mut in_binary = Vec::new();
    Binary::write(&value, &mut in_binary);
    let pilota = Binary::pilota_read::<M>(&in_binary.into());
    let mut again = (Vec::new(), BytesMut::new());
    P::write(&shared, &mut again.0);
    P::pilota_write(&pilota, &mut again.1);
    assert_eq!((again.0.len(), again.1.len()), (bytes.len(), bytes.len()), "the same message");

    let apache = APACHE.then(|| {
        let apache = P::apache_read::<A>(&bytes);
        let mut again = Vec::new();
        P::apache_write(&apache, &mut again);
        assert_eq!(again.len(), bytes.len(), "the same message");
        match way {
            Way::Encode => encode(apache, Vec::new(), Vec::clear, P::apache_write),
            Way::Decode => decode(&bytes, P::apache_read::<A>),
        }
    });
    let (shared, pilota, owned) = match way {
        Way::Encode => (
            encode(shared, Vec::new(), Vec::clear, P::write),
            Some(encode(pilota, BytesMut::new(), BytesMut::clear, P::pilota_write)),
            encode(value, Vec::new(), Vec::clear, P::write),
        ),
        Way::Decode => {
            let pilota = pilota_reads::<P, M>(&bytes).then(|| decode(&bytes, P::pilota_read::<M>));
            (decode(&bytes, P::read::<S>), pilota, decode(&bytes, P::read::<O>))
        }
    };
    Contestant { name, bytes: bytes.len(), shared, pilota, owned, apache }
}

/// Whether pilota decodes the message. Its compact protocol panics in most of the code that pilota generates.
fn pilota_reads<P: Protocol, M: Message>(bytes: &Bytes) -> bool {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let reads = panic::catch_unwind(AssertUnwindSafe(|| P::pilota_read::<M>(bytes))).is_ok();
    panic::set_hook(hook);
    reads
}

fn encode<T: 'static, B: 'static>(
    value: T,
    mut buffer: B,
    clear: impl Fn(&mut B) + 'static,
    write: impl Fn(&T, &mut B) + 'static,
) -> Run {
    Box::new(move || {
        clear(&mut buffer);
        write(black_box(&value), &mut buffer);
        black_box(&buffer);
    })
}

fn decode<T>(bytes: &Bytes, read: impl Fn(&Bytes) -> T + 'static) -> Run {
    let bytes = bytes.clone();
    Box::new(move || drop(black_box(read(black_box(&bytes)))))
}
