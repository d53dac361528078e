//! The headers of fields, lists, sets and maps, as a reader returns them.

use super::ttype::TType;

/// The header of a field, which precedes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldHeader {
    /// The wire type of the value, which can differ from the declared type.
    pub ttype: TType,
    /// The id of the field.
    pub id: i16,
}

/// The header of a list or set, which precedes its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListHeader {
    /// The wire type of every element.
    pub element: TType,
    /// The number of elements. The reader has checked that the rest of the message can hold this many.
    pub len: usize,
}

/// The header of a map, which precedes its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapHeader {
    /// The wire type of every key.
    pub key: TType,
    /// The wire type of every value.
    pub value: TType,
    /// The number of entries. The reader has checked that the rest of the message can hold this many.
    pub len: usize,
}
