// What `bench codec` encodes and decodes. Each generator reads this file; fields are required where they can be, since
// generators differ in what they make of the others.

namespace * codec

/** A few numbers and a short name. */
struct Small {
  1: required i32 id,
  2: required i64 stamp,
  3: required bool on,
  4: required double value,
  5: required string name,
}

/** As in ThriftTest, with the same wire form. */
struct Xtruct {
  1: required string string_thing,
  4: required i8 byte_thing,
  9: required i32 i32_thing,
  11: required i64 i64_thing,
}

/** As in ThriftTest. */
struct Xtruct2 {
  1: required i8 byte_thing,
  2: required Xtruct struct_thing,
  3: required i32 i32_thing,
}

/** Structs in structs, in lists and in maps: the shape of ThriftTest's Insanity. */
struct Nested {
  1: required map<i32, i64> user_map,
  2: required list<Xtruct> xtructs,
  3: required Xtruct2 inner,
  4: required map<i64, Xtruct2> by_user,
}

/** Nearly all of it is text. */
struct Text {
  1: required string title,
  2: required list<string> paragraphs,
  3: required map<string, string> headers,
  4: optional string note,
}

/** A large block. */
struct Blob {
  1: required string name,
  2: required binary data,
}

struct Item {
  1: required string sku,
  2: required string name,
  3: required i32 quantity,
  4: required double price,
  5: required list<string> tags,
  6: required map<string, string> attributes,
  7: optional string note,
  8: required list<i64> stock,
}

/** Twenty items of strings, lists and maps. */
struct Order {
  1: required i64 id,
  2: required string customer,
  3: required list<Item> items,
  4: required map<string, double> totals,
  5: required bool paid,
  6: optional string comment,
}
