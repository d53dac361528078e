//! Unknown fields that are kept and written back: the runtime part of the generator's option `keep_unknown_fields`.
//!
//! Owns the bytes of the kept fields. Never interprets them beyond their wire types. Generated code calls
//! [`Field::keep`] for each unknown field when it reads a struct, and [`UnknownFields::write`] after the struct's own
//! fields when it writes one.

use std::fmt;

use bytes::Bytes;

use super::{
    BinaryReader, BinaryWriter, DecodeError, DecodeErrorKind, DecodeResult, EncodeError, EncodeErrorKind,
    EncodeResult, Field, InputProtocol, Limits, OutputProtocol, TType, Value,
};

/// The fields of a received value that its type does not have, or has with another wire type. They are written back after
/// the type's own fields, in the order in which they were received, in any protocol.
///
/// The fields are stored in the binary protocol, which takes at most eight times the received bytes. Two values are equal
/// if they have the same fields with the same values in the same order.
///
/// `string` and `binary` have one wire type, and only JSON writes them differently. A field received in JSON is kept as its
/// text. A field received in another protocol is written to JSON as a string if it is UTF-8, and as Base64 otherwise.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownFields {
    /// The fields in the binary protocol, without the stop byte of a struct.
    fields: Vec<u8>,
}

/// The limits of the input apply when fields are kept, and those of the output when they are written.
const NO_LIMITS: Limits = Limits {
    message: usize::MAX,
    string: usize::MAX,
    container: usize::MAX,
    name: usize::MAX,
    header: usize::MAX,
    depth: usize::MAX,
    memory: usize::MAX,
};

const KEPT: &str = "kept fields were written by `Field::keep`";

impl UnknownFields {
    /// Whether no field was kept.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.fields.clear();
    }

    /// The id and the wire type of each field, in the order in which they were received.
    pub fn ids(&self) -> Vec<(i16, TType)> {
        let message = Bytes::copy_from_slice(&self.fields);
        let mut input = BinaryReader::new(&message, NO_LIMITS);
        let mut ids = Vec::new();
        while !input.rest().is_empty() {
            let Some(field) = input.field_begin().expect(KEPT) else { break };
            input.skip(field.ttype).expect(KEPT);
            ids.push((field.id, field.ttype));
        }
        ids
    }

    /// Writes the fields into the struct that `output` is writing.
    ///
    /// # Errors
    /// If a field exceeds the limits of `output`.
    pub fn write<O: OutputProtocol>(&self, output: &mut O) -> EncodeResult {
        if self.fields.is_empty() {
            return Ok(());
        }
        let message = Bytes::copy_from_slice(&self.fields);
        let mut input = BinaryReader::new(&message, NO_LIMITS);
        while !input.rest().is_empty() {
            let Some(field) = input.field_begin().expect(KEPT) else { break };
            output.field_begin(field.ttype, field.id);
            match copy(field.ttype, &mut input, output) {
                Ok(()) => output.field_end(),
                Err(Stopped::Writing(error)) => return Err(error),
                Err(Stopped::Reading(error)) => unreachable!("{KEPT}: {error}"),
            }
        }
        Ok(())
    }
}

/// Shows the ids and wire types of the fields, without their values.
impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids().into_iter().map(|(id, ttype)| format!("{id}: {ttype}"))).finish()
    }
}

