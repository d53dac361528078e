//! Implementations of [`Value`] for base types and containers.
//!
//! Owns the checks of element types and the memory that containers reserve. Never interprets bytes: the protocols do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use bytes::Bytes;
use ordered_float::OrderedFloat;
use uuid::Uuid;

use super::{DecodeError, DecodeErrorKind, EncodeError, InputProtocol, OutputProtocol, TType, Value};

macro_rules! number {
    ($($type:ty: $ttype:ident, $method:ident;)*) => {$(
        impl Value for $type {
            const TTYPE: TType = TType::$ttype;

            #[inline]
            fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
                output.$method(*self);
                Ok(())
            }

            #[inline]
            fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
                input.$method()
            }
        }
    )*};
}

number! {
    bool: Bool, bool;
    i8: I8, i8;
    i16: I16, i16;
    i32: I32, i32;
    i64: I64, i64;
    f64: Double, double;
    Uuid: Uuid, uuid;
}

impl Value for OrderedFloat<f64> {
    const TTYPE: TType = TType::Double;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.double(self.0);
        Ok(())
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        input.double().map(Self)
    }
}

impl Value for String {
    const TTYPE: TType = TType::String;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.string(self)
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        input.string().map(std::borrow::Cow::into_owned)
    }
}

/// A string of up to 4 KiB is copied, inline if it is short. A longer one is a slice of the message.
#[cfg(feature = "faststr")]
impl Value for faststr::FastStr {
    const TTYPE: TType = TType::String;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.string(self)
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        match input.shared_string()? {
            super::SharedText::Checked(text) => Ok(Self::new(text)),
            super::SharedText::Unchecked(bytes) => {
                Self::from_bytes(bytes).map_err(|_| DecodeErrorKind::InvalidUtf8.into())
            }
        }
    }
}

/// A value of up to 4 KiB is copied. A longer one is a slice of the message, and keeps all of its memory: copy a part of it
/// that is to be kept for long.
impl Value for Bytes {
    const TTYPE: TType = TType::String;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        output.shared_binary(self)
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        input.binary()
    }
}

impl<T: Value> Value for Box<T> {
    const TTYPE: TType = T::TTYPE;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        (**self).write(output)
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        input.take_memory(size_of::<T>())?;
        T::read(input).map(Self::new)
    }
}

/// The most memory to reserve before the first element has been read, in bytes. A peer can announce one element for each
/// byte of its message, and elements are larger in memory.
const FIRST_RESERVE: usize = 16 * 1024;

const fn first_capacity<T>(len: usize) -> usize {
    let most = match size_of::<T>() {
        0 => len,
        size => FIRST_RESERVE / size + 1,
    };
    if len < most { len } else { most }
}

/// The memory of `len` elements, in bytes.
const fn memory<T>(len: usize) -> usize {
    len.saturating_mul(size_of::<T>())
}

/// Fails if the elements do not have the wire type `expected`. An empty container can have any.
#[inline]
fn check_type(expected: TType, found: TType, len: usize) -> Result<(), DecodeError> {
    if expected != found && len != 0 {
        return Err(DecodeErrorKind::UnexpectedType { expected, found }.into());
    }
    Ok(())
}

/// Writes the elements of a list, which a client may have borrowed.
#[inline]
pub(crate) fn write_list<T: Value, O: OutputProtocol>(
    elements: &[T],
    output: &mut O,
) -> Result<(), EncodeError> {
    output.list_begin(T::TTYPE, elements.len())?;
    for (index, element) in elements.iter().enumerate() {
        element.write(output).map_err(|error| error.in_element(index))?;
    }
    output.list_end();
    Ok(())
}

impl<T: Value> Value for Vec<T> {
    const TTYPE: TType = TType::List;

