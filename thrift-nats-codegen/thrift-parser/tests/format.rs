//! The style of each form, and the place of each comment.

mod support;

use support::check_format;
use thrift_parser::format;

/// Asserts that `source` is formatted to `expected`, and that formatting `expected` changes nothing.
#[track_caller]
fn assert_format(source: &str, expected: &str) {
    match check_format(source) {
        Ok(text) => assert_eq!(text, expected),
        Err(what) => panic!("{what}:\n{}", format(source).unwrap_or_default()),
    }
}

#[test]
fn each_member_is_on_its_own_line() {
    assert_format(
        "struct A{1:i32 x;2:optional list<map<string,i32>>y=[1],3:Node&next}union U{}exception E{string why}",
        "struct A {\n  1: i32 x,\n  2: optional list<map<string, i32>> y = [1],\n  3: Node & next,\n}\n\n\
         union U {}\n\nexception E {\n  string why,\n}\n",
    );
    assert_format(
        "service S extends a.B{void f()oneway void g(1:i32 a 2:i32 b);i32 h(i32 a)throws(1:E e)}",
        "service S extends a.B {\n  void f(),\n  oneway void g(1: i32 a, 2: i32 b),\n  \
         i32 h(i32 a) throws (1: E e),\n}\n",
    );
}

#[test]
fn literals_numbers_and_legacy_forms_are_not_changed() {
    let source = "\
namespace * a.b
cpp_include \"<vector>\"

const i64 A = 0x0F
const i64 B = 007
const i64 C = +1
const double D = 1.50e+3
const double E = -
const string F = 'it\\'s \"so\"'
const string G = \"\\t//\\\\\"
const bool H = true
const bool I = 1

struct A xsd_all {
  1: byte x xsd_optional xsd_nillable xsd_attrs { 1: i32 y } (a),
  2: map cpp_type \"M\" <i32, i8> m,
  3: list cpp_type \"L\" <i32> l,
  4: list<i32> cpp_type \"K\" k,
  5: required string required,
  6: optional string cpp_type,
}

service S {
  async void f(),
}
";
    assert_format(source, source);
}

#[test]
fn several_empty_lines_become_one() {
    assert_format(
        "\n\nnamespace py a\n\n\n\nnamespace rs b\nnamespace go c\nstruct A {\n\n\n  1: i32 x\n\n\n\n  2: i32 y\n  3: i32 z\n\n}\n\n\n",
        "namespace py a\n\nnamespace rs b\nnamespace go c\n\nstruct A {\n  1: i32 x,\n\n  2: i32 y,\n  3: i32 z,\n}\n",
    );
    // Definitions of a single line may follow one another directly.
    assert_format(
        "typedef i32 A\ntypedef i32 B\n\n\nconst A C = 1\nenum D { E }\nstruct F {}\nstruct G { 1: i32 x }\nstruct H {}",
        "typedef i32 A\ntypedef i32 B\n\nconst A C = 1\nenum D { E }\nstruct F {}\n\nstruct G {\n  1: i32 x,\n}\n\nstruct H {}\n",
    );
}

#[test]
fn an_empty_line_may_be_before_the_comments_of_an_item() {
    assert_format(
        "struct A { 1: i32 x }\n// of B\nstruct B { 1: i32 x }\n// of A?\n\nstruct C { 1: i32 x }",
        "struct A {\n  1: i32 x,\n}\n\n// of B\nstruct B {\n  1: i32 x,\n}\n// of A?\n\nstruct C {\n  1: i32 x,\n}\n",
    );
}

