//! `ast`: the parts that `docs/ast.md` promises, with their places, also for a file with mistakes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use thrift_nats_codegen::ParsedFile;

/// Runs it over a text; what it writes, what it says, and its exit code.
fn ast(text: &[u8]) -> (Value, String, i32) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.thrift"), text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .args(["ast", "a.thrift", "--format", "json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), said, output.status.code().unwrap())
}

fn fine(text: &str) -> Value {
    let (tree, said, code) = ast(text.as_bytes());
    assert_eq!((said.as_str(), code), ("", 0));
    tree
}

const EVERYTHING: &str = r#"// A line.
include "b.thrift"
cpp_include <x>
namespace rs a.b (k = "v")
/** What it is. */
typedef list<b.T> Ts (x)
const map<string, double> M = {"a": 1.5, 'b': -0x10}
const list<bool> L = [true, X.Y]
enum E { A = 3 (deprecated), B }
struct S {
  1: required set<i32> ids = [1]
  optional S & next
}
union U { 1: binary raw }
exception X { 1: byte code }
service P {}
service Q extends P {
  /** Does it. */
  i64 f(1: S s) throws (1: X x),
  oneway void g()
}
"#;

fn everything() -> String {
    // Literals alone may follow.
    EVERYTHING.replace("cpp_include <x>", "cpp_include \"x\"")
}

