/**
 * Every type, container and kind of message: the golden bytes encode these, and other implementations exchange them.
 * `tests/vectors/spec.py` defines the same for Python.
 */

namespace * vectors

enum Colour {
  RED = 1,
  GREEN = 5,
  BLUE = -2,
}

struct Empty {}

/** It is also a map key. */
struct Point {
  1: i32 x,
  2: string label,
}

union Choice {
  1: i32 number,
  2: string text,
  3: Point point,
  4: list<bool> flags,
}

exception Oops {
  1: string why,
  2: i32 code,
}

/** Every implementation supports it. */
struct ApplicationException {
  1: optional string message,
  2: optional i32 type,
}

/** A field of every type. A vector sets a few of them. */
struct Everything {
  1: optional bool flag,
  2: optional i8 tiny,
  3: optional i16 small,
  4: optional i32 medium,
  5: optional i64 large,
  6: optional double real,
  7: optional string text,
  8: optional binary bytes,
  9: optional uuid id,
  10: optional Colour colour,
  11: optional Point point,
  12: optional Choice choice,
  13: optional Empty empty,
  14: optional Everything again,
  15: optional bool other_flag,
  20: optional list<bool> bools,
  21: optional list<i8> tinies,
  22: optional list<i16> smalls,
  23: optional list<i32> mediums,
  24: optional list<i64> larges,
  25: optional list<double> reals,
  26: optional list<string> texts,
  27: optional list<binary> blocks,
  28: optional list<uuid> ids,
  29: optional list<Point> points,
  30: optional list<list<i32>> lists,
  31: optional list<map<string, i32>> maps,
  32: optional list<Choice> choices,
  33: optional list<Colour> colours,
  40: optional set<bool> bool_set,
  41: optional set<i32> medium_set,
  42: optional set<string> text_set,
  43: optional set<double> real_set,
  44: optional set<uuid> id_set,
  50: optional map<string, string> by_text,
  51: optional map<i32, i64> by_medium,
  52: optional map<bool, i8> by_flag,
  53: optional map<double, i16> by_real,
  54: optional map<uuid, binary> by_id,
  55: optional map<i64, list<Point>> by_large,
  56: optional map<Point, i32> by_point,
  57: optional map<i8, map<string, set<i32>>> by_tiny,
  58: optional map<Colour, bool> by_colour,
  /** Steps of 14, 15, 16 and more between ids: the compact protocol changes its field header between them. */
  72: optional i32 gap_14,
  87: optional i32 gap_15,
  103: optional i32 gap_16,
  120: optional bool gap_17,
  300: optional i32 far,
  32767: optional bool farthest,
}