#[test]
fn a_group_that_fits_is_on_one_line() {
    let long = "a".repeat(60);
    // 100 columns, and 101.
    assert_format(
        &format!("service S {{ void f(1: i32 {long}, 2: i32 bbbbbbbbbbbbb) }}"),
        &format!("service S {{\n  void f(1: i32 {long}, 2: i32 bbbbbbbbbbbbb),\n}}\n"),
    );
    assert_eq!(format!("  void f(1: i32 {long}, 2: i32 bbbbbbbbbbbbb),").len(), 100);
    assert_format(
        &format!("service S {{ void f(1: i32 {long}, 2: i32 bbbbbbbbbbbbbb) }}"),
        &format!("service S {{\n  void f(\n    1: i32 {long},\n    2: i32 bbbbbbbbbbbbbb,\n  ),\n}}\n"),
    );
    // Each group is broken on its own: the first one that does not fit.
    let name = &long[..40];
    assert_format(
        &format!("service S {{ void f(1: i32 {name}) throws (1: A a, 2: B b) (c = \"é\", {name}) }}"),
        &format!(
            "service S {{\n  void f(1: i32 {name}) throws (1: A a, 2: B b) (\n    c = \"é\",\n    {name},\n  ),\n}}\n"
        ),
    );
    assert_format(
        &format!("typedef list<string (a = \"{long}{long}\")> A (b = \"{long}\", c = \"{long}\")"),
        &format!(
            "typedef list<string (a = \"{long}{long}\")> A (\n  b = \"{long}\",\n  c = \"{long}\",\n)\n"
        ),
    );
}

#[test]
fn a_list_with_a_break_after_its_bracket_stays_broken() {
    assert_format(
        "const list<i32> A = [1;2\n3]\nconst list<i32> B = [\n1,2]\nconst map<i32, T> C = {1:{\n'x':1};2:{}}\nenum D {\n E,F}",
        "const list<i32> A = [1, 2, 3]\n\nconst list<i32> B = [\n  1,\n  2,\n]\n\n\
         const map<i32, T> C = {\n  1: {\n    'x': 1,\n  },\n  2: {},\n}\n\nenum D {\n  E,\n  F,\n}\n",
    );
}

#[test]
fn a_comment_stays_where_it_is_written() {
    assert_format(
        "\
// of the file

/* above */ // after above
struct A // of A
{ // of the brace
// first
1:i32 x // of x
/* y */ 2:i32 y /* after y */;   # of y
  // alone

     /* z */
3:i32 z
// last
} // after A
// of the end",
        "\
// of the file

/* above */ // after above
struct A { // of A
  // of the brace
  // first
  1: i32 x, // of x
  /* y */ 2: i32 y /* after y */, # of y
  // alone

  /* z */
  3: i32 z,
  // last
} // after A
// of the end
",
    );
}

#[test]
fn a_comment_stays_in_an_empty_body() {
    assert_format("struct A { /* a */ }", "struct A {\n  /* a */\n}\n");
    assert_format("struct A { // a\n}", "struct A { // a\n}\n");
    assert_format("struct A {\n// a\n\n// b\n}", "struct A {\n  // a\n\n  // b\n}\n");
    assert_format("const list<i32> A = [ # a\n]", "const list<i32> A = [ # a\n]\n");
    assert_format("service A { void f(/* a */) }", "service A {\n  void f(\n    /* a */\n  ),\n}\n");
}

#[test]
fn a_comment_may_be_between_any_two_tokens() {
    assert_format(
        "const /*1*/ map</*2*/ i32 /*3*/, string /*4*/> /*5*/ A /*6*/ = /*7*/ {/*8*/ 1 /*9*/ : /*10*/ 'x' /*11*/} /*12*/",
        "const /*1*/ map</*2*/ i32 /*3*/, string /*4*/> /*5*/ A /*6*/ = /*7*/ {\n  /*8*/ 1 /*9*/: /*10*/ 'x', /*11*/\n} /*12*/\n",
    );
    assert_format(
        "namespace//1\npy//2\na//3\ninclude//4\n'x'//5\nservice//6\nS//7\nextends//8\nT//9\n{//10\nvoid//11\nf//12\n(//13\n1//14\n:i32//15\nx//16\n)//17\n}//18",
        "\
namespace //1
    py //2
    a //3
include //4
    'x' //5

service //6
    S //7
    extends //8
    T { //9
  //10
  void //11
      f( //12
    //13
    1 //14
        : i32 //15
        x, //16
  ), //17
} //18
",
    );
}

