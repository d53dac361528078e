//! What stands before fields, elements and entries.

use super::ttype::TType;

/// What stands before the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHeader {
    /// The type of the value on the wire, which need not be the declared one.
    pub ttype: TType,
    /// The id of the field.
    pub id: i16,
}

/// What stands before the elements of a list or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListHeader {
    /// The type of every element on the wire.
    pub element: TType,
    /// How many elements follow. Already checked: the rest of the message could hold as many.
    pub len: usize,
}

/// What stands before the entries of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapHeader {
    /// The type of every key on the wire.
    pub key: TType,
    /// The type of every value on the wire.
    pub value: TType,
    /// How many entries follow. Already checked: the rest of the message could hold as many.
    pub len: usize,
}
