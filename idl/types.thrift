/** Every kind of definition and every kind of value, for the tests of generated code. */
include "shared.thrift"

namespace rs types.all

typedef i32 Count
typedef list<Count> Counts
typedef double Degrees

enum Colour {
  RED,
  GREEN = 5,
  /** Comes after green. */
  Blue,
  ALSO_GREEN = 5 (deprecated = "say `GREEN`"),
}

const bool YES = true
const i8 SMALL = -128
const i16 HEX = 0x7f
const i64 LARGE = -9223372036854775808
const double THIRD = 0.3333333333333333
const double TINY = 5e-324
const double WHOLE = 7
const string TEXT = "a \"quoted\" tab\tand ü"
const binary BYTES = "raw"
const uuid ID = "00112233-4455-6677-8899-aabbccddeeff"
const Colour FAVOURITE = Colour.Blue
const Count LIMIT = 10
const i64 LIMIT_AS_LONG = LIMIT
const list<string> WORDS = ["one", 'two']
const set<i32> PRIMES = [2, 3, 5]
const map<string, list<Count>> TABLE = {"a": [1, LIMIT], "b": []}
const map<double, bool> BY_DOUBLE = {1.5: true}
const Point ORIGIN = {}
const Point CORNER = {"x": 3, "label": "corner"}
const Shape ROUND = {"circle": 2.5}
const list<string> SAME_WORDS = WORDS

struct Point {
  1: required i32 x = 1,
  2: i32 y,
  3: optional string label,
}

struct Defaults {
  1: bool yes = YES,
  2: i8 small = 7,
  3: i16 medium = 300,
  4: Count count = LIMIT,
  5: i64 long = LARGE,
  6: double number = THIRD,
  7: string text = TEXT,
  8: binary bytes = BYTES,
  9: uuid id = ID,
  10: Colour colour = Colour.GREEN,
  11: list<string> words = WORDS,
  12: set<Colour> colours = [Colour.RED, 5],
  13: map<string, Counts> table = TABLE,
  14: Point point = {"x": 4, "y": 5},
  15: Shape shape = {"point": {"x": 9}},
  16: optional i32 maybe = 3,
  17: optional string nothing,
}

union Shape {
  1: double circle,
  2: Point point,
  3: list<Shape> many,
  4: string name,
}

/** A required field after one with an implicit id. */
struct Strict {
  i32 implicit,
  1: required string must,
  2: required Shape shape,
}

struct Tree {
  1: i32 value,
  2: optional Tree left,
  3: Tree right,
  4: list<Tree> children,
  5: optional Branch branch,
}

struct Branch {
  1: Tree & tree,
  2: optional Branch next,
}

union Either {
  1: Either nested,
  2: bool leaf,
}

/** Doubles and containers in keys. */
struct Keys {
  1: set<Degrees> degrees,
  2: map<list<double>, string> paths,
  3: map<Key, i32> by_key,
  4: set<set<i64>> nested,
  5: map<map<string, double>, map<uuid, binary>> deep,
}

struct Key {
  1: double weight,
  2: list<double> weights,
  3: Colour colour,
  4: optional KeyShape shape,
}

union KeyShape {
  1: double circle,
}

exception Speaks {
  1: string message,
  2: i32 code,
}

exception Silent {
  1: optional i32 code,
} (message = "nothing")

exception Chosen {
  1: optional string why,
} (message = "why")

struct Empty {}
union Void {}
enum Nothing {}

/** Names that are keywords or types of Rust. */
struct Self {
  1: i32 type,
  2: i32 self,
  3: i32 crate,
  4: i32 match,
  5: string String,
  6: i32 input,
  7: i32 output,
  8: i32 value,
  9: i32 field,
  10: required i32 has_type,
  11: required i32 async,
  12: i32 fooBar,
  13: i32 foo_bar (rust.name = "foo_bar_two"),
  14: optional Option Option,
  15: Result Result,
}

struct Option {
  1: Vec vec,
}

struct Vec {
  1: optional string Box,
}

struct Result {
  1: Default default,
  2: Box boxed,
}

struct Box {
  1: binary Bytes,
}

struct Default {
  1: list<Vec> list,
}

struct String {
  1: string string,
}

struct Some {
  1: None none,
}

struct None {
  1: bool ok,
}

enum Ok { Err = 1, Some = 2, self = 3, VALUES = 4 }

struct H {
  1: i32 h,
}

struct I {
  1: O o,
}

struct O {
  1: i32 i,
}

struct PascalCase {
  1: i32 a,
}

struct pascal_case {
  1: i32 b,
}

exception Error {
  1: string Debug,
}

/** Its variant in an error must not collide with the variant for all other errors. */
exception Rpc {
  1: string why,
}

service Type extends shared.SharedService {
  string echo(
    1: string self,
    2: Self cx,
    3: i32 request,
    4: i32 handler,
    5: list<Option> arguments = [],
  ),
  void close(),
  i32 new(1: Count count = LIMIT) throws (1: Error err, 2: Speaks rpc, 3: Speaks again),
  void rpc() throws (1: Rpc failed),
  Self Self(),
  oneway void await(1: binary data),
  Shape shape(1: Shape shape) throws (1: Chosen chosen) (idempotent = "true"),
  Defaults defaults(),
  Keys keys(1: Keys keys),
  /** More arguments than a tuple of the runtime can have. */
  list<string> many(
    1: string a,
    2: string b,
    3: binary c,
    4: i32 d,
    5: H h,
    6: list<string> f,
    7: string g,
    8: string request,
    9: string handler,
    10: string j,
    11: string k,
    12: string l = "twelve",
    13: string m,
    14: Shape n,
  ),
  Tree tree(1: Tree tree),
}

service Quiet {}

/** Functions that have the names of methods of `Arc` and of Rust's traits. */
service Shadow {
  i32 clone(1: i32 value),
  i32 clone_from(1: i32 value),
  i32 fmt(1: i32 value),
  i32 into(1: i32 value),
  i32 try_into(1: i32 value),
  i32 from(1: i32 value),
  i32 drop(1: i32 value),
  i32 as_ref(1: i32 value),
  i32 borrow(1: i32 value),
  i32 deref(1: i32 value),
  i32 eq(1: i32 value),
  i32 ne(1: i32 value),
  i32 cmp(1: i32 value),
  i32 hash(1: i32 value),
  i32 default(1: i32 value),
  i32 to_string(1: i32 value),
  i32 to_owned(1: i32 value),
  i32 type_id(1: i32 value),
  i32 downgrade(1: i32 value),
  i32 as_ptr(1: i32 value),
  i32 poll(1: i32 value),
  i32 into_future(1: i32 value),
  i32 name(1: i32 value),
  i32 call(1: i32 value),
  i32 dispatch(1: i32 value),
  i32 oneway_(1: i32 value),
}

service Child extends Type {}