impl<I: InputProtocol> Field<'_, I> {
    /// Appends the field to `into`, which is unchanged after an error.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn keep(self, into: &mut UnknownFields) -> DecodeResult<()> {
        let start = into.fields.len();
        let mut output = BinaryWriter::new(&mut into.fields, NO_LIMITS);
        output.field_begin(self.ttype, self.id);
        let copied = copy(self.ttype, self.input, &mut output);
        copied.map_err(|stopped| {
            into.fields.truncate(start);
            match stopped {
                Stopped::Reading(error) => error,
                Stopped::Writing(error) => match *error.kind() {
                    EncodeErrorKind::TooLong { what, len, limit } => {
                        DecodeErrorKind::TooLong { what, len: len as u64, limit: limit as u64 }.into()
                    }
                    EncodeErrorKind::TooDeep { limit } => DecodeErrorKind::TooDeep { limit }.into(),
                    EncodeErrorKind::UnknownUnionField { .. } => {
                        unreachable!("copying does not write unions")
                    }
                },
            }
        })
    }

    /// Like [`read`](Self::read), but keeps a value of another wire type than that of `T`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_or_keep<T: Value>(
        self,
        name: &'static str,
        into: &mut T,
        unknown: &mut UnknownFields,
    ) -> DecodeResult<()> {
        if self.ttype == T::TTYPE { self.read(name, into) } else { self.keep(unknown) }
    }

    /// Like [`read_optional`](Self::read_optional), but keeps a value of another wire type than that of `T`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_optional_or_keep<T: Value>(
        self,
        name: &'static str,
        into: &mut Option<T>,
        unknown: &mut UnknownFields,
    ) -> DecodeResult<()> {
        if self.ttype == T::TTYPE { self.read_optional(name, into) } else { self.keep(unknown) }
    }

    /// Like [`read_required`](Self::read_required), but keeps a value of another wire type than that of `T`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_required_or_keep<T: Value>(
        self,
        name: &'static str,
        into: &mut T,
        seen: &mut bool,
        unknown: &mut UnknownFields,
    ) -> DecodeResult<()> {
        if self.ttype == T::TTYPE { self.read_required(name, into, seen) } else { self.keep(unknown) }
    }

    /// Like [`read_variant`](Self::read_variant), but keeps a value of another wire type than that of `T`.
    ///
    /// # Errors
    /// See [`DecodeError`].
    #[inline]
    pub fn read_variant_or_keep<T: Value, U>(
        self,
        name: &'static str,
        make: impl FnOnce(T) -> U,
        unknown: impl FnOnce(UnknownFields) -> U,
    ) -> DecodeResult<U> {
        if self.ttype != T::TTYPE {
            return self.keep_variant(unknown);
        }
        T::read(self.input).map(make).map_err(|error| error.in_field(name))
    }

    /// Keeps an unknown field of a union. `unknown` turns the kept field into the union.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn keep_variant<U>(self, unknown: impl FnOnce(UnknownFields) -> U) -> DecodeResult<U> {
        let mut fields = UnknownFields::default();
        self.keep(&mut fields)?;
        Ok(unknown(fields))
    }
}

/// The error of [`copy`].
enum Stopped {
    Reading(DecodeError),
    Writing(EncodeError),
}

impl From<DecodeError> for Stopped {
    fn from(error: DecodeError) -> Self {
        Self::Reading(error)
    }
}

impl From<EncodeError> for Stopped {
    fn from(error: EncodeError) -> Self {
        Self::Writing(error)
    }
}

