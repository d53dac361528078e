//! Every option, by a test that fails when the option is ignored; and what `compile` writes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use thrift_nats_codegen::Options;

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
fn compile_writes_where_it_is_told_and_only_what_has_changed() {
    let (folder, path) = file(IDL);
    let out = folder.path().join("out");
    let options = Options::new().out_dir(&out).file_name("api.rs");
    options.compile([&path]).unwrap();
    let written = out.join("api.rs");
    assert_eq!(fs::read_to_string(&written).unwrap(), options.generate([&path]).unwrap().code);
    // A time that no write of now would leave.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&written).unwrap().set_modified(long_ago).unwrap();
    options.compile([&path]).unwrap();
    assert_eq!(fs::metadata(&written).unwrap().modified().unwrap(), long_ago, "left alone");
    fs::write(&path, IDL.replace("greet(", "hello(")).unwrap();
    options.compile([&path]).unwrap();
    assert_ne!(fs::metadata(&written).unwrap().modified().unwrap(), long_ago, "written anew");
}

#[test]
fn an_error_leaves_what_was_written_alone() {
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
