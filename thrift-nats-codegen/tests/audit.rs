//! Every rule of `audit`, with a pair of files that breaks it: severity, message and both places.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use thrift_nats_codegen::{Location, Severity, Version, audit};

type Files<'a> = &'a [(&'a str, &'a str)];

/// A folder with a folder for each version.
fn versions(old: Files<'_>, new: Files<'_>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (version, files) in [("old", old), ("new", new)] {
        for (name, text) in files {
            let path = folder.path().join(version).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    folder
}

/// The findings: severity, place, message and the other place.
fn findings(old: Files<'_>, new: Files<'_>) -> Vec<String> {
    let folder = versions(old, new);
    let root = |version: &str, files: Files<'_>| folder.path().join(version).join(files[0].0);
    let report = audit(&Version::new([root("old", old)]), &Version::new([root("new", new)])).unwrap();
    let place = |location: Location<'_>| {
        let path = location.path.strip_prefix(folder.path()).unwrap().display().to_string();
        format!("{}:{}:{}", path.replace("/a.thrift", ""), location.line, location.column)
    };
    let line = |finding: thrift_nats_codegen::Finding<'_>| {
        let severity = match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        assert!(!finding.label().is_empty(), "{finding}");
        let notes: Vec<String> = finding
            .notes()
            .map(|(at, text)| {
                assert!(!text.is_empty(), "{finding}");
                place(at)
            })
            .collect();
        let at = finding.location().map_or_else(String::new, place);
        format!("{severity}: {} @ {at} < {}", finding.message(), notes.join(" "))
    };
    report.iter().map(line).collect()
}

/// Compares the findings between two single files with the expected ones.
#[track_caller]
fn finds(old: &str, new: &str, wanted: &[&str]) {
    assert_eq!(findings(&[("a.thrift", old)], &[("a.thrift", new)]), wanted);
}

/// Holds a change to be none that breaks, there and back.
#[track_caller]
fn is_fine(old: &str, new: &str) {
    finds(old, new, &[]);
}

const EVERYTHING: &str = "\
namespace rs a
typedef list<S> Ss
const map<string, i32> M = {'a': 1}
enum E { A, B = 5 }
struct S { 1: required i32 x, 2: optional E e = E.B, 3: Ss more }
union U { 1: S s, 2: uuid id }
exception X { 1: string why }
service P { void ping() }
service Q extends P { S get(1: U u) throws (1: X x), oneway void zip() }
";

#[test]
fn the_same_is_silent() {
    is_fine(EVERYTHING, EVERYTHING);
}

#[test]
fn additions_are_silent() {
    is_fine("struct S { 1: i32 a }", "struct S { 1: i32 a, 2: optional i32 b, 3: i32 c }");
    is_fine("union U { 1: i32 a }", "union U { 1: i32 a, 2: string b }");
    is_fine("enum E { A }", "enum E { A, B }");
    is_fine("service S { void a() }", "struct N {}\nservice S { void a(1: i32 x), N b() }\nservice T {}");
    is_fine("service S { void a() }", "service P { void p() }\nservice S extends P { void a() }");
    is_fine("struct S { 1: i32 a }", "struct S { 1: i32 a (deprecated) } (deprecated = 'use T')");
}

#[test]
fn order_comments_and_typedefs_that_stand_for_the_same_are_silent() {
    is_fine(
        "struct S { 1: i32 a, 2: string b }\nenum E { A = 1, B = 2 }",
        "enum E { B = 2, A = 1 }\n/** New. */\nstruct S { 2: string b, 1: i32 a }",
    );
    is_fine("struct S { 1: list<i32> a }", "typedef i32 Id\ntypedef list<Id> Ids\nstruct S { 1: Ids a }");
    is_fine("struct S { 1: byte a }", "struct S { 1: i8 a }");
}

#[test]
fn a_type_that_changes_on_the_wire_is_an_error() {
    finds(
        "struct S { 1: i32 a }",
        "struct S {\n  1: string a\n}",
        &["error: type of field `S.a` changes from `i32` to `string` @ new:2:6 < old:1:15"],
    );
    finds(
        "struct S { 1: list<i32> a }",
        "struct S { 1: set<i32> a }",
        &["error: type of field `S.a` changes from `list<i32>` to `set<i32>` @ new:1:15 < old:1:15"],
    );
    finds(
        "typedef i32 Id\nstruct S { 1: Id a }",
        "struct S { 1: i64 a }",
        &[
            "error: type of field `S.a` changes from `Id` to `i64` @ new:1:15 < old:2:15",
            "warning: typedef `Id` is removed @ old:1:13 < new:1:8",
        ],
    );
    finds(
        "struct S { 1: i32 a }",
        "struct T {}\nstruct S { 1: T a }",
        &["error: type of field `S.a` changes from `i32` to `T` @ new:2:15 < old:1:15"],
    );
}

