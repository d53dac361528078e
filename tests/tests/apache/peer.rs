//! Adapts Apache's Rust crate to our traits, so that it encodes and decodes any value.

use std::borrow::Cow;

use bytes::Bytes;
use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TCompactInputProtocol, TCompactOutputProtocol,
    TFieldIdentifier, TInputProtocol, TListIdentifier, TMapIdentifier, TMessageIdentifier, TMessageType,
    TOutputProtocol, TSetIdentifier, TStructIdentifier, TType as ApacheType,
};
use thrift_nats_runtime::Protocol;
use thrift_nats_runtime::Uuid;
use thrift_nats_runtime::protocol::{
    DecodeError, DecodeErrorKind, EncodeError, FieldHeader, InputProtocol, ListHeader, MapHeader,
    MessageHeader, MessageType, OutputProtocol, TType, Value,
};

/// A value, encoded by Apache's crate.
pub(crate) fn apache_bytes(protocol: Protocol, value: &impl Value) -> Vec<u8> {
    written(protocol, true, |output| value.write(output).expect("the value is sound"))
}

/// A message, encoded by Apache's crate. `strict` selects the binary protocol with a version.
pub(crate) fn apache_message(
    protocol: Protocol,
    strict: bool,
    header: &MessageHeader<'_>,
    body: &impl Value,
) -> Vec<u8> {
    written(protocol, strict, |output| {
        output.message_begin(header).expect("the name is short");
        body.write(output).expect("the value is sound");
        output.message_end();
    })
}

/// A value, decoded by Apache's crate from all of the bytes.
pub(crate) fn apache_value<T: Value>(protocol: Protocol, bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let value = match protocol {
        Protocol::Binary => T::read(&mut Reader(&mut TBinaryInputProtocol::new(&mut rest, true))),
        Protocol::Compact => T::read(&mut Reader(&mut TCompactInputProtocol::new(&mut rest))),
        other => panic!("Apache's crate has no {other}"),
    }?;
    assert!(rest.is_empty(), "bytes are left over");
    Ok(value)
}

fn written(protocol: Protocol, strict: bool, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    match protocol {
        Protocol::Binary => write(&mut Writer(&mut TBinaryOutputProtocol::new(&mut bytes, strict))),
        Protocol::Compact => write(&mut Writer(&mut TCompactOutputProtocol::new(&mut bytes))),
        other => panic!("Apache's crate has no {other}"),
    }
    bytes
}

const IN_MEMORY: &str = "it writes to memory";

struct Writer<'a>(&'a mut dyn TOutputProtocol);

impl OutputProtocol for Writer<'_> {
    fn message_begin(&mut self, header: &MessageHeader<'_>) -> Result<(), EncodeError> {
        let kind = match header.kind {
            MessageType::Call => TMessageType::Call,
            MessageType::Reply => TMessageType::Reply,
            MessageType::Exception => TMessageType::Exception,
            MessageType::Oneway => TMessageType::OneWay,
        };
        let header = TMessageIdentifier::new(header.name.as_ref(), kind, header.seqid);
        self.0.write_message_begin(&header).expect(IN_MEMORY);
        Ok(())
    }

    fn message_end(&mut self) {
        self.0.write_message_end().expect(IN_MEMORY);
    }

    fn struct_begin(&mut self) -> Result<(), EncodeError> {
        self.0.write_struct_begin(&TStructIdentifier::new("")).expect(IN_MEMORY);
        Ok(())
    }

    fn struct_end(&mut self) {
        self.0.write_field_stop().expect(IN_MEMORY);
        self.0.write_struct_end().expect(IN_MEMORY);
    }

    fn field_begin(&mut self, ttype: TType, id: i16) {
        self.0.write_field_begin(&TFieldIdentifier::new("", to_apache(ttype), id)).expect(IN_MEMORY);
    }

    fn field_end(&mut self) {
        self.0.write_field_end().expect(IN_MEMORY);
    }

    fn list_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.0.write_list_begin(&TListIdentifier::new(to_apache(element), count(len))).expect(IN_MEMORY);
        Ok(())
    }

    fn list_end(&mut self) {
        self.0.write_list_end().expect(IN_MEMORY);
    }

    fn set_begin(&mut self, element: TType, len: usize) -> Result<(), EncodeError> {
        self.0.write_set_begin(&TSetIdentifier::new(to_apache(element), count(len))).expect(IN_MEMORY);
        Ok(())
    }

    fn set_end(&mut self) {
        self.0.write_set_end().expect(IN_MEMORY);
    }

    fn map_begin(&mut self, key: TType, value: TType, len: usize) -> Result<(), EncodeError> {
        let header = TMapIdentifier::new(to_apache(key), to_apache(value), count(len));
        self.0.write_map_begin(&header).expect(IN_MEMORY);
        Ok(())
    }

    fn map_end(&mut self) {
        self.0.write_map_end().expect(IN_MEMORY);
    }

    fn bool(&mut self, value: bool) {
        self.0.write_bool(value).expect(IN_MEMORY);
    }

    fn i8(&mut self, value: i8) {
        self.0.write_i8(value).expect(IN_MEMORY);
    }

    fn i16(&mut self, value: i16) {
        self.0.write_i16(value).expect(IN_MEMORY);
    }

    fn i32(&mut self, value: i32) {
        self.0.write_i32(value).expect(IN_MEMORY);
    }

    fn i64(&mut self, value: i64) {
        self.0.write_i64(value).expect(IN_MEMORY);
    }

    fn double(&mut self, value: f64) {
        self.0.write_double(value).expect(IN_MEMORY);
    }

    fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        self.0.write_string(value).expect(IN_MEMORY);
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        self.0.write_bytes(value).expect(IN_MEMORY);
        Ok(())
    }

    fn uuid(&mut self, value: Uuid) {
        self.0.write_uuid(&value).expect(IN_MEMORY);
    }
}

