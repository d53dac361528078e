//! The command `thrift-nats-gen`, as a person runs it: what it writes, what it says, and its exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The same, with this on the standard input.
fn run_with_input(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const GOOD: &str = "struct Point { 1: i32 x, 2: i32 y }\n";

#[test]
fn code_goes_to_the_folder_or_to_the_standard_output() {
    let folder = folder(&[("point.thrift", GOOD)]);
    let (code, shown, said) = run(folder.path(), &["point.thrift"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(shown.contains("pub struct Point"), "{shown}");
    let (code, nothing, said) = run(folder.path(), &["point.thrift", "--out", "src/api"]);
    assert_eq!((code, nothing.as_str(), said.as_str()), (0, "", ""));
    assert_eq!(fs::read_to_string(folder.path().join("src/api/mod.rs")).unwrap(), shown);
    run(folder.path(), &["point.thrift", "--out", "src/api", "--file-name", "other.rs"]);
    assert_eq!(fs::read_to_string(folder.path().join("src/api/other.rs")).unwrap(), shown);
}

#[test]
fn check_fails_where_the_file_is_missing_or_out_of_date_and_writes_nothing() {
    let folder = folder(&[("point.thrift", GOOD)]);
    let check = ["point.thrift", "--out", "api", "--check"];
    let (code, _, said) = run(folder.path(), &check);
    assert_eq!(code, 1);
    assert!(said.contains("api/mod.rs` cannot be read"), "{said}");
    assert!(!folder.path().join("api").exists());
    assert_eq!(run(folder.path(), &check[..3]).0, 0);
    assert_eq!(run(folder.path(), &check), (0, String::new(), String::new()));
    fs::write(folder.path().join("point.thrift"), GOOD.replace("2: i32", "2: i64")).unwrap();
    let (code, _, said) = run(folder.path(), &check);
    assert_eq!(code, 1);
    assert!(
        said.contains("api/mod.rs` is not what the IDL gives; run the same command without --check"),
        "{said}"
    );
}

#[test]
fn every_mistake_of_every_file_is_shown_and_the_code_is_1() {
    let folder = folder(&[
        (
            "order.thrift",
            "include \"parts.thrift\"\nstruct Item { 1: i32 id }\nstruct Order {\n  1: list<Itme> items\n  1: parts.Bolt b\n}\n",
        ),
        ("parts.thrift", "struct Bolt { 1: i32 }\n"),
    ]);
    let (code, shown, said) = run(folder.path(), &["order.thrift"]);
    assert_eq!((code, shown.as_str()), (1, ""));
    let wanted = "\
error: unknown type `Itme`
 --> order.thrift:4:11
  |
4 |   1: list<Itme> items
  |           ^^^^ not found in this file or its includes
  |
  = help: there is a struct `Item`";
    assert!(said.contains(wanted), "{said}");
    assert!(said.contains("id 1 is used twice"), "{said}");
    assert!(said.contains("--> parts.thrift:1:"), "{said}");
    assert!(!said.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn a_missing_file_is_an_error_and_a_wrong_command_line_is_2() {
    let folder = folder(&[]);
    let (code, _, said) = run(folder.path(), &["nowhere.thrift"]);
    assert_eq!((code, said.trim()), (1, "error: cannot read `nowhere.thrift`: there is no such file"));
    assert_eq!(run(folder.path(), &[]).0, 2);
    assert_eq!(run(folder.path(), &["a.thrift", "--check"]).0, 2, "--check needs --out");
    assert_eq!(run(folder.path(), &["a.thrift", "--unknown"]).0, 2);
    let (code, help, _) = run(folder.path(), &["--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn included_files_are_searched_in_the_folders_that_are_named() {
    let folder = folder(&[
        ("idl/main.thrift", "include \"shared.thrift\"\nstruct A { 1: shared.B b }\n"),
        ("common/shared.thrift", "struct B {}\n"),
    ]);
    let (code, _, said) = run(folder.path(), &["idl/main.thrift"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot find `shared.thrift`") && said.contains("idl/main.thrift:1:9"), "{said}");
    let (code, shown, said) = run(folder.path(), &["idl/main.thrift", "-I", "common"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(shown.contains("pub mod shared"), "{shown}");
}

#[test]
fn a_folder_to_search_that_is_none_is_named() {
    let folder = folder(&[("a.thrift", GOOD)]);
    let warning = "warning: cannot search `comon` for included files: no such folder";
    for arguments in [&["check", "a.thrift"][..], &["a.thrift"], &["audit", "a.thrift", "a.thrift"]] {
        let run = |more: &[&str]| run(folder.path(), &[arguments, more].concat());
        let (code, _, said) = run(&["-I", "comon"]);
        assert_eq!((code, said.trim()), (0, warning), "{arguments:?}");
        assert_eq!(run(&["-I", "comon", "--deny-warnings"]).0, 1, "{arguments:?}");
    }
}

#[test]
fn nothing_is_written_outside_of_the_folder() {
    let folder = folder(&[("a.thrift", GOOD)]);
    let absolute = folder.path().join("x.rs");
    for name in ["../x.rs", "api/../../x.rs", "..", "", absolute.to_str().unwrap()] {
        let (code, _, said) = run(folder.path(), &["a.thrift", "--out", "src", "--file-name", name]);
        assert_eq!(code, 2, "{name}: {said}");
    }
    assert!(!absolute.exists());
    assert_eq!(run(folder.path(), &["a.thrift", "--out", "src", "--file-name", "api/x.rs"]).0, 0);
    assert!(folder.path().join("src/api/x.rs").exists());
}

#[test]
fn warnings_are_shown_and_may_be_denied() {
    let folder = folder(&[("warn.thrift", "struct A { i32 without_id }\n")]);
    let (code, shown, said) = run(folder.path(), &["warn.thrift"]);
    assert_eq!(code, 0);
    assert!(!shown.is_empty());
    assert!(
        said.contains("warning: field `without_id` has no id") && said.contains("warn.thrift:1:16"),
        "{said}"
    );
    let (code, shown, _) = run(folder.path(), &["warn.thrift", "--deny-warnings"]);
    assert_eq!((code, shown.as_str()), (1, ""));
}

#[test]
fn fmt_writes_files_anew_and_check_only_names_them() {
    let folder = folder(&[
        ("a.thrift", "struct A{1:i32 x;2:  string y}// the end"),
        ("b.thrift", "struct B { 1: i32"),
    ]);
    let (code, _, said) = run(folder.path(), &["fmt", "--check", "a.thrift"]);
    assert_eq!((code, said.trim()), (1, "`a.thrift` is not formatted"));
    assert_eq!(run(folder.path(), &["fmt", "a.thrift"]), (0, String::new(), String::new()));
    let formatted = fs::read_to_string(folder.path().join("a.thrift")).unwrap();
    assert!(
        formatted.contains("  1: i32 x,\n  2: string y,\n") && formatted.contains("// the end"),
        "{formatted}"
    );
    assert_eq!(run(folder.path(), &["fmt", "--check", "a.thrift"]).0, 0);
    // A file with mistakes is not changed.
    let (code, _, said) = run(folder.path(), &["fmt", "b.thrift"]);
    assert_eq!(code, 1);
    assert!(said.contains("b.thrift:1:"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("b.thrift")).unwrap(), "struct B { 1: i32");
    // Formatting must not change bytes that it cannot read.
    fs::write(folder.path().join("c.thrift"), b"// caf\xE9\nstruct C{}").unwrap();
    let (code, _, said) = run(folder.path(), &["fmt", "c.thrift"]);
    assert_eq!(code, 1);
    assert!(said.contains("not UTF-8"), "{said}");
    assert_eq!(fs::read(folder.path().join("c.thrift")).unwrap(), b"// caf\xE9\nstruct C{}");
}

#[test]
fn fmt_goes_on_behind_a_file_that_cannot_be_read() {
    let folder = folder(&[("b.thrift", "struct B{}")]);
    let (code, _, said) = run(folder.path(), &["fmt", "a.thrift", "b.thrift"]);
    assert_eq!((code, said.trim()), (1, "error: cannot read `a.thrift`: there is no such file"));
    assert_eq!(fs::read_to_string(folder.path().join("b.thrift")).unwrap(), "struct B {}\n");
}

#[test]
fn fmt_treats_the_standard_input_as_a_file() {
    assert_eq!(run_with_input(&["fmt", "-"], "struct A{}"), (0, "struct A {}\n".to_owned(), String::new()));
    let (code, shown, said) = run_with_input(&["fmt", "--check", "-"], "struct A{}");
    assert_eq!((code, shown.as_str(), said.trim()), (1, "", "the standard input is not formatted"));
    assert_eq!(run_with_input(&["fmt", "--check", "-"], "struct A {}\n"), (0, String::new(), String::new()));
    let (code, shown, said) = run_with_input(&["fmt", "-"], "struct A {\n  1: i32\n}");
    assert_eq!((code, shown.as_str()), (1, ""));
    assert!(said.contains(" --> <standard input>:2:9\n"), "{said}");
}

#[test]
fn a_misspelt_command_is_a_wrong_command_line() {
    let folder = folder(&[("fmt2", GOOD)]);
    let (code, _, said) = run(folder.path(), &["chekc", "point.thrift"]);
    assert_eq!(code, 2);
    assert!(said.contains("there is a command `check`"), "{said}");
    let (code, _, said) = run(folder.path(), &["point.thrift"]);
    assert_eq!((code, said.trim()), (1, "error: cannot read `point.thrift`: there is no such file"));
    // A file with such a name is a file.
    assert_eq!(run(folder.path(), &["fmt2"]).0, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn completions_to_a_full_device_do_not_panic() {
    let output = Command::new(env!("CARGO_BIN_EXE_thrift-nats-gen"))
        .args(["completions", "bash"])
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_projects_own_files_are_formatted() {
    let idl = Path::new(env!("CARGO_MANIFEST_DIR")).join("../idl");
    for entry in fs::read_dir(&idl).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert_eq!(run(&idl, &["fmt", "--check", &name]), (0, String::new(), String::new()), "{name}");
    }
}