/// Copies a value of any type. The depth limits of `input` and `output` bound the recursion.
fn copy<I: InputProtocol, O: OutputProtocol>(
    ttype: TType,
    input: &mut I,
    output: &mut O,
) -> Result<(), Stopped> {
    match ttype {
        TType::Bool => output.bool(input.bool()?),
        TType::I8 => output.i8(input.i8()?),
        TType::I16 => output.i16(input.i16()?),
        TType::I32 => output.i32(input.i32()?),
        TType::I64 => output.i64(input.i64()?),
        TType::Double => output.double(input.double()?),
        TType::Uuid => output.uuid(input.uuid()?),
        TType::String => output.string_or_binary(&input.string_or_binary()?)?,
        TType::Struct => {
            input.struct_begin()?;
            output.struct_begin()?;
            while let Some(field) = input.field_begin()? {
                output.field_begin(field.ttype, field.id);
                copy(field.ttype, input, output)?;
                output.field_end();
            }
            input.struct_end();
            output.struct_end();
        }
        TType::List => {
            let list = input.list_begin()?;
            output.list_begin(list.element, list.len)?;
            (0..list.len).try_for_each(|_| copy(list.element, input, output))?;
            input.list_end()?;
            output.list_end();
        }
        TType::Set => {
            let set = input.set_begin()?;
            output.set_begin(set.element, set.len)?;
            (0..set.len).try_for_each(|_| copy(set.element, input, output))?;
            input.set_end()?;
            output.set_end();
        }
        TType::Map => {
            let map = input.map_begin()?;
            output.map_begin(map.key, map.value, map.len)?;
            for _ in 0..map.len {
                copy(map.key, input, output)?;
                copy(map.value, input, output)?;
            }
            input.map_end()?;
            output.map_end();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Protocol;
    use crate::protocol::tree::{Tree, any_protocol};
    use crate::protocol::{from_bytes, from_bytes_with_limits, to_bytes, to_bytes_with_limits};

    /// A struct without fields, which keeps every field that it reads.
    #[derive(Debug, PartialEq)]
    struct KeepsAll(UnknownFields);

    impl Value for KeepsAll {
        const TTYPE: TType = TType::Struct;

        fn write<O: OutputProtocol>(&self, output: &mut O) -> EncodeResult {
            output.struct_begin()?;
            self.0.write(output)?;
            output.struct_end();
            Ok(())
        }

        fn read<I: InputProtocol>(input: &mut I) -> DecodeResult<Self> {
            let mut kept = UnknownFields::default();
            input.read_struct(|field| field.keep(&mut kept))?;
            Ok(Self(kept))
        }
    }

    fn keep_all(protocol: Protocol, bytes: Vec<u8>) -> KeepsAll {
        from_bytes(protocol, bytes).unwrap()
    }

    proptest! {
        #[test]
        fn every_unknown_field_is_written_back(tree in Tree::any_struct(), protocol in any_protocol()) {
            let bytes = tree.bytes(protocol);
            let kept = keep_all(protocol, bytes.clone());
            prop_assert!(kept.0.fields.len() <= 8 * bytes.len());
            let wanted = tree.read_back(protocol).bytes(protocol);
            prop_assert_eq!(&to_bytes(protocol, &kept).unwrap(), &wanted);
        }

        #[test]
        fn fields_survive_binary_to_compact_to_binary(tree in Tree::any_struct()) {
            let kept = keep_all(Protocol::Binary, tree.bytes(Protocol::Binary));
            let compact = to_bytes(Protocol::Compact, &kept).unwrap();
            prop_assert_eq!(&compact, &tree.bytes(Protocol::Compact));
            let back = to_bytes(Protocol::Binary, &keep_all(Protocol::Compact, compact.to_vec())).unwrap();
            prop_assert_eq!(back, tree.read_back(Protocol::Compact).bytes(Protocol::Binary));
        }

        #[test]
        fn kept_fields_of_arbitrary_bytes_can_be_written(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            protocol in any_protocol(),
        ) {
            if let Ok(kept) = from_bytes::<KeepsAll>(protocol, bytes) {
                prop_assert!(to_bytes(Protocol::Binary, &kept).is_ok());
            }
        }
    }

    #[test]
    fn json_strings_stay_strings_and_other_bytes_become_base64() {
        let json = br#"{"1":{"str":"a\"/"},"2":{"i32":5}}"#.to_vec();
        let kept = keep_all(Protocol::Json, json.clone());
        assert_eq!(kept.0.ids(), [(1, TType::String), (2, TType::I32)]);
        assert_eq!(format!("{:?}", kept.0), r#"["1: string", "2: i32"]"#);
        assert_eq!(to_bytes(Protocol::Json, &kept).unwrap(), json);
        let binary = to_bytes(Protocol::Binary, &kept).unwrap();
        assert_eq!(to_bytes(Protocol::Json, &keep_all(Protocol::Binary, binary.to_vec())).unwrap(), json);
        let tree = Tree::Struct(vec![(1, Tree::String(vec![0xff, 0xfe]))]);
        let kept = keep_all(Protocol::Binary, tree.binary());
        let text = to_bytes(Protocol::Json, &kept).unwrap();
        assert_eq!(text, tree.bytes(Protocol::Json));
    }

    #[test]
    fn depth_limit_applies_to_keeping_and_to_writing() {
        let deep = (0..10).fold(Tree::Bool(true), |inner, _| Tree::List(inner.ttype(), vec![inner]));
        let bytes = Bytes::from(Tree::Struct(vec![(1, deep)]).binary());
        let shallow = Limits::DEFAULT.with_depth(8);
        assert!(from_bytes_with_limits::<KeepsAll>(Protocol::Binary, bytes.clone(), shallow).is_err());
        let kept: KeepsAll = from_bytes(Protocol::Binary, bytes).unwrap();
        let error = to_bytes_with_limits(Protocol::Compact, &kept, shallow).unwrap_err();
        assert_eq!(*error.kind(), EncodeErrorKind::TooDeep { limit: 8 });
    }
}
