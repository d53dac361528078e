//! Every option, by a test that fails when the option is ignored; and what `compile` writes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use thrift_nats_codegen::{Containers, Options, Strings};

const IDL: &str = "/** What it is for. */\nservice Greeter { string greet(1: string name) }\n";

/// A file, and the folder that it is in.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("greeter.thrift");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn code(options: &Options, text: &str) -> String {
    let (_folder, path) = file(text);
    options.generate([path]).unwrap().code
}

#[test]
fn by_default_there_are_client_server_and_comments() {
    let code = code(&Options::new(), IDL);
    for wanted in
        ["pub trait Greeter", "pub struct GreeterServer", "pub struct GreeterClient", "/// What it is for."]
    {
        assert!(code.contains(wanted), "{wanted} in\n{code}");
    }
}

#[test]
fn client_and_server_can_be_left_out() {
    let without_client = code(&Options::new().client(false), IDL);
    assert!(!without_client.contains("GreeterClient") && without_client.contains("GreeterServer"));
    let without_server = code(&Options::new().server(false), IDL);
    assert!(!without_server.contains("GreeterServer") && without_server.contains("GreeterClient"));
    assert!(!without_server.contains("trait Greeter") && !without_server.contains("in_process"));
}

#[test]
fn comments_can_be_left_out() {
    assert!(!code(&Options::new().comments(false), IDL).contains("What it is for."));
}

#[test]
fn default_derives_are_not_derived_twice() {
    let text = "struct A { 1: i32 a = 5 } (rust.derive = \"Hash, Default, serde::Serialize, ::serde::Deserialize, x::Y\")";
    let plain = code(&Options::new(), text);
    assert!(
        plain.contains(
            "#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, ::serde::Deserialize, x::Y)]"
        ),
        "{plain}"
    );
    let serde = code(&Options::new().serde(true), text);
    assert_eq!(
        (serde.matches("::Serialize").count(), serde.matches("::Deserialize").count()),
        (1, 1),
        "{serde}"
    );
    assert!(serde.contains("x::Y"), "{serde}");
}

#[test]
fn a_trait_that_cannot_be_derived_is_an_error_under_the_option_that_is_the_cause() {
    let (_folder, path) =
        file("struct A { 1: set<i32> a } (rust.derive = \"Hash\") struct B {} (rust.derive = \"Copy\")");
    let said = |options: &Options| {
        let report = options.check([&path]).unwrap();
        let generated = options.generate([&path]);
        assert_eq!(generated.is_err(), !report.is_empty());
        report.to_string()
    };
    assert_eq!(said(&Options::new()), "");
    assert!(said(&Options::new().containers(Containers::Hash)).contains("`Hash` cannot be derived for `A`"));
    assert!(said(&Options::new().keep_unknown_fields(true)).contains("`Copy` cannot be derived for `B`"));
}

#[test]
fn unknown_fields_can_be_kept() {
    let text = "struct A { 1: i32 a, 2: string unknownFields } union U { 1: i32 a } struct Empty {} const A ALL = {\"a\": 1, \"unknownFields\": \"\"}";
    let kept = code(&Options::new().keep_unknown_fields(true), text);
    for wanted in [
        "pub unknown_fields: ::thrift_nats_runtime::protocol::UnknownFields",
        "pub unknown_fields_: ::std::string::String",
        "Unknown(::thrift_nats_runtime::protocol::UnknownFields)",
        "field.keep(&mut value.unknown_fields)",
        "self.unknown_fields.write(output)?",
        "..::core::default::Default::default()",
    ] {
        assert!(kept.contains(wanted), "{wanted} in\n{kept}");
    }
    let skipped = code(&Options::new(), text);
    assert!(
        !skipped.contains("UnknownFields") && skipped.contains("pub unknown_fields: ::std::string::String")
    );
}

#[test]
fn the_runtime_can_have_another_path() {
    let code = code(&Options::new().runtime("crate::rt").unwrap(), IDL);
    assert!(code.contains("crate::rt::Client") && !code.contains("thrift_nats_runtime"));
    assert!(Options::new().runtime("no path!").is_err());
}

#[test]
fn warnings_can_be_denied() {
    let (_folder, path) = file("struct A { i32 without_id }");
    let generated = Options::new().generate([&path]).unwrap();
    assert_eq!(generated.warnings.len(), 1);
    let error = Options::new().deny_warnings(true).generate([&path]).unwrap_err();
    assert_eq!(error.report().len(), 1);
}

