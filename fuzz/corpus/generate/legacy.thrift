namespace cpp_noexist a
struct A xsd_all {
  byte cpp_x,
  list cpp_type "l" <i8> y xsd_optional xsd_nillable xsd_attrs { 1: i32 z }
  map cpp_type 'm' <i8, set<string>> m
  1: i32 type = true; 2: required required,
}
service S { async void f(i32 a; A b) }