#[test]
fn an_element_that_changes_on_the_wire_is_an_error() {
    for (old, new) in [
        ("list<i32>", "list<i64>"),
        ("set<string>", "set<uuid>"),
        ("map<i32, string>", "map<i64, string>"),
        ("map<i32, string>", "map<i32, list<string>>"),
        ("list<map<i32, set<bool>>>", "list<map<i32, set<i8>>>"),
    ] {
        let wanted =
            format!("error: type of field `S.a` changes from `{old}` to `{new}` @ new:1:15 < old:1:15");
        finds(&format!("struct S {{ 1: {old} a }}"), &format!("struct S {{ 1: {new} a }}"), &[&wanted]);
    }
}

#[test]
fn a_type_that_is_the_same_on_the_wire_is_a_warning() {
    for (old, new) in [("i32", "E"), ("string", "binary"), ("E", "i32"), ("list<E>", "list<i32>")] {
        let text = |ty: &str| format!("enum E {{ A }}\nstruct S {{ 1: {ty} a }}");
        let wanted =
            format!("warning: type of field `S.a` changes from `{old}` to `{new}` @ new:2:15 < old:2:15");
        finds(&text(old), &text(new), &[&wanted]);
    }
}

#[test]
fn another_struct_of_the_same_shape_is_a_warning_and_of_another_shape_an_error() {
    let old = "struct A { 1: i32 x }\nstruct B { 1: i32 x }\nstruct S { 1: A a }";
    finds(
        old,
        &old.replace("1: A a", "1: B a"),
        &["warning: type of field `S.a` changes from `A` to `B` @ new:3:15 < old:3:15"],
    );
    let old = "struct A { 1: i32 x }\nstruct B { 1: i64 x }\nstruct S { 1: A a }";
    finds(
        old,
        &old.replace("1: A a", "1: B a"),
        &[
            "error: type of field `B.x` changes from `i32` to `i64` @ new:2:15 < old:1:15",
            "warning: type of field `S.a` changes from `A` to `B` @ new:3:15 < old:3:15",
        ],
    );
}

#[test]
fn a_type_of_another_name_is_a_warning_at_its_definition() {
    finds(
        "struct A { 1: i32 x }\nstruct S { 1: A a, 2: list<A> b }\nservice V { A get() }",
        "struct B { 1: i32 x }\nstruct S { 1: B a, 2: list<B> b }\nservice V { B get() }",
        &["warning: struct `A` is called `B` now @ new:1:8 < old:1:8"],
    );
}

#[test]
fn an_id_for_another_name_and_type_is_an_error() {
    finds(
        "struct S { 1: i32 a }",
        "struct S { 1: string b }",
        &["error: id 1 of `S` is used anew @ new:1:22 < old:1:19"],
    );
    finds(
        "service S { void f(1: i32 a) }",
        "service S { void f(1: string b) }",
        &["error: id 1 of the arguments of `S.f` is used anew @ new:1:30 < old:1:27"],
    );
}

#[test]
fn another_name_for_an_id_is_a_warning() {
    finds(
        "struct S { 1: i32 a }",
        "struct S { 1: i32 b }",
        &["warning: field `S.a` is called `b` now @ new:1:19 < old:1:19"],
    );
    finds(
        "exception X {}\nservice S { void f(1: i32 a) throws (1: X x) }",
        "exception X {}\nservice S { void f(1: i32 b) throws (1: X y) }",
        &[
            "warning: argument `a` of `S.f` is called `b` now @ new:2:27 < old:2:27",
            "warning: exception `x` of `S.f` is called `y` now @ new:2:43 < old:2:43",
        ],
    );
    // It is compared on.
    finds(
        "struct S { 1: optional i32 a }",
        "struct S { 1: required i32 b }",
        &[
            "error: field `S.b` was optional and is required now @ new:1:15 < old:1:15",
            "warning: field `S.a` is called `b` now @ new:1:28 < old:1:28",
        ],
    );
}

