//! The message and place of each syntax error, and the definitions that are still read.

use thrift_parser::syntax::Definition;
use thrift_parser::{Gap, MAX_NESTING, SyntaxError, parse};

/// Each error as `line:column: message`.
fn messages(source: &str) -> Vec<String> {
    let place = |error: &SyntaxError| {
        let before = &source[..error.span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}: {}", error.message)
    };
    parse(source).errors.iter().map(place).collect()
}

#[test]
fn a_brace_that_an_error_left_open_may_be_closed() {
    let source = "struct A {\n  1: i32 x = \nstruct B {\n  1: i32 y\n}\n}\nconst i32 C = 1\n}\n";
    assert_eq!(
        messages(source),
        [
            "3:1: expected a value, found `struct`",
            // The second unmatched brace is an error.
            "8:1: expected a definition, found `}`",
        ]
    );
    assert_eq!(parse(source).document.definitions.len(), 3);
}

#[test]
fn a_missing_token_is_reported_at_the_end_of_its_line() {
    assert_eq!(
        messages("struct B {\n  1: i32 \n}\n"),
        ["2:10: expected a field name, found the end of the line"]
    );
    assert_eq!(
        messages("struct B {\n  1: i32\r\n}\n"),
        ["2:9: expected a field name, found the end of the line"]
    );
    assert_eq!(
        messages("struct B { 1: i32 // x\n\n}"),
        ["1:19: expected a field name, found the end of the line"]
    );
    assert_eq!(messages("enum E { A =\n}"), ["1:13: expected an integer, found the end of the line"]);
    assert_eq!(messages("struct B { 1: i32 }"), ["1:19: expected a field name, found `}`"]);
    // Many tokens are possible here, so the place is that of the token found.
    assert_eq!(messages("struct A {}\n}"), ["2:1: expected a definition, found `}`"]);
    assert_eq!(messages("service S { void f()\nthrows }"), ["2:8: expected `(`, found `}`"]);
}

