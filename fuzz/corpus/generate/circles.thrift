struct A { 1: optional B b, 2: list<A> c, 3: map<i32, C> d }
struct B { 1: optional A a; 2: C c }
union C { 1: A a; 2: C c; 3: list<C> cs }
typedef D DD
struct D { 1: optional DD d = {} }
exception X { 1: optional A a }
service S { A a(1: C c) throws (1: X x) }