#[test]
fn another_id_for_a_name_is_an_error() {
    finds(
        "struct S { 1: i32 a, 2: i32 b }",
        "struct S { 1: i32 a, 3: i32 b }",
        &["error: field `S.b` has id 3 now, and had 2 @ new:1:22 < old:1:22"],
    );
    finds(
        "struct S { 1: i32 a, 2: i32 b }",
        "struct S { 1: i32 b, 2: i32 a }",
        &[
            "error: field `S.b` has id 1 now, and had 2 @ new:1:12 < old:1:22",
            "error: field `S.a` has id 2 now, and had 1 @ new:1:22 < old:1:12",
        ],
    );
    finds(
        "service S { void f(1: i32 a) }",
        "service S { void f(2: i32 a) }",
        &["error: argument `a` of `S.f` has id 2 now, and had 1 @ new:1:20 < old:1:20"],
    );
    finds(
        "exception X {}\nservice S { void f() throws (1: X x) }",
        "exception X {}\nservice S { void f() throws (2: X x) }",
        &["error: exception `x` of `S.f` has id 2 now, and had 1 @ new:2:30 < old:2:30"],
    );
    // Ids that are not written follow from the order.
    finds(
        "struct S { i32 a }",
        "struct S { i32 b, i32 a }",
        &["error: field `S.a` has id -2 now, and had -1 @ new:1:23 < old:1:16"],
    );
}

#[test]
fn required_fields_neither_come_nor_go() {
    finds(
        "struct S { 1: i32 a }",
        "struct S { 1: i32 a, 2: required i32 b }",
        &["error: field `S.b` is new, and required @ new:1:38 < old:1:8"],
    );
    finds(
        "struct S { 1: i32 a, 2: required i32 b }",
        "struct S { 1: i32 a }",
        &["error: field `S.b` is removed @ new:1:8 < old:1:38"],
    );
}

#[test]
fn fields_that_are_not_required_go_with_a_warning() {
    finds(
        "struct S { 1: i32 a, 2: optional i32 b }\nunion U { 1: i32 a, 2: i32 b }\nservice V { void f(1: i32 a) }",
        "struct S { }\nunion U { 1: i32 a }\nservice V { void f() }",
        &[
            "warning: field `S.a` is removed @ new:1:8 < old:1:19",
            "warning: field `S.b` is removed @ new:1:8 < old:1:38",
            "warning: field `U.b` is removed @ new:2:7 < old:2:28",
            "warning: argument `a` of `V.f` is removed @ new:3:18 < old:3:27",
        ],
    );
}

#[test]
fn requiredness_changes_are_as_severe_as_their_consequences() {
    for (old, new, severity, was, is) in [
        ("required", "optional", "error", "required", "optional"),
        ("optional", "required", "error", "optional", "required"),
        ("", "required", "error", "neither required nor optional", "required"),
        ("required", "", "warning", "required", "neither required nor optional"),
        ("", "optional", "warning", "neither required nor optional", "optional"),
        ("optional", "", "warning", "optional", "neither required nor optional"),
    ] {
        let text = |word: &str| format!("struct S {{ 1: {word} i32 a }}");
        let column = |word: &str| if word.is_empty() { 20 } else { 15 };
        let wanted = format!(
            "{severity}: field `S.a` was {was} and is {is} now @ new:1:{} < old:1:{}",
            column(new),
            column(old)
        );
        finds(&text(old), &text(new), &[&wanted]);
    }
}

#[test]
fn a_default_that_changes_is_a_warning() {
    finds(
        "struct S { 1: i32 a = 1, 2: i32 b = 1, 3: i32 c }",
        "struct S { 1: i32 a = 2, 2: i32 b, 3: i32 c = 3 }",
        &[
            "warning: default of field `S.a` changes @ new:1:23 < old:1:23",
            "warning: default of field `S.b` is removed @ new:1:33 < old:1:37",
            "warning: default of field `S.c` is new @ new:1:47 < old:1:47",
        ],
    );
    // Another way to write the same value, and a constant that is reported at its own place.
    is_fine(
        "const i32 C = 1\nenum E { A = 1 }\nstruct S { 1: i32 a = C, 2: i32 b = 16, 3: double c = 1, 4: E d = E.A }",
        "enum E { A = 1 }\nconst i32 C = 1\nstruct S { 1: i32 a = 1, 2: i32 b = 0x10, 3: double c = 1.0, 4: E d = 1 }",
    );
    finds(
        "const i32 C = 1\nstruct S { 1: i32 a = C }",
        "const i32 C = 2\nstruct S { 1: i32 a = C }",
        &["warning: value of constant `C` changes @ new:1:15 < old:1:15"],
    );
}