struct Reader<'a>(&'a mut dyn TInputProtocol);

/// Panics with Apache's error, because our errors have no variant for it.
fn failed(error: thrift::Error) -> DecodeError {
    eprintln!("Apache's crate: {error}");
    DecodeErrorKind::UnexpectedEnd.into()
}

impl InputProtocol for Reader<'_> {
    fn message_begin(&mut self) -> Result<MessageHeader<'_>, DecodeError> {
        let header = self.0.read_message_begin().map_err(failed)?;
        let kind = match header.message_type {
            TMessageType::Call => MessageType::Call,
            TMessageType::Reply => MessageType::Reply,
            TMessageType::Exception => MessageType::Exception,
            TMessageType::OneWay => MessageType::Oneway,
        };
        Ok(MessageHeader { name: header.name.into(), kind, seqid: header.sequence_number })
    }

    fn message_end(&mut self) -> Result<(), DecodeError> {
        self.0.read_message_end().map_err(failed)
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn struct_begin(&mut self) -> Result<(), DecodeError> {
        self.0.read_struct_begin().map(drop).map_err(failed)
    }

    fn struct_end(&mut self) {
        self.0.read_struct_end().expect("it only goes back to the struct around it");
    }

    fn field_begin(&mut self) -> Result<Option<FieldHeader>, DecodeError> {
        let field = self.0.read_field_begin().map_err(failed)?;
        if field.field_type == ApacheType::Stop {
            return Ok(None);
        }
        let id = field.id.expect("all but the last have an id");
        Ok(Some(FieldHeader { ttype: from_apache(field.field_type), id }))
    }

    fn list_begin(&mut self) -> Result<ListHeader, DecodeError> {
        let list = self.0.read_list_begin().map_err(failed)?;
        Ok(ListHeader { element: from_apache(list.element_type), len: len(list.size) })
    }

    fn list_end(&mut self) -> Result<(), DecodeError> {
        self.0.read_list_end().map_err(failed)
    }

    fn set_begin(&mut self) -> Result<ListHeader, DecodeError> {
        let set = self.0.read_set_begin().map_err(failed)?;
        Ok(ListHeader { element: from_apache(set.element_type), len: len(set.size) })
    }

    fn set_end(&mut self) -> Result<(), DecodeError> {
        self.0.read_set_end().map_err(failed)
    }

    fn map_begin(&mut self) -> Result<MapHeader, DecodeError> {
        let map = self.0.read_map_begin().map_err(failed)?;
        // The compact protocol omits the types of an empty map.
        let ttype = |ttype: Option<ApacheType>| ttype.map_or(TType::I8, from_apache);
        Ok(MapHeader { key: ttype(map.key_type), value: ttype(map.value_type), len: len(map.size) })
    }

    fn map_end(&mut self) -> Result<(), DecodeError> {
        self.0.read_map_end().map_err(failed)
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.0.read_bool().map_err(failed)
    }

    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.0.read_i8().map_err(failed)
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.0.read_i16().map_err(failed)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.0.read_i32().map_err(failed)
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.0.read_i64().map_err(failed)
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.0.read_double().map_err(failed)
    }

    fn string(&mut self) -> Result<Cow<'_, str>, DecodeError> {
        self.0.read_string().map(Cow::Owned).map_err(failed)
    }

    fn binary(&mut self) -> Result<Bytes, DecodeError> {
        self.0.read_bytes().map(Bytes::from).map_err(failed)
    }

    fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.0.read_uuid().map_err(failed)
    }

    fn skip(&mut self, ttype: TType) -> Result<(), DecodeError> {
        self.0.skip(to_apache(ttype)).map_err(failed)
    }
}

fn count(len: usize) -> i32 {
    len.try_into().expect("a small container")
}

fn len(count: i32) -> usize {
    count.try_into().expect("no negative count")
}

const fn to_apache(ttype: TType) -> ApacheType {
    match ttype {
        TType::Bool => ApacheType::Bool,
        TType::I8 => ApacheType::I08,
        TType::Double => ApacheType::Double,
        TType::I16 => ApacheType::I16,
        TType::I32 => ApacheType::I32,
        TType::I64 => ApacheType::I64,
        TType::String => ApacheType::String,
        TType::Struct => ApacheType::Struct,
        TType::Map => ApacheType::Map,
        TType::Set => ApacheType::Set,
        TType::List => ApacheType::List,
        TType::Uuid => ApacheType::Uuid,
    }
}

fn from_apache(ttype: ApacheType) -> TType {
    match ttype {
        ApacheType::Bool => TType::Bool,
        ApacheType::I08 => TType::I8,
        ApacheType::Double => TType::Double,
        ApacheType::I16 => TType::I16,
        ApacheType::I32 => TType::I32,
        ApacheType::I64 => TType::I64,
        ApacheType::String => TType::String,
        ApacheType::Struct => TType::Struct,
        ApacheType::Map => TType::Map,
        ApacheType::Set => TType::Set,
        ApacheType::List => TType::List,
        ApacheType::Uuid => TType::Uuid,
        other => panic!("no type of a value: {other}"),
    }
}
