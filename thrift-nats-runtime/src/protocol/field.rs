//! A field of a struct that is being read.

use super::{DecodeResult, FieldHeader, InputProtocol, TType, Value};

/// A field of a struct, whose value is to be read or skipped.
#[derive(Debug)]
#[must_use = "the value has to be read or skipped"]
pub struct Field<'a, I> {
    /// The id of the field.
    pub id: i16,
    pub(super) ttype: TType,
    pub(super) input: &'a mut I,
}

impl<'a, I: InputProtocol> Field<'a, I> {
    pub(super) const fn new(header: FieldHeader, input: &'a mut I) -> Self {
        Self { id: header.id, ttype: header.ttype, input }
    }

    /// Reads the value of the field `name`. One of another type than `T` is skipped, as an unknown field is.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError); the name is in its path.
    #[inline]
    pub fn read<T: Value>(self, name: &'static str, into: &mut T) -> DecodeResult<()> {
        if self.ttype != T::TTYPE {
            return self.skip();
        }
        *into = T::read(self.input).map_err(|error| error.in_field(name))?;
        Ok(())
    }

    /// As [`read`](Self::read), for an optional field.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError).
    #[inline]
    pub fn read_optional<T: Value>(self, name: &'static str, into: &mut Option<T>) -> DecodeResult<()> {
        if self.ttype != T::TTYPE {
            return self.skip();
        }
        *into = Some(T::read(self.input).map_err(|error| error.in_field(name))?);
        Ok(())
    }

    /// As [`read`](Self::read), for a required field; `seen` says that it was there.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError).
    #[inline]
    pub fn read_required<T: Value>(
        self,
        name: &'static str,
        into: &mut T,
        seen: &mut bool,
    ) -> DecodeResult<()> {
        *seen |= self.ttype == T::TTYPE;
        self.read(name, into)
    }

    /// As [`read`](Self::read), for the field of a union, which `make` makes one of.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError).
    #[inline]
    pub fn read_variant<T: Value, U>(
        self,
        name: &'static str,
        make: impl FnOnce(T) -> U,
        unknown: impl FnOnce(i16) -> U,
    ) -> DecodeResult<U> {
        if self.ttype != T::TTYPE {
            return self.skip_variant(unknown);
        }
        T::read(self.input).map(make).map_err(|error| error.in_field(name))
    }

    /// Skips the field of a union that it does not know.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError).
    #[inline]
    pub fn skip_variant<U>(self, unknown: impl FnOnce(i16) -> U) -> DecodeResult<U> {
        let id = self.id;
        self.skip().map(|()| unknown(id))
    }

    /// Reads the value, and drops it.
    ///
    /// # Errors
    /// See [`DecodeError`](super::DecodeError).
    #[inline]
    pub fn skip(self) -> DecodeResult<()> {
        self.input.skip(self.ttype)
    }
}