#[test]
fn every_kind_of_header_and_definition_is_there() {
    let text = everything();
    let tree = fine(&text);
    assert_eq!(tree["schema"], 1);
    assert_eq!(tree["file"], "a.thrift");
    assert_eq!(tree["complete"], true);
    let kinds = |of: &str| -> Vec<String> {
        tree[of].as_array().unwrap().iter().map(|node| node["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds("headers"), ["include", "cpp_include", "namespace"]);
    assert_eq!(
        kinds("definitions"),
        ["typedef", "const", "const", "enum", "struct", "union", "exception", "service", "service"]
    );
    assert_eq!(kinds("comments"), ["line", "doc", "doc"]);
    assert_eq!(tree["comments"][0]["text"], "// A line.");
    assert_eq!(tree["headers"][0]["path"]["value"], "b.thrift");
    assert_eq!(tree["headers"][2]["scope"]["text"], "rs");
    assert_eq!(tree["headers"][2]["name"]["text"], "a.b");
    assert_eq!(tree["headers"][2]["annotations"][0]["key"]["text"], "k");
    assert_eq!(tree["headers"][2]["annotations"][0]["value"]["value"], "v");
}

#[test]
fn parts_have_their_values() {
    let tree = fine(&everything());
    let definition = |at: usize| &tree["definitions"][at];
    let typedef = definition(0);
    assert_eq!(typedef["doc"]["text"], "What it is.");
    assert_eq!(typedef["type"]["kind"], "list");
    assert_eq!(typedef["type"]["element"]["kind"], "named");
    assert_eq!(typedef["type"]["element"]["name"], "b.T");
    assert_eq!(typedef["name"]["text"], "Ts");
    assert_eq!(typedef["annotations"][0]["value"], Value::Null);
    let map = definition(1);
    assert_eq!(map["doc"], Value::Null);
    assert_eq!(
        (&map["type"]["key"]["name"], &map["type"]["value"]["name"]),
        (&json!("string"), &json!("double"))
    );
    let entries = &map["value"]["entries"];
    assert_eq!((&entries[0]["key"]["kind"], &entries[0]["key"]["value"]), (&json!("literal"), &json!("a")));
    assert_eq!(
        (&entries[0]["value"]["kind"], &entries[0]["value"]["value"]),
        (&json!("double"), &json!(1.5))
    );
    assert_eq!((&entries[1]["value"]["value"], &entries[1]["value"]["text"]), (&json!(-16), &json!("-0x10")));
    let elements = &definition(2)["value"]["elements"];
    assert_eq!((&elements[0]["name"], &elements[1]["name"]), (&json!("true"), &json!("X.Y")));
    let values = &definition(3)["values"];
    assert_eq!((&values[0]["number"]["value"], &values[1]["number"]), (&json!(3), &Value::Null));
    assert_eq!(values[0]["annotations"][0]["key"]["text"], "deprecated");
    let fields = &definition(4)["fields"];
    assert_eq!((&fields[0]["id"]["value"], &fields[1]["id"]), (&json!(1), &Value::Null));
    assert_eq!(fields[0]["requiredness"]["text"], "required");
    assert_eq!(fields[1]["requiredness"]["text"], "optional");
    assert_eq!((&fields[0]["reference"], &fields[1]["reference"]), (&json!(false), &json!(true)));
    assert_eq!(fields[0]["type"]["element"]["name"], "i32");
    assert_eq!(fields[0]["default"]["elements"][0]["value"], 1);
    assert_eq!(definition(6)["fields"][0]["type"]["name"], "i8");
    assert_eq!(definition(7)["extends"], Value::Null);
    let service = definition(8);
    assert_eq!(service["extends"]["text"], "P");
    let functions = &service["functions"];
    assert_eq!(functions[0]["doc"]["text"], "Does it.");
    assert_eq!((&functions[0]["oneway"], &functions[0]["returns"]["name"]), (&Value::Null, &json!("i64")));
    assert_eq!(functions[0]["arguments"][0]["name"]["text"], "s");
    assert_eq!(functions[0]["throws"][0]["type"]["name"], "X");
    assert_eq!(functions[1]["returns"], Value::Null);
    assert!(functions[1]["oneway"].is_object());
}

/// Every span of a tree, with the node that it is of.
fn spans<'v>(node: &'v Value, found: &mut Vec<(&'v Value, &'v Value)>) {
    match node {
        Value::Object(parts) => {
            for (key, part) in parts {
                match key.as_str() {
                    "span" | "returnsSpan" | "throwsSpan" | "oneway" if part.is_object() => {
                        found.push((node, part));
                    }
                    _ => spans(part, found),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| spans(part, found)),
        _ => {}
    }
}

#[test]
fn spans_are_offsets_lines_and_columns_of_the_very_text() {
    let text = everything()
        .replace("// A line.", "// Über.")
        .replace("'b'", "'Ω', 'b'")
        .replace("'Ω', ", "'Ω': 1, ");
    let tree = fine(&text);
    let mut found = Vec::new();
    spans(&tree, &mut found);
    assert!(found.len() > 90, "{}", found.len());
    for (node, span) in found {
        let offset = |end: &str| usize::try_from(span[end]["offset"].as_u64().unwrap()).unwrap();
        let slice = &text[offset("start")..offset("end")];
        if node.get("text").is_some_and(|text| text.is_string())
            && node.get("kind").is_none_or(|kind| kind != "doc")
        {
            let plain = node["text"].as_str().unwrap();
            assert!(slice == plain || slice.starts_with("/**"), "{slice:?} {node}");
        }
        for end in ["start", "end"] {
            let before = &text[..offset(end)];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            assert_eq!((&span[end]["line"], &span[end]["column"]), (&json!(line), &json!(column)), "{node}");
        }
    }
    let typedef = &tree["definitions"][0]["span"];
    assert_eq!((&typedef["start"]["line"], &typedef["start"]["column"]), (&json!(6), &json!(1)));
    assert_eq!(typedef["end"]["column"], 25);
}

#[test]
fn columns_count_characters_in_long_lines_too() {
    let literal = "äöü€😀".repeat(300);
    let text = format!("const string A = '{literal}' const i32 B = 1");
    let tree = fine(&text);
    let start = &tree["definitions"][1]["span"]["start"];
    assert_eq!(start["column"], text[..text.find("const i32").unwrap()].chars().count() + 1);
}

#[test]
fn a_file_with_mistakes_gives_the_parsed_parts_and_code_1() {
    let (tree, said, code) = ast(b"struct A { 1: i32 a }\nstruct B { 1: }\nenum C { X }\n");
    assert_eq!(code, 1);
    assert!(said.contains("error: expected a type") && said.contains("--> a.thrift:2:15"), "{said}");
    assert_eq!(tree["complete"], false);
    let names: Vec<_> =
        tree["definitions"].as_array().unwrap().iter().map(|item| &item["name"]["text"]).collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert_eq!(tree["definitions"][1]["fields"], json!([]));
}

#[test]
fn offsets_are_those_of_the_file_where_it_is_not_utf8() {
    let (tree, said, code) = ast(b"// caf\xE9\nstruct A {}\n");
    assert_eq!((said.as_str(), code), ("", 0));
    assert_eq!(tree["definitions"][0]["span"]["start"]["offset"], 8);
    let (tree, said, code) = ast(b"const string A = 'caf\xE9'\nstruct B {}\n");
    assert_eq!(code, 1);
    assert!(said.contains("the file is not UTF-8") && said.contains("a.thrift:1:22"), "{said}");
    assert_eq!(tree["definitions"][1]["name"]["text"], "B");
}

#[test]
fn nothing_is_resolved_and_infinity_is_null() {
    let tree = fine("include \"nowhere.thrift\"\nstruct A { 1: nowhere.B b }\nconst double D = 1e400");
    let value = &tree["definitions"][1]["value"];
    assert_eq!((&value["value"], &value["text"]), (&Value::Null, &json!("1e400")));
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let error = ParsedFile::read("nowhere.thrift").unwrap_err();
    assert_eq!(error.to_string(), "error: cannot read `nowhere.thrift`: there is no such file");
}
