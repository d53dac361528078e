struct A { 1: i32 a, 1: i32 a = "x", 40000: Unknwn b
enum E { X = 1, X, Y = 99999999999 }
const i32 C = D const i32 D = C
typedef T T
union U { required i32 a = 1; i32 b = 2; }
include "main.thrift"
service S extends E { oneway i32 f() throws (A a) }
senum Old { "a" }
const string OPEN = "