#[test]
fn folders_for_includes_are_searched_after_the_files_own() {
    let (folder, path) = file("include \"other.thrift\"\nconst i32 X = other.Y");
    fs::create_dir(folder.path().join("far")).unwrap();
    fs::write(folder.path().join("far/other.thrift"), "const i32 Y = 1").unwrap();
    assert!(Options::new().generate([&path]).is_err());
    let options = Options::new().include(folder.path().join("far"));
    let generated = options.generate([&path]).unwrap();
    assert_eq!(generated.sources, [path.clone(), folder.path().join("far/other.thrift")]);
    fs::write(folder.path().join("other.thrift"), "const i32 Y = 2").unwrap();
    assert!(options.generate([&path]).unwrap().code.contains("pub const Y: i32 = 2;"));
}

#[test]
fn compile_writes_changed_files_to_the_chosen_folder() {
    let (folder, path) = file(IDL);
    let out = folder.path().join("out");
    let options = Options::new().out_dir(&out).file_name("api.rs");
    options.compile([&path]).unwrap();
    let written = out.join("api.rs");
    assert_eq!(fs::read_to_string(&written).unwrap(), options.generate([&path]).unwrap().code);
    // Differs from the time of any later write.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&written).unwrap().set_modified(long_ago).unwrap();
    options.compile([&path]).unwrap();
    assert_eq!(fs::metadata(&written).unwrap().modified().unwrap(), long_ago, "not written");
    fs::write(&path, IDL.replace("greet(", "hello(")).unwrap();
    options.compile([&path]).unwrap();
    assert_ne!(fs::metadata(&written).unwrap().modified().unwrap(), long_ago, "written again");
}

#[test]
fn compile_writes_nothing_outside_of_its_folder() {
    let (folder, path) = file(IDL);
    let options = Options::new().out_dir(folder.path().join("out")).file_name("../x.rs");
    let error = options.compile([path]).unwrap_err();
    assert!(error.to_string().contains("file name `../x.rs` is outside of the output folder"), "{error}");
    assert!(!folder.path().join("x.rs").exists());
}