#[test]
fn values_of_every_kind_are_compared() {
    let text = "\
enum E { A, B }
struct T { 1: i32 x, 2: string y }
const bool C1 = true
const double C2 = 1.5
const string C3 = 'a'
const binary C4 = 'a'
const uuid C5 = '00000000-0000-0000-0000-000000000001'
const E C6 = E.A
const list<i32> C7 = [1, 2]
const map<string, i32> C8 = {'a': 1}
const T C9 = {'x': 1, 'y': 'a'}
";
    is_fine(text, &text.replace("{'x': 1, 'y': 'a'}", "{'y': 'a', 'x': 1}"));
    for (old, new, line) in [
        ("true", "false", 3),
        ("1.5", "1.6", 4),
        ("C3 = 'a'", "C3 = 'b'", 5),
        ("C4 = 'a'", "C4 = 'b'", 6),
        ("01'", "02'", 7),
        ("E.A", "E.B", 8),
        ("[1, 2]", "[1, 2, 3]", 9),
        ("{'a': 1}", "{'a': 2}", 10),
        ("'y': 'a'}", "'y': 'b'}", 11),
    ] {
        let found = findings(&[("a.thrift", text)], &[("a.thrift", &text.replace(old, new))]);
        let wanted = format!("warning: value of constant `C{}` changes @ new:{line}:", line - 2);
        assert!(found.len() == 1 && found[0].starts_with(&wanted), "{wanted}: {found:?}");
    }
}

#[test]
fn a_constant_of_another_type_is_a_warning() {
    finds(
        "const i32 C = 1",
        "const string C = '1'",
        &["warning: type of constant `C` changes from `i32` to `string` @ new:1:7 < old:1:7"],
    );
}

#[test]
fn a_typedef_of_another_type_is_an_error_at_the_typedef_alone() {
    finds(
        "typedef i32 Id\nstruct S { 1: Id a, 2: list<Id> b }",
        "typedef i64 Id\nstruct S { 1: Id a, 2: list<Id> b }",
        &["error: type of typedef `Id` changes from `i32` to `i64` @ new:1:9 < old:1:9"],
    );
    finds(
        "typedef string Id",
        "typedef binary Id",
        &["warning: type of typedef `Id` changes from `string` to `binary` @ new:1:9 < old:1:9"],
    );
}

#[test]
fn another_kind_of_definition_is_an_error_where_the_wire_differs() {
    finds("struct S {}", "union S {}", &["error: `S` was a struct and is a union now @ new:1:7 < old:1:8"]);
    finds(
        "struct S {}",
        "exception S {}",
        &["error: `S` was a struct and is an exception now @ new:1:11 < old:1:8"],
    );
    finds("struct S {}", "enum S { A }", &["error: `S` was a struct and is an enum now @ new:1:6 < old:1:8"]);
    finds(
        "typedef i64 S",
        "enum S { A }",
        &["error: `S` was a typedef and is an enum now @ new:1:6 < old:1:13"],
    );
    finds(
        "typedef i32 S",
        "enum S { A }",
        &["warning: `S` was a typedef and is an enum now @ new:1:6 < old:1:13"],
    );
    finds(
        "struct R { 1: i32 a }\ntypedef R S",
        "struct R { 1: i32 a }\nstruct S { 1: i64 a }",
        &[
            "warning: `S` was a typedef and is a struct now @ new:2:8 < old:2:11",
            "error: type of field `S.a` changes from `i32` to `i64` @ new:2:15 < old:1:15",
        ],
    );
}