#[test]
fn a_misspelt_keyword_is_reported_at_its_place() {
    let with_help = |source| {
        let helps = parse(source).errors.into_iter().filter_map(|error| error.help);
        messages(source)
            .into_iter()
            .zip(helps)
            .map(|(error, help)| format!("{error}; {help}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(with_help("sturct A {}"), ["1:1: expected a definition, found `sturct`; write `struct`"]);
    assert_eq!(with_help("Service S {}"), ["1:1: expected a definition, found `Service`; write `service`"]);
    assert_eq!(
        with_help("struct A {}\nexeption X {}"),
        ["2:1: expected a definition, found `exeption`; write `exception`"]
    );
    let optional = "unknown keyword `optinal`; write `optional`";
    assert_eq!(with_help("struct A {\n  1: optinal string a,\n  2: i32 b\n}"), [format!("2:6: {optional}")]);
    assert_eq!(
        with_help("struct A {\n  1: optinal /* c */ A a\n  2: i32 b\n}"),
        [format!("2:6: {optional}")]
    );
    assert_eq!(
        with_help("struct A { 1: reqiured i32 b }"),
        ["1:15: unknown keyword `reqiured`; write `required`"]
    );
    assert_eq!(
        with_help("service S { onewya void f() }"),
        ["1:13: unknown keyword `onewya`; write `oneway`"]
    );
    assert_eq!(
        with_help("service S { void f() throw (1: X x) }"),
        ["1:22: unknown keyword `throw`; write `throws`"]
    );
    assert_eq!(with_help("service S extend T {}"), ["1:11: expected `{`, found `extend`; write `extends`"]);
    // A name that resembles a keyword, before another error.
    assert_eq!(messages("struct A { 1: option }"), ["1:22: expected a field name, found `}`"]);
    assert_eq!(messages("struct A { 1: option\n 2: i32 b }"), ["2:2: expected a field name, found `2`"]);
    assert_eq!(messages("struct structs [ }"), ["1:16: expected `{`, found `[`"]);
}

#[test]
fn fields_and_parents_of_other_languages_get_help() {
    let help = |source| parse(source).errors.remove(0).help.unwrap_or_default();
    assert_eq!(help("struct A { count: i32 }"), "a field has an id, a type and a name: `1: i32 count`");
    let parents = "only a service can extend another one, with `extends`";
    assert_eq!(help("struct A extends B { 1: i32 a }"), parents);
    assert_eq!(help("exception A : B { 1: i32 a }"), parents);
    assert_eq!(help("service A : B {}"), parents);
}

#[test]
fn an_unterminated_comment_extends_to_the_end() {
    let source = "struct A { 1: i32 x /* the first\nstruct B {}\n/* the second\nconst i32 C = 1\n";
    assert_eq!(messages(source), ["1:21: unterminated comment"]);
    assert_eq!(messages("struct A {}\n/*"), ["2:1: unterminated comment"]);
    assert_eq!(parse("struct A {}\n/*").document.definitions.len(), 1);
    assert_eq!(
        messages("struct A { 1: }\n/*/"),
        ["1:15: expected a type, found `}`", "2:1: unterminated comment"]
    );
}

#[test]
fn many_open_braces_are_not_deep_nesting() {
    let source = "struct A {\n  1: list<i32 x\n".repeat(2 * MAX_NESTING);
    let errors = messages(&source);
    assert_eq!(errors.len(), 2 * MAX_NESTING);
    assert!(errors.iter().all(|error| error.contains("expected `>`")), "{errors:?}");
}

#[test]
fn a_line_may_start_with_a_field_named_like_a_keyword() {
    let source = "struct A {\n  1: i32\n  const,\n  2: i32\n  struct\n}\nstruct B {}";
    assert_eq!(messages(source), [""; 0]);
    assert_eq!(parse(source).document.definitions.len(), 2);
}

#[test]
fn a_misplaced_header_is_read() {
    let source = "struct A {}\nnamespace py a\nstruct B {}\n";
    assert_eq!(messages(source), ["2:1: `namespace` after a definition"]);
    assert_eq!(parse(source).document.headers.len(), 1);
}

#[test]
fn an_unterminated_literal_ends_with_its_line() {
    for literal in ["\"a", "'", "\"a\\\"", "\"a'", "'\\\\\\'", "\"a // b", "\"\\"] {
        let source = format!("const string A = {literal}\r\nconst i32 B = 1\n");
        assert_eq!(messages(&source), ["1:18: unterminated literal"], "{literal}");
        let error = &parse(&source).errors[0];
        assert_eq!(&source[error.span.range()], literal);
    }
    assert_eq!(messages("const string A = 'a\\'b' 'c'"), ["1:25: expected a definition, found `'c'`"]);
}

#[test]
fn a_misspelt_keyword_is_reported_after_another_error() {
    let source = "struct A {\n  1: i32 x =\n}\nservise S {}\n exeption X\n// of b\n{\n}\nServise T extends b.B {\n}\nstruct B {}\n";
    assert_eq!(
        messages(source),
        [
            "2:13: expected a value, found the end of the line",
            "4:1: expected a definition, found `servise`",
            "5:2: expected a definition, found `exeption`",
            "9:1: expected a definition, found `Servise`",
        ]
    );
    assert_eq!(parse(source).document.definitions.len(), 2);
    // A field without an id starts a line with two names before a brace.
    let source = "struct A {\n  1: i32 x =\n  B b xsd_attrs { 1: i32 y }\n  B c xsd_attrs {}\n}\n";
    assert_eq!(messages(source).len(), 1, "{:?}", messages(source));
    let source = "struct A {\n  B b xsd_attrs {\n    1: i32 y\n  }\n}\nstruct C {}\n";
    assert_eq!(parse(source).document.definitions.len(), 2);
}

/// The members of every definition that was read, and the errors.
fn outline(source: &str) -> (Vec<String>, Vec<String>) {
    let outline = |definition: &Definition| {
        let members: Vec<&str> = match definition {
            Definition::Struct(item) => item.fields.iter().map(|field| field.name.text.as_str()).collect(),
            Definition::Enum(item) => item.values.iter().map(|value| value.name.text.as_str()).collect(),
            Definition::Service(item) => item.functions.iter().map(|item| item.name.text.as_str()).collect(),
            Definition::Typedef(_) | Definition::Const(_) => Vec::new(),
        };
        format!("{}: {}", definition.name(), members.join(" "))
    };
    (parse(source).document.definitions.iter().map(outline).collect(), messages(source))
}

#[test]
fn every_error_in_the_fields_of_a_struct_is_reported() {
    let source = "struct A {
  0: i32 z
  1: list<void> a
  2: i32 b
  3: void c; 4: i32 d
  5: i32 e (f = g), 6: i32 h = 7; 8:
  9: map<i32, i32> m = {
    1: 2,
    2: void,
    3: 4
  }
  10: i32 n 11: string 12: i32 o
}
union B {}
";
    let (definitions, errors) = outline(source);
    assert_eq!(definitions, ["A: z b d h n o", "B: "]);
    assert_eq!(
        errors,
        [
            "3:11: expected a type, found `void`",
            "5:6: expected a type, found `void`",
            "6:17: expected a quoted literal, found `g`",
            "7:3: expected a type, found `9`",
            "9:8: expected a value, found `void`",
            "12:24: expected a field name, found `12`",
        ]
    );
}

#[test]
fn every_error_in_values_and_functions_is_reported() {
    let source = "enum E { A = 1.5, B, C = \"c\"
  D = D
  F }
service S {
  void a(1: i32 b,
    2: void c,
    3: i32 d) throws (1: X x)
  i32 e(1: i32 f)
  void g(
  oneway void h(1: i32 i =),
  void j
  void k() throws
  void l(1: i32 m
  A n(1: i32 o)
  void p() }
";
    let (definitions, errors) = outline(source);
    assert_eq!(definitions, ["E: B F", "S: e n p"]);
    assert_eq!(
        errors,
        [
            "1:14: expected an integer, found `1.5`",
            "1:26: expected an integer, found `\"c\"`",
            "2:7: expected an integer, found `D`",
            "6:8: expected a type, found `void`",
            "10:3: expected a field or `)`, found `oneway`",
            "10:27: expected a value, found `)`",
            "12:3: expected `(`, found `void`",
            "13:3: expected `(`, found `void`",
            "14:7: expected a name or `)`, found `1`",
        ]
    );
}

#[test]
fn a_missing_brace_is_reported_unless_another_error_left_a_bracket_open() {
    let places = |source: &str| {
        let errors = messages(source);
        errors.iter().map(|error| error.split(": ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(places("struct A {\n  1: void a\n\nstruct B {}\n"), ["2:6", "4:1"]);
    assert_eq!(places("struct A {\n  1: void a\n"), ["2:6", "3:1"]);
    assert_eq!(places("struct A {\n  1: list<i32 a\n\nstruct B {}\n"), ["2:15"]);
    assert_eq!(places("struct A {\n  1: i32 a = { void\n}\n\nstruct B {}\n"), ["2:16"]);
    assert_eq!(places("struct A {\n  1: string a = \"b }\n\nstruct B {}\n"), ["2:17"]);
    assert_eq!(places("service A {\n  void a(\n\nstruct B {}\n"), ["4:1"]);
}

#[test]
fn a_brace_within_a_malformed_member_does_not_close_the_body() {
    let (definitions, errors) =
        outline("struct A {\n  1: i32 } b\n  2: list<} i32> c,\n  3: i32 d\n}\nstruct B {}\n");
    assert_eq!((definitions, errors.len()), (vec!["A: d".to_owned(), "B: ".to_owned()], 2));
    let (definitions, errors) = outline("struct A { 1: i32 } struct B { 1: void } (a)\n");
    assert_eq!((definitions, errors.len()), (vec!["A: ".to_owned(), "B: ".to_owned()], 2));
}

#[test]
fn definitions_on_one_line_are_read_after_a_closing_brace() {
    let (definitions, errors) = outline("struct A { 1: void a; }; struct B {}, enum C {} union D {}\n");
    assert_eq!(definitions, ["A: ", "B: ", "C: ", "D: "]);
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn a_gap_has_the_names_that_it_may_define() {
    let gaps = |source: &str| {
        let gaps = parse(source).gaps;
        let names = |gap: &Gap| match gap.is_nameless {
            true => "?".to_owned(),
            false => gap.names.iter().map(|name| name.text.clone()).collect::<Vec<_>>().join(" "),
        };
        gaps.iter().map(|gap| format!("{} [{}]", &source[gap.span.range()], names(gap))).collect::<Vec<_>>()
    };
    assert_eq!(gaps("struct A { 1: i32 a }\n"), [""; 0]);
    assert_eq!(gaps("struct A { 1: void a, 2: i32 b }\n"), ["1: void a, [a]"]);
    // The name of the definition, or else all words outside brackets.
    assert_eq!(
        gaps("const i32 A = ;\nconst void B = C\n"),
        ["const i32 A = ; [A]", "const void B = C [B C]"]
    );
    assert_eq!(gaps("typedef list<void> A\n"), ["typedef list<void> A [A]"]);
    assert_eq!(gaps("sturct A { 1: B b }\n"), ["sturct A { 1: B b } [sturct A]"]);
    assert_eq!(gaps("include 'a.thrift\nstruct B {}\n"), ["include 'a.thrift [a thrift]"]);
    // The definition before the unexpected token is part of the gap.
    assert_eq!(gaps("typedef unsigned int A\n"), ["typedef unsigned int A [int A]"]);
    assert_eq!(gaps("const double A = 5.\nconst i32 B = 1;;\n"), ["const double A = 5. [A]", "; []"]);
    assert_eq!(gaps("const list<list<i32>> A = [1], [2]]\n"), ["const list<list<i32>> A = [1], [2]] [A]"]);
    // A definition without a name may define any name.
    assert_eq!(gaps("struct { 1: i32 a }\nenum A { = 2 }\n"), ["struct { 1: i32 a } [?]", "= 2 [?]"]);
    assert_eq!(
        gaps("include\nconst i32 = 1\nnamespace\n"),
        ["include [?]", "const i32 = 1 [?]", "namespace []"]
    );
    // After an error that ends parsing, the names are those of lines that start like an item.
    assert_eq!(gaps("/* a\n b\n struct C {}\n"), ["/* a\n b\n struct C {}\n [struct C]"]);
    let deep = format!("const A B = {}\nstruct C {{}}\n", "[".repeat(MAX_NESTING + 1));
    assert_eq!(gaps(&deep).len(), 2);
    assert!(gaps(&deep)[1].ends_with("[struct C]"), "{:?}", gaps(&deep));
}

#[test]
fn an_error_in_annotations_is_reported_at_its_place() {
    let literal = "expected a quoted literal, found `3`";
    assert_eq!(messages("struct A {} (a = 3)"), [format!("1:18: {literal}")]);
    assert_eq!(messages("enum E { A } (a = \"x\", b = 3)"), [format!("1:28: {literal}")]);
    assert_eq!(messages("service S {} (\n  a = 3\n)\nstruct A {}"), [format!("2:7: {literal}")]);
    assert_eq!(messages("typedef i32 T (a = 3)"), [format!("1:20: {literal}")]);
    assert_eq!(messages("namespace rs a (a = 3)"), [format!("1:21: {literal}")]);
    assert_eq!(messages("struct A {} (a = \"x\",,)"), ["1:22: expected a name or `)`, found `,`"]);
    assert_eq!(messages("struct A {} (a\nstruct B {}"), ["2:1: expected a name or `)`, found `struct`"]);
    // After a definition that has another error.
    let errors = messages("struct A { 1: i32 }\n(a = 3)\nstruct B {} (b = 3)");
    assert_eq!(
        errors,
        [
            "1:19: expected a field name, found `}`".to_owned(),
            format!("2:6: {literal}"),
            format!("3:18: {literal}"),
        ]
    );
    // The definition is read.
    let parsed = parse("typedef i32 T (a = 3)\nstruct A { 1: T t }");
    assert_eq!(parsed.document.definitions.len(), 2);
    // No annotations are allowed here.
    let definition = "expected a definition, found `(`";
    assert_eq!(messages("const i32 C = 1 (a = 3)"), [format!("1:17: {definition}")]);
    assert_eq!(messages("typedef i32 T, (a = \"x\")"), [format!("1:16: {definition}")]);
    assert_eq!(messages("namespace * a (a = 3)"), [format!("1:15: {definition}")]);
    assert_eq!(messages("include \"a\" (a = 3)"), [format!("1:13: {definition}")]);
}

#[test]
fn a_malformed_number_is_reported_as_a_whole() {
    assert_eq!(messages("const double D = 5."), ["1:19: malformed number `5.`"]);
    assert_eq!(messages("const i32 C = -0x"), ["1:17: malformed number `0x`"]);
    assert_eq!(messages("const i32 C = 0X1F"), ["1:16: malformed number `0X1F`"]);
    assert_eq!(messages("const i32 C = 1_000"), ["1:16: malformed number `1_000`"]);
    assert_eq!(messages("const i32 C = 12abc"), ["1:17: malformed number `12abc`"]);
    assert_eq!(messages("const double D = 1e\nstruct A {}"), ["1:19: malformed number `1e`"]);
    assert_eq!(messages("const double D = 1.5.6"), ["1:21: malformed number `1.5.6`"]);
    assert_eq!(messages("const list<i32> L = [1, 0b11}"), ["1:29: expected a value or `]`, found `}`"]);
    // A missing colon is a different error.
    assert_eq!(messages("struct A { 1i32 a }"), ["1:13: expected `:`, found `i32`"]);
    assert_eq!(messages("struct A { 1 i32 a }"), ["1:14: expected `:`, found `i32`"]);
    assert_eq!(messages("const i32 C = 1 x"), ["1:17: expected a definition, found `x`"]);
}