#[test]
fn an_error_keeps_earlier_output() {
    let (folder, path) = file(IDL);
    let options = Options::new().out_dir(folder.path());
    options.compile([&path]).unwrap();
    let before = fs::read_to_string(folder.path().join("thrift.rs")).unwrap();
    fs::write(&path, "struct A { 1: Nothing n }").unwrap();
    let error = options.compile([&path]).unwrap_err();
    assert_eq!(error.to_string(), error.report().render(false));
    assert!(format!("{error:?}").contains(&error.to_string()), "`unwrap` shows the same");
    assert_eq!(fs::read_to_string(folder.path().join("thrift.rs")).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (folder, path) = file(IDL);
    fs::write(folder.path().join("taken"), "a file").unwrap();
    let error = Options::new().out_dir(folder.path().join("taken")).compile([&path]).unwrap_err();
    assert!(error.to_string().contains("cannot write") && error.to_string().contains("taken"), "{error}");
}

#[test]
fn without_a_file_there_is_nothing_to_do() {
    assert!(Options::new().generate(Vec::<PathBuf>::new()).is_err());
}

const TYPES: &str = "enum Kind { A }\nstruct Order { 1: double price, 2: map<string, i32> counts, 3: set<i32> ids, \
                     4: optional string someText, 5: map<set<i32>, i32> keyed }\nunion Either { 1: i32 one }\n";

#[test]
fn containers_can_be_hash_ones_but_not_in_keys() {
    let code = |options: &Options, text: &str| {
        code(options, text).split_whitespace().collect::<String>().replace(",>", ">")
    };
    let btree = code(&Options::new(), TYPES);
    assert!(!btree.contains("HashMap") && !btree.contains("HashSet"));
    let hash = code(&Options::new().containers(Containers::Hash), TYPES);
    for wanted in [
        "pubcounts:::std::collections::HashMap<::std::string::String,i32>",
        "pubids:::std::collections::HashSet<i32>",
        "pubkeyed:::std::collections::HashMap<::std::collections::BTreeSet<i32>,i32>",
    ] {
        assert!(hash.contains(wanted), "{wanted} in {hash}");
    }
    // One alone, by the IDL.
    let one = TYPES.replace("set<i32> ids", "set<i32> (rust.type = \"hash\") ids");
    let mixed = code(&Options::new(), &one);
    assert!(mixed.contains("pubids:::std::collections::HashSet<i32>"), "{mixed}");
    assert!(mixed.contains("pubcounts:::std::collections::BTreeMap<"), "{mixed}");
    let other = TYPES.replace("set<i32> ids", "set<i32> ids (rust.type = \"btree\")");
    let mixed = code(&Options::new().containers(Containers::Hash), &other);
    assert!(mixed.contains("pubids:::std::collections::BTreeSet<i32>"), "{mixed}");
}

#[test]
fn strings_can_be_shared() {
    assert!(code(&Options::new(), TYPES).contains("::core::option::Option<::std::string::String>"));
    let shared = code(&Options::new().strings(Strings::Shared), TYPES);
    assert!(shared.contains("::core::option::Option<::thrift_nats_runtime::FastStr>"), "{shared}");
}

#[test]
fn attributes_are_put_where_their_pattern_is_and_one_that_matches_nothing_is_an_error() {
    let options = Options::new()
        .type_attribute("Order", "#[derive(Order0)]")
        .and_then(|options| options.type_attribute("greeter.E*", "#[derive(Either0)]"))
        .and_then(|options| options.field_attribute("*.someText", "#[text0]"))
        .unwrap();
    let made = code(&options, TYPES);
    for (attribute, before) in [
        ("#[derive(Order0)]", "pub struct Order"),
        ("#[derive(Either0)]", "pub enum Either"),
        ("#[text0]", "pub some_text"),
    ] {
        let (_, behind) = made.split_once(attribute).unwrap();
        assert!(behind.trim_start().starts_with(before), "{attribute} before {before}");
        assert_eq!(made.matches(attribute).count(), 1);
    }
    let (_folder, path) = file(TYPES);
    let error = Options::new().type_attribute("Ordr", "#[x]").unwrap().generate([&path]).unwrap_err();
    assert!(error.to_string().contains("no type is matched by `Ordr`"), "{error}");
    let error = Options::new().field_attribute("Order.prize", "#[x]").unwrap().generate([&path]).unwrap_err();
    assert!(error.to_string().contains("no field is matched by `Order.prize`"), "{error}");
    assert!(Options::new().type_attribute("Order", "derive(x)").is_err());
}

#[test]
fn serde_has_the_names_of_the_idl() {
    let made = code(&Options::new().serde(true), TYPES);
    assert!(made.contains("::thrift_nats_runtime::__private::serde::Serialize"), "{made}");
    assert!(made.contains("#[serde(rename = \"someText\")]"), "{made}");
    assert!(!code(&Options::new(), TYPES).contains("serde"));
}

#[test]
fn the_code_of_an_included_file_can_be_elsewhere() {
    let (folder, path) =
        file("include \"idl/shared.thrift\"\nstruct A { 1: shared.B b }\nservice S extends shared.P {}");
    fs::create_dir(folder.path().join("idl")).unwrap();
    let shared = "include \"base.thrift\"\nstruct B { 1: base.C c }\nservice P { void ping(1: B b) }";
    fs::write(folder.path().join("idl/shared.thrift"), shared).unwrap();
    fs::write(folder.path().join("idl/base.thrift"), "struct C {}").unwrap();
    let options = |file: &str| Options::new().extern_file(file, "::other_crate::shared").unwrap();
    let made = options("idl/shared.thrift").generate([&path]).unwrap().code;
    assert!(made.contains("pub b: ::other_crate::shared::B"), "{made}");
    assert!(made.contains("::other_crate::shared::PServer::<H>::dispatch"), "{made}");
    assert!(!made.contains("pub mod shared") && !made.contains("pub mod base"), "{made}");
    let error = options("nothing.thrift").generate([&path]).unwrap_err();
    assert!(error.to_string().contains("no file is included as `nothing.thrift`"), "{error}");
    assert!(Options::new().extern_file("shared.thrift", "no path").is_err());
}

#[test]
fn a_generated_file_cannot_be_in_another_crate() {
    let (_folder, path) = file("struct A {}");
    let options = Options::new().extern_file("greeter.thrift", "::other_crate::greeter").unwrap();
    let error = options.generate([&path]).unwrap_err().to_string();
    assert!(error.contains("greeter.thrift`, but it is already in `::other_crate::greeter`"), "{error}");
    assert!(error.contains("remove `extern_file` of `greeter.thrift`"), "{error}");
}

#[test]
fn a_type_can_be_the_users_own() {
    let text = "struct A { 1: i64 at = 5 (rust.type = \"crate::Time\"), 2: list<string (rust.type = \"crate::Name\")> names }";
    let made = code(&Options::new(), text);
    assert!(made.contains("pub at: crate::Time") && made.contains("::std::vec::Vec<crate::Name>"), "{made}");
    assert!(made.contains("::core::convert::From::from(5)"), "{made}");
}
