//! The text of diagnostics: pages with a mistake each, and the expected text. `BLESS=1` writes the pages again; read the diff.
//!
//! On a page, a block of `thrift` is the file `orders.thrift`, or the file that it names. The block of `text` after it is the
//! output of the checker. There is always a file `shared.thrift`.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::Path;

use thrift_nats_codegen::Options;
use thrift_nats_codegen::Severity::{Error, Warning};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// Makes all mistakes on a page, and says how many there are.
fn hold(page: &Path) -> usize {
    let present = fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shared.thrift"), "struct Address { 1: string street }\n").unwrap();
    let prefix = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);
    let (mut wanted, mut rest, mut mistakes) = (String::new(), present.as_str(), 0);
    while let Some((before, behind)) = rest.split_once("```thrift") {
        let (name, behind) = behind.split_once('\n').unwrap();
        let (source, behind) = behind.split_once("```\n").unwrap();
        wanted += &format!("{before}```thrift{name}\n{source}```\n");
        rest = behind;
        let name = if name.is_empty() { "orders.thrift" } else { name.trim() };
        let file = folder.path().join(name);
        fs::write(&file, source).unwrap();
        if let Some(text) = behind.strip_prefix("```text\n") {
            let report = Options::new().check([&file]).unwrap();
            assert!(!report.is_empty(), "{source}");
            let said =
                report.render(false).replace(&prefix, "").replace(&*folder.path().to_string_lossy(), ".");
            wanted += &format!("```text\n{said}\n```\n");
            rest = text.split_once("```\n").unwrap().1;
            mistakes += 1;
        }
    }
    wanted += rest;
    if std::env::var_os("BLESS").is_some() {
        fs::write(page, &wanted).unwrap();
    } else {
        assert!(present == wanted, "{}: read the diff after a run with BLESS=1", page.display());
    }
    mistakes
}

#[test]
fn the_documented_mistakes_are_shown_as_documented() {
    assert_eq!(hold(&Path::new(HERE).join("../docs/mistakes.md")), 11);
}

#[test]
fn every_kind_of_mistake_is_shown_as_it_was_read_by_a_person() {
    let mut mistakes = 0;
    for entry in fs::read_dir(Path::new(HERE).join("tests/diagnostics")).unwrap() {
        mistakes += hold(&entry.unwrap().path());
    }
    assert!(mistakes > 40, "{mistakes}");
}

#[test]
fn a_service_has_so_many_above_it_and_no_more() {
    let chain = |len: usize| -> String {
        let extends = |number: usize| match number {
            0 => String::new(),
            _ => format!(" extends S{}", number - 1),
        };
        (0..len)
            .map(|number| format!("service S{number}{} {{ void f{number}() }}\n", extends(number)))
            .collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chain.thrift");
    let places = |len: usize| {
        fs::write(&file, chain(len)).unwrap();
        let report = Options::new().check([&file]).unwrap();
        let finding = |finding: thrift_nats_codegen::Finding<'_>| {
            (finding.message().to_owned(), finding.location().unwrap().line)
        };
        report.iter().map(finding).collect::<Vec<_>>()
    };
    assert_eq!(places(101), []);
    let text = |name: &str| format!("service `{name}` has more than 100 services above it");
    assert_eq!(places(203), [(text("S101"), 102), (text("S202"), 203)]);
    assert_eq!(places(20_000).len(), 198);
}

/// Apache's compiler accepts them all, with the same meaning.
#[test]
fn empty_brackets_are_any_empty_container() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.thrift");
    let check = |source: &str| {
        fs::write(&file, source).unwrap();
        Options::new().check([&file]).unwrap().render(false)
    };
    assert_eq!(check("struct S { 1: list<i32> l = {}, 2: set<i32> s = {}, 3: map<i32, i32> m = [] }"), "");
    assert_eq!(check("typedef map<i32, list<i32>> M\nconst list<M> MAPS = [[], {}, {1: {}}]"), "");
    // Their contents are of the other kind.
    assert!(check("const map<i32, i32> M = [1]").contains("`M` must be a map of i32 to i32, not a list"));
    assert!(check("struct S {}\nconst S EMPTY = []").contains("must be a value of struct S, not a list"));
}

#[test]
fn an_enum_without_a_name_has_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nameless.thrift");
    fs::write(&file, "enum { A }\nstruct S { 1: Box a = Box.A, 2: other.Box b }").unwrap();
    let report = Options::new().check([&file]).unwrap();
    let said: Vec<_> = report.iter().map(|finding| finding.message().to_owned()).collect();
    assert_eq!(said, ["expected a name, found `{`", "unknown type `other.Box`"]);
}

#[test]
fn a_constant_of_another_type_has_its_mistakes_where_it_is_defined() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("constants.thrift");
    let places = |source: &str| {
        fs::write(&file, source).unwrap();
        let report = Options::new().check([&file]).unwrap();
        let place = |finding: thrift_nats_codegen::Finding<'_>| {
            let place = finding.location().unwrap();
            (place.line, place.column, finding.severity())
        };
        report.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(
        places("const i32 A = missing\nconst i64 B = A\nconst list<i64> C = [A, B]"),
        [(1, 15, Error)]
    );
    assert_eq!(places("const i32 A = \"x\"\nconst i64 B = A"), [(1, 15, Error)]);
    assert_eq!(places("const i32 A = 1\nconst i64 B = A\nconst i8 C = B"), []);
    assert_eq!(places("const i32 A = 300\nconst i8 B = A"), [(2, 14, Error)]);
    let map = "const map<string, i32> A = {'a': 1, 'a': 2}\n";
    assert_eq!(places(&format!("{map}const map<string, i64> B = A")), [(1, 37, Warning)]);
}

/// Some files are one line. No time is measured: if each error showed the whole line, the test would not end.
#[test]
fn a_long_line_is_shown_in_part() {
    let fields: String = (1..5_000).map(|id| format!(" {id}: Size{id} f{id};")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("line.thrift");
    fs::write(&file, format!("/* é */ struct A {{{fields} 1: i32 again }}")).unwrap();
    let report = Options::new().check([&file]).unwrap();
    assert_eq!(report.len(), 5_000);
    let text = report.render(false);
    let first = text.split("\n\n").next().unwrap();
    assert!(first.contains("line.thrift:1:23\n") && first.contains("1: Size1 f1; 2: Size2"), "{first}");
    let last = text.rsplit("\n\n").find(|said| said.contains("id 1 is used twice")).unwrap();
    let column = report.iter().last().unwrap().location().unwrap().column;
    assert!(column > 80_000 && last.contains(&format!("line.thrift:1:{column}\n")), "{last}");
    assert!(last.lines().all(|line| line.len() < 300), "{last}");
}