#[test]
fn an_enum_value_that_goes_or_gets_another_number_is_an_error() {
    finds("enum E { A, B }", "enum E { A }", &["error: `E.B` is removed @ new:1:6 < old:1:13"]);
    finds(
        "enum E { A = 1 }",
        "enum E { A = 2 }",
        &["error: `E.A` is 2 now, and was 1 @ new:1:14 < old:1:14"],
    );
    // Without numbers they follow from the order.
    finds(
        "enum E { A, B }",
        "enum E { A, N, B }",
        &["error: `E.B` is 2 now, and was 1 @ new:1:16 < old:1:13"],
    );
    // The number of one that is gone now belongs to another.
    finds(
        "enum E { A = 1, B = 2 }",
        "enum E { A = 2 }",
        &[
            "error: `E.B` is removed @ new:1:6 < old:1:17",
            "error: `E.A` is 2 now, and was 1 @ new:1:14 < old:1:14",
        ],
    );
}

#[test]
fn an_enum_value_of_another_name_is_a_warning() {
    finds("enum E { A }", "enum E { B }", &["warning: `E.A` is called `B` now @ new:1:10 < old:1:10"]);
    finds(
        "enum E { A = 1, B = 1 }",
        "enum E { A = 1 }",
        &["warning: `E.B` is removed @ new:1:10 < old:1:17"],
    );
}

#[test]
fn a_function_that_goes_is_an_error() {
    finds(
        "service S { void a(), void b() }",
        "service S { void a() }",
        &["error: function `S.b` is removed @ new:1:9 < old:1:28"],
    );
    // It is inherited now.
    is_fine(
        "service P {}\nservice S extends P { void a() }",
        "service P { void a() }\nservice S extends P {}",
    );
}

#[test]
fn a_result_that_changes_is_as_bad_as_a_field() {
    finds(
        "service S { i32 a(), i32 b(), void c() }",
        "service S { i64 a(), void b(), i32 c() }",
        &[
            "error: type of the result of `S.a` changes from `i32` to `i64` @ new:1:13 < old:1:13",
            "error: function `S.b` returns nothing now @ new:1:22 < old:1:22",
            "error: function `S.c` returns something now @ new:1:32 < old:1:31",
        ],
    );
    finds(
        "service S { string a() }",
        "service S { binary a() }",
        &["warning: type of the result of `S.a` changes from `string` to `binary` @ new:1:13 < old:1:13"],
    );
}

#[test]
fn arguments_are_compared_as_fields_are() {
    finds(
        "service S { void f(1: i32 a, 2: i32 b = 1) }",
        "service S { void f(1: i64 a, 2: i32 b = 2) }",
        &[
            "error: type of argument `a` of `S.f` changes from `i32` to `i64` @ new:1:23 < old:1:23",
            "warning: default of argument `b` of `S.f` changes @ new:1:41 < old:1:41",
        ],
    );
}

#[test]
fn an_exception_that_goes_is_an_error_and_a_new_one_a_warning() {
    let text =
        |throws: &str| format!("exception X {{}}\nexception Y {{}}\nservice S {{ void f() {throws} }}");
    finds(
        &text("throws (1: X x)"),
        &text(""),
        &["error: exception `x` of `S.f` is removed @ new:3:18 < old:3:35"],
    );
    finds(
        &text(""),
        &text("throws (1: X x)"),
        &["warning: exception `x` of `S.f` is new @ new:3:35 < old:3:18"],
    );
    finds(
        &text("throws (1: X x)"),
        &text("throws (1: Y x)"),
        &["warning: type of exception `x` of `S.f` changes from `X` to `Y` @ new:3:33 < old:3:33"],
    );
}

#[test]
fn oneway_stays_oneway() {
    finds(
        "service S { void a(), oneway void b() }",
        "service S { oneway void a(), void b() }",
        &[
            "error: function `S.a` is oneway now @ new:1:13 < old:1:18",
            "error: function `S.b` is not oneway any more @ new:1:35 < old:1:23",
        ],
    );
}

#[test]
fn a_service_that_goes_is_an_error() {
    finds(
        "service S { void a() }\nservice T {}",
        "service T {}",
        &["error: service `S` is removed @ old:1:9 < new:1:9"],
    );
}