    #[inline]
    fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
        write_list(self, output)
    }

    #[inline]
    fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
        let list = input.list_begin()?;
        check_type(T::TTYPE, list.element, list.len)?;
        input.take_memory(memory::<T>(list.len))?;
        let mut elements = Self::with_capacity(first_capacity::<T>(list.len));
        for index in 0..list.len {
            elements.push(T::read(input).map_err(|error| error.in_element(index))?);
        }
        input.list_end()?;
        Ok(elements)
    }
}

macro_rules! set {
    ($type:ty, $make:expr, [$($bounds:tt)*]) => {
        impl<$($bounds)*> Value for $type {
            const TTYPE: TType = TType::Set;

            #[inline]
            fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
                output.set_begin(T::TTYPE, self.len())?;
                for (index, element) in self.iter().enumerate() {
                    element.write(output).map_err(|error| error.in_element(index))?;
                }
                output.set_end();
                Ok(())
            }

            #[inline]
            fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
                let set = input.set_begin()?;
                check_type(T::TTYPE, set.element, set.len)?;
                input.take_memory(memory::<T>(set.len))?;
                let mut elements = $make(set.len);
                for index in 0..set.len {
                    elements.insert(T::read(input).map_err(|error| error.in_element(index))?);
                }
                input.set_end()?;
                Ok(elements)
            }
        }
    };
}

set!(BTreeSet<T>, |_| BTreeSet::new(), [T: Value + Ord]);
set!(
    HashSet<T, S>,
    |len| HashSet::with_capacity_and_hasher(first_capacity::<T>(len), S::default()),
    [T: Value + Eq + Hash, S: BuildHasher + Default]
);

macro_rules! map {
    ($type:ty, $make:expr, [$($bounds:tt)*]) => {
        impl<$($bounds)*> Value for $type {
            const TTYPE: TType = TType::Map;

            #[inline]
            fn write<O: OutputProtocol>(&self, output: &mut O) -> Result<(), EncodeError> {
                output.map_begin(K::TTYPE, V::TTYPE, self.len())?;
                for (index, (key, value)) in self.iter().enumerate() {
                    key.write(output).map_err(|error| error.in_element(index))?;
                    value.write(output).map_err(|error| error.in_element(index))?;
                }
                output.map_end();
                Ok(())
            }

            #[inline]
            fn read<I: InputProtocol>(input: &mut I) -> Result<Self, DecodeError> {
                let map = input.map_begin()?;
                check_type(K::TTYPE, map.key, map.len)?;
                check_type(V::TTYPE, map.value, map.len)?;
                input.take_memory(memory::<(K, V)>(map.len))?;
                let mut entries = $make(map.len);
                for index in 0..map.len {
                    let key = K::read(input).map_err(|error| error.in_element(index))?;
                    let value = V::read(input).map_err(|error| error.in_element(index))?;
                    entries.insert(key, value);
                }
                input.map_end()?;
                Ok(entries)
            }
        }
    };
}

map!(BTreeMap<K, V>, |_| BTreeMap::new(), [K: Value + Ord, V: Value]);
map!(
    HashMap<K, V, S>,
    |len| HashMap::with_capacity_and_hasher(first_capacity::<(K, V)>(len), S::default()),
    [K: Value + Eq + Hash, V: Value, S: BuildHasher + Default]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_capacity_is_bounded_in_bytes() {
        fn bytes<T>(len: usize) -> usize {
            first_capacity::<T>(len) * size_of::<T>()
        }
        assert!(bytes::<u8>(usize::MAX) <= FIRST_RESERVE + 1);
        assert!(bytes::<String>(usize::MAX) <= FIRST_RESERVE + size_of::<String>());
        assert!(bytes::<[u8; 1000]>(usize::MAX) <= FIRST_RESERVE + 1000);
        assert_eq!(first_capacity::<[u8; 1_000_000]>(usize::MAX), 1, "at least one");
        assert_eq!(first_capacity::<()>(1_000_000), 1_000_000, "of size zero");
        assert_eq!(first_capacity::<String>(3), 3, "not more than announced");
        assert_eq!(first_capacity::<String>(0), 0);
    }
}