#[test]
fn a_line_comment_hides_no_token() {
    assert_format(
        "struct A { 1: i32 x // a\n // b\n; // c\n /* d */ 2: i32 y // e\n /* f */ ; }",
        "struct A {\n  1: i32 x, // a\n  // b\n  // c\n  /* d */ 2: i32 y // e\n      /* f */,\n}\n",
    );
    assert_format("const i32 A = 1 // a\n;", "const i32 A = 1 // a\n");
}

#[test]
fn a_doc_comment_stays_with_its_item() {
    // Without the separator, the first comment would document B.
    assert_format(
        "const i32 A = 1 /** none */; struct B {}\ntypedef i32 C; /** of D */ struct D {}",
        "const i32 A = 1 /** none */,\nstruct B {}\ntypedef i32 C\n/** of D */ struct D {}\n",
    );
    assert_format(
        "struct A { 1: i32 x /** of y */\n 2: i32 y, /** of z */ // also\n 3: i32 z /** none */ }",
        "struct A {\n  1: i32 x, /** of y */\n  2: i32 y, /** of z */ // also\n  3: i32 z, /** none */\n}\n",
    );
}

#[test]
fn the_lines_of_a_comment_move_with_its_first_line() {
    assert_format(
        "struct A {\n      /**\n      * a\n       *   b\n\n         * c\n        */\n      1: i32 x\n}",
        "struct A {\n  /**\n   * a\n   *   b\n\n   * c\n   */\n  1: i32 x,\n}\n",
    );
    assert_format(
        "struct A {\n    /* a\n         b\n       c */\n    1: i32 x\n/*\n a\n  b\n*/\n}",
        "struct A {\n  /* a\n       b\n     c */\n  1: i32 x,\n  /*\n   a\n    b\n  */\n}\n",
    );
    // They do not move if one of them cannot.
    assert_format(
        "struct A {\n    /* a\n b */\n    1: i32 x\n\t/** a\n\t\tb\n\t */\n}",
        "struct A {\n  /* a\n b */\n  1: i32 x,\n  /** a\n\t\tb\n\t */\n}\n",
    );
    // The lines of a comment after other text do not move.
    assert_format(
        "struct A { /* a\n      b */ 1: i32 x /* c\n   d */\n}",
        "struct A {\n  /* a\n      b */ 1: i32 x, /* c\n   d */\n}\n",
    );
}

#[test]
fn lines_end_with_a_newline_only() {
    assert_format(
        "\u{feff}// a\r\n\r\nstruct A {\r\n  /* b\r\n     c */\r\n  1: i32 x\r\n}\r\n",
        "// a\n\nstruct A {\n  /* b\n     c */\n  1: i32 x,\n}\n",
    );
    // A single `\r` is white space, or a character of a comment.
    assert_format("struct A {\r1: i32 x } // a\rb\r", "struct A {\n  1: i32 x,\n} // a\rb\n");
}

#[test]
fn a_text_without_items_keeps_its_comments() {
    assert_format("", "");
    assert_format("\u{feff} \n\n", "");
    assert_format("\n  // a", "// a\n");
    assert_format("/* a\n  b */\n\n\n\n# c\n", "/* a\n  b */\n\n# c\n");
}

#[test]
fn a_document_with_errors_is_not_formatted() {
    let errors = format("struct A { 1: i32 }\nconst i32 B = ;\n").expect_err("two errors");
    assert_eq!(errors, thrift_parser::parse("struct A { 1: i32 }\nconst i32 B = ;\n").errors);
    assert_eq!(errors.len(), 2);
}