#[test]
fn a_parent_that_changes_is_an_error_where_functions_go_with_it() {
    let text = |extends: &str, more: &str| {
        format!("service P {{ void p(), void q() }}\nservice R {{}}\nservice S {extends} {{ {more} }}")
    };
    finds(
        &text("extends P", ""),
        &text("extends R", ""),
        &["error: service `S` loses what it inherited: `p` and `q` @ new:3:19 < old:3:19"],
    );
    finds(
        &text("extends P", ""),
        &text("", ""),
        &["error: service `S` loses what it inherited: `p` and `q` @ new:3:9 < old:3:19"],
    );
    finds(
        &text("extends P", ""),
        &text("", "void p(), void q()"),
        &["warning: service `S` does not extend `P` any more @ new:3:9 < old:3:19"],
    );
    finds(
        &text("extends P", ""),
        &text("extends R", "void p(), void q()"),
        &["warning: service `S` extends `R` now, and did extend `P` @ new:3:19 < old:3:19"],
    );
    // One that goes from the parent is reported there.
    finds(
        &text("extends P", ""),
        &text("extends P", "").replace(", void q()", ""),
        &["error: function `P.q` is removed @ new:1:9 < old:1:28"],
    );
}

#[test]
fn a_removed_definition_is_an_error_where_a_service_has_it_on_the_wire() {
    finds(
        "struct In { 1: i32 x }\nstruct A { 1: optional In i }\nstruct Free {}\nservice S { A get() }",
        "struct A { }\nservice S { A get() }",
        &[
            "warning: field `A.i` is removed @ new:1:8 < old:2:27",
            "error: struct `In` is removed @ old:1:8 < new:1:8",
            "warning: struct `Free` is removed @ old:3:8 < new:1:8",
        ],
    );
    // Numbers stand for the enum now: the wire has not lost anything.
    finds(
        "enum E { A }\nservice S { E get() }",
        "service S { i32 get() }",
        &[
            "warning: type of the result of `S.get` changes from `E` to `i32` @ new:1:13 < old:2:13",
            "warning: enum `E` is removed @ old:1:6 < new:1:9",
        ],
    );
    finds(
        "const i32 C = 1\nstruct S {}",
        "struct S {}",
        &["warning: constant `C` is removed @ old:1:11 < new:1:8"],
    );
}

#[test]
fn another_namespace_is_a_warning() {
    finds(
        "namespace rs a\nstruct S {}",
        "namespace rs b\nstruct S {}",
        &["warning: namespace for rs changes from `a` to `b` @ new:1:14 < old:1:14"],
    );
    finds(
        "namespace rs a\nstruct S {}",
        "struct S {}",
        &["warning: namespace for rs changes from `a` to none @ new:1:8 < old:1:14"],
    );
    is_fine("namespace rs a\nnamespace java x\nstruct S {}", "namespace * a\nnamespace java y\nstruct S {}");
}

#[test]
fn included_files_are_matched_by_their_paths() {
    let old: Files<'_> = &[
        ("a.thrift", "include \"x/t.thrift\"\ninclude \"y/u.thrift\"\nstruct S { 1: t.T t, 2: u.T u }"),
        ("x/t.thrift", "struct T { 1: i32 a }"),
        ("y/u.thrift", "struct T { 1: i64 a }"),
    ];
    assert_eq!(findings(old, old), Vec::<String>::new());
    let new: Files<'_> = &[old[0], ("x/t.thrift", "struct T { 1: i16 a }"), old[2]];
    assert_eq!(
        findings(old, new),
        [
            "error: type of field `T.a` changes from `i32` to `i16` @ new/x/t.thrift:1:15 < old/x/t.thrift:1:15"
        ]
    );
    // The same name in another folder, and a root of another name.
    let new: Files<'_> = &[
        ("b.thrift", "include \"z/t.thrift\"\ninclude \"y/u.thrift\"\nstruct S { 1: t.T t, 2: u.T u }"),
        ("z/t.thrift", "struct T { 1: i16 a }"),
        old[2],
    ];
    assert_eq!(
        findings(old, new),
        [
            "error: type of field `T.a` changes from `i32` to `i16` @ new/z/t.thrift:1:15 < old/x/t.thrift:1:15"
        ]
    );
}

