//! Names that meet, and names that are chosen.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use thrift_nats_codegen::{Error, Generated, Options, Severity};

fn generate(text: &str) -> Result<Generated, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.thrift");
    std::fs::write(&path, text).unwrap();
    Options::new().generate([path])
}

#[test]
fn functions_that_meet_names_of_the_client_get_out_of_the_way_of_each_other_too() {
    let text =
        "service A { void close(), void close_(), void Close() }\nservice B extends A { void CLOSE() }";
    let code = generate(text).unwrap().code;
    let (_, client) = code.split_once("impl BClient").unwrap();
    let mut methods: Vec<&str> =
        client.split("pub fn ").skip(1).map(|rest| rest.split('(').next().unwrap()).collect();
    let all = methods.len();
    methods.sort_unstable();
    methods.dedup();
    assert_eq!(methods.len(), all, "{methods:?}");
}

/// The variants of the error of a function that throws these, and the types that it is made from.
fn error_of(throws: &str) -> (Vec<String>, Vec<String>) {
    let text = format!(
        "exception A {{}} exception Rpc {{}} typedef A AlsoA service S {{ void f() throws ({throws}) }}"
    );
    let code = generate(&text).unwrap().code;
    let (_, body) = code.split_once("pub enum SFError {").unwrap();
    let (body, rest) = body.split_once('}').unwrap();
    let (rest, _) = rest.split_once(");").unwrap();
    let variants =
        body.lines().filter_map(|line| line.trim().split_once('(')).map(|(name, _)| name.to_owned());
    let sources =
        rest.split("from ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned());
    (variants.collect(), sources.collect())
}

#[test]
fn variants_of_an_error_are_named_after_the_types_of_exceptions() {
    assert_eq!(error_of("1: A missing"), (vec!["A".into(), "Rpc".into()], vec!["A".into()]));
    assert_eq!(error_of("1: AlsoA missing").0, ["A", "Rpc"]);
    assert_eq!(error_of("1: A missing (rust.name = \"Gone\")").0, ["Gone", "Rpc"]);
}

#[test]
fn variants_with_one_type_are_named_after_their_fields_and_have_no_conversion() {
    let (variants, sources) = error_of("1: A missing, 2: Rpc rpc, 3: AlsoA gone_away");
    assert_eq!(variants, ["Missing", "Rpc_", "GoneAway", "Rpc"]);
    assert_eq!(sources, ["Rpc_"]);
}

#[test]
fn names_that_meet_are_told_apart_with_a_warning_at_both() {
    let generated = generate("struct FooBar {}\nstruct foo_bar {}").unwrap();
    assert!(generated.code.contains("struct FooBar {") && generated.code.contains("struct FooBar_ {"));
    let warning = generated.warnings.iter().next().unwrap();
    assert_eq!(warning.message(), "becomes `FooBar_` in Rust");
    assert_eq!(warning.notes().count(), 1);
}

#[test]
fn a_name_can_be_chosen_if_it_is_one_and_free() {
    let code = generate("struct A { 1: i32 x (rust.name = \"y\") } (rust.name = \"B\")").unwrap().code;
    assert!(code.contains("pub struct B {") && code.contains("pub y: i32"), "{code}");
    for (wrong, why) in [
        ("struct A {} (rust.name = \"1a\")", "not an identifier of Rust"),
        ("struct A {} (rust.name = \"f64\")", "not an identifier of Rust"),
        ("struct A {} (rust.name = \"Self\")", "not an identifier of Rust"),
        ("struct A {}\nstruct B {} (rust.name = \"C\")\nstruct D {} (rust.name = \"C\")", "taken already"),
        ("struct A { 1: i32 x } (rust.names = \"B\")", "nothing would come of it"),
        ("service S { void f() (rust.derive = \"Eq\") }", "nothing would come of it"),
        ("struct A {} (rust.derive = \"Foo(\")", "expected paths"),
    ] {
        let error = generate(wrong).unwrap_err().to_string();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[test]
fn a_trait_that_is_derived_anyway_may_be_asked_for() {
    let code = generate("struct A {} (rust.derive = \"Clone, Copy\")\nenum E {} (rust.derive = \"Hash\")")
        .unwrap()
        .code;
    let derives: Vec<&str> = code.lines().filter(|line| line.contains("#[derive(")).collect();
    assert_eq!(derives.len(), 2, "{code}");
    for derive in derives {
        for name in ["Clone", "Copy", "Hash"] {
            assert_eq!(derive.matches(name).count(), 1, "{derive}");
        }
    }
    let paths = "std::cmp::Eq, ::core :: hash::Hash, Copy, std::marker::Copy, other::Eq, other::Eq";
    let code = generate(&format!("struct A {{}} (rust.derive = \"{paths}\")")).unwrap().code;
    let wanted = "#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Copy, other::Eq)]";
    assert!(code.contains(wanted), "{code}");
}

#[test]
fn a_function_that_is_neither_idempotent_nor_not_is_told() {
    let said = |value: &str| {
        generate(&format!("service S {{ void f() (idempotent{value}) }}")).unwrap().warnings.to_string()
    };
    for fine in ["", " = \"true\"", " = \"1\"", " = \"false\"", " = \"0\""] {
        assert_eq!(said(fine), "", "{fine}");
    }
    let warning = said(" = \"yes\"");
    assert!(warning.contains("`idempotent = \"yes\"` says neither yes nor no"), "{warning}");
    assert!(warning.contains("write `idempotent = \"true\"`"), "{warning}");
}

#[test]
fn a_few_typedefs_cannot_stand_for_millions_of_types() {
    let mut text = String::from("typedef map<i32, i32> A0\n");
    for level in 1..=60 {
        text += &format!("typedef map<A{}, A{}> A{level}\n", level - 1, level - 1);
    }
    let error = generate(&text).unwrap_err();
    assert!(error.to_string().contains("stands for a type of more than 1000 parts"), "{error}");
    assert_eq!(
        error.report().iter().filter(|finding| finding.severity() == Severity::Error).count(),
        6,
        "where it becomes too large, and not for each that is made of it: {error}"
    );
}

/// No time is measured: what tries every name for each name does not end within a test.
#[test]
fn thousands_of_names_may_become_one() {
    let fields: String = (0..3_000)
        .map(|n| format!("{}: i32 {}a{}b\n", n + 1, "_".repeat(n % 60), "_".repeat(1 + n / 60)))
        .collect();
    let generated = generate(&format!("struct A {{ {fields} }}")).unwrap();
    // The first sixty are in the case of Rust already.
    assert_eq!(generated.warnings.len(), 3_000 - 60);
}
