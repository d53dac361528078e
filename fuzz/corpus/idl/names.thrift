struct Option { 1: Option self, 2: string Self, 3: i32 fooBar, 4: i32 foo_bar2, 5: list<Result> crate }
struct Result { 1: i32 type, 2: Box async, 3: String try, 4: i32 r#x }
union Box { 1: i32 String, 2: i64 Vec }
struct String { 1: optional Vec gen }
typedef list<set<map<double, i32>>> Vec
enum Default { default, None, Some, fmt = -1 }
exception Error { 1: string source, 2: string message, 3: string cause }
service Client { void connect(1: i32 self, 2: i32 cx), void Err(), i32 client() throws (1: Error rpc) }
service Server extends Client { void new(), void clone(1: string new) }