#[test]
fn a_definition_moved_to_another_file_is_a_warning_and_is_compared_there() {
    let old: Files<'_> = &[("a.thrift", "struct T { 1: i32 a }\nstruct S { 1: T t }")];
    let new: Files<'_> =
        &[("a.thrift", "include \"t.thrift\"\nstruct S { 1: t.T t }"), ("t.thrift", "struct T { 1: i64 a }")];
    let found = findings(old, new);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("warning: struct `T` moves from `"), "{found:?}");
    assert!(found[0].ends_with(" @ new/t.thrift:1:8 < old:1:8"), "{found:?}");
    assert_eq!(
        found[1],
        "error: type of field `T.a` changes from `i32` to `i64` @ new/t.thrift:1:15 < old:1:15"
    );
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .arg("audit")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_code_is_0_without_errors_and_1_with_them() {
    let folder = versions(
        &[("a.thrift", "struct S { 1: i32 a }\n"), ("b.thrift", "struct S { 1: i32 a }\n")],
        &[("a.thrift", "struct S { 1: i64 a }\n"), ("b.thrift", "struct S { 1: i32 b }\n")],
    );
    let (code, shown, said) = run(folder.path(), &["old/a.thrift", "new/a.thrift"]);
    assert_eq!((code, shown.as_str()), (1, ""));
    let wanted = "\
error: type of field `S.a` changes from `i32` to `i64`
 --> new/a.thrift:1:15
  |
1 | struct S { 1: i64 a }
  |               ^^^ an i64 on the wire
  |
 ::: old/a.thrift:1:15
  |
1 | struct S { 1: i32 a }
  |               --- an i32 before";
    assert_eq!(said.trim_end(), wanted);
    let (code, _, said) = run(folder.path(), &["old/b.thrift", "new/b.thrift"]);
    assert_eq!(code, 0);
    assert!(said.contains("warning: field `S.a` is called `b` now"), "{said}");
    assert_eq!(run(folder.path(), &["old/b.thrift", "new/b.thrift", "--deny-warnings"]).0, 1);
    let same = run(folder.path(), &["old/a.thrift", "old/a.thrift", "--deny-warnings"]);
    assert_eq!(same, (0, String::new(), String::new()));
    // Folders: all files in them, by their paths.
    let (code, _, said) = run(folder.path(), &["old", "new"]);
    assert_eq!(code, 1);
    assert!(said.contains("new/a.thrift:1:15") && said.contains("new/b.thrift:1:19"), "{said}");
    assert_eq!(run(folder.path(), &["old"]).0, 2);
}

#[test]
fn findings_are_json_on_request() {
    let folder = versions(&[("a.thrift", "enum E { A, B }")], &[("a.thrift", "enum E { A }")]);
    let (code, shown, said) = run(folder.path(), &["old/a.thrift", "new/a.thrift", "--format", "json"]);
    assert_eq!((code, said.as_str()), (1, ""));
    let finding: serde_json::Value = serde_json::from_str(shown.trim()).unwrap();
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["message"], "`E.B` is removed");
    assert_eq!(finding["place"]["file"], "new/a.thrift");
    assert_eq!(finding["notes"][0]["place"]["file"], "old/a.thrift");
    assert_eq!(finding["notes"][0]["place"]["column"], 13);
}

#[test]
fn each_version_has_its_own_include_folders() {
    let main = "include \"t.thrift\"\nstruct S { 1: t.T t }";
    let folder = versions(
        &[("a.thrift", main), ("inc/t.thrift", "struct T { 1: i32 a }")],
        &[("a.thrift", main), ("inc/t.thrift", "struct T { 1: i64 a }")],
    );
    let both = ["old/a.thrift", "new/a.thrift"];
    let (code, _, said) = run(folder.path(), &both);
    assert_eq!(code, 1);
    assert_eq!(said.matches("cannot find `t.thrift`").count(), 2, "{said}");
    let shared = run(folder.path(), &[both[0], both[1], "-I", "old/inc"]);
    assert_eq!(shared, (0, String::new(), String::new()));
    let own = ["--old-include", "old/inc", "--new-include", "new/inc"];
    let (code, _, said) = run(folder.path(), &[&both[..], &own[..]].concat());
    assert_eq!(code, 1);
    assert!(said.contains("error: type of field `T.a` changes from `i32` to `i64`"), "{said}");
}

#[test]
fn errors_of_the_versions_themselves_come_first() {
    let folder = versions(&[("a.thrift", "struct S { 1: T a }")], &[("a.thrift", "struct S { 1: U a }")]);
    let (code, _, said) = run(folder.path(), &["old/a.thrift", "new/a.thrift"]);
    assert_eq!(code, 1);
    assert!(said.contains("unknown type `T`") && said.contains("old/a.thrift:1:15"), "{said}");
    assert!(said.contains("unknown type `U`") && said.contains("new/a.thrift:1:15"), "{said}");
}
