//! The first steps of a user: the crate of the README, built from the text of the README and run; then mistakes in the IDL,
//! with a build script and with the macro.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use thrift_nats_tests::{NatsServer, target_dir, workspace_dir};

/// The code block that follows `` `name`: `` in the README.
fn readme_block(name: &str) -> String {
    let readme = fs::read_to_string(workspace_dir().join("README.md")).unwrap();
    let (_, rest) =
        readme.split_once(&format!("\n`{name}`:\n```")).unwrap_or_else(|| panic!("no block for {name}"));
    let (_, block) = rest.split_once('\n').unwrap();
    block.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// A crate outside the workspace that depends on the published packages.
struct Newcomer {
    folder: PathBuf,
}

impl Newcomer {
    fn new(name: &str) -> Self {
        let folder = target_dir().join("newcomer").join(name);
        let _ = fs::remove_dir_all(&folder);
        let newcomer = Self { folder };
        let mut manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n"
        );
        manifest += &readme_block("Cargo.toml");
        manifest += "\n[patch.crates-io]\n";
        for (package, path) in [
            ("thrift-nats-runtime", "thrift-nats-runtime"),
            ("thrift-nats-codegen", "thrift-nats-codegen"),
            ("thrift-nats-macros", "thrift-nats-macros"),
            ("thrift-nats-parser", "thrift-nats-codegen/thrift-parser"),
        ] {
            let path = workspace_dir().join(path);
            manifest += &format!("{package} = {{ path = {:?} }}\n", path.to_str().unwrap());
        }
        newcomer.write("Cargo.toml", &manifest);
        newcomer.write("idl/greeter.thrift", &readme_block("idl/greeter.thrift"));
        newcomer.write("build.rs", &readme_block("build.rs"));
        newcomer.write("src/main.rs", &readme_block("src/main.rs"));
        // The versions in the lock file of the project.
        fs::copy(workspace_dir().join("Cargo.lock"), newcomer.path("Cargo.lock")).unwrap();
        newcomer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn cargo(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target_dir().join("newcomer/target"))
            .env("CARGO_TERM_COLOR", "never")
            .env_remove("RUSTFLAGS")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_shows(output: &Output, wanted: &[&str]) {
    assert!(!output.status.success());
    let text = text(output);
    for wanted in wanted {
        assert!(text.contains(wanted), "expected\n{wanted}\nin\n{text}");
    }
}

/// Runs the example of the README unchanged, then checks the diagnostics of mistakes. One test, so that the dependencies are
/// built once.
#[test]
fn readme_works_and_mistakes_in_the_idl_have_places() {
    let nats = NatsServer::start().unwrap();
    let greeter = Newcomer::new("greeter");
    let output = greeter.cargo(&["run", "-q"], &[("NATS_URL", &nats.url())]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, world!\ndeclared: the name is empty\n");

    // An undefined name, with the build script.
    let idl = readme_block("idl/greeter.thrift");
    greeter.write("idl/greeter.thrift", &idl.replace("1: string name", "1: strin name"));
    let output = greeter.cargo(&["check", "-q"], &[]);
    let wanted = [
        "error: unknown type `strin`",
        " --> idl/greeter.thrift:5:19",
        "5 |   string greet(1: strin name) throws (1: Nameless nameless)\n",
        "  |                   ^^^^^ not found in this file or its includes\n",
        "help: there is `string`",
    ];
    assert_shows(&output, &wanted);

    // A syntax error and another mistake after it, both in one report.
    let broken = idl.replace("1: string why", "1: string").replace("1: string name", "1: strin name");
    greeter.write("idl/greeter.thrift", &broken);
    assert_shows(
        &greeter.cargo(&["check", "-q"], &[]),
        &["idl/greeter.thrift:1:", "idl/greeter.thrift:5:19"],
    );

    // A missing file, with the build script.
    fs::remove_file(greeter.path("idl/greeter.thrift")).unwrap();
    let missing = "cannot read `idl/greeter.thrift`: there is no such file";
    assert_shows(&greeter.cargo(&["check", "-q"], &[]), &[missing]);

    // The macro, in a crate without a build script.
    let macros = Newcomer::new("by-macro");
    fs::remove_file(macros.path("build.rs")).unwrap();
    let main = "#[thrift_nats_runtime::thrift(\"idl/greeter.thrift\")]\nmod api {}\n";
    macros
        .write("src/main.rs", &format!("{main}fn main() {{ let _ = api::greeter::Nameless::default(); }}\n"));
    let output = macros.cargo(&["check", "-q"], &[]);
    assert!(output.status.success(), "{}", text(&output));
    // Mistakes in the arguments of the macro: each is shown, and the module is filled nevertheless.
    let mistakes = main.replace("thrift\")]", "thrift\", inclde(\"x\"), serde = 5, client = false)]");
    let fine = fs::read_to_string(macros.path("src/main.rs")).unwrap();
    macros.write("src/main.rs", &fine.replace(main, &mistakes));
    let output = macros.cargo(&["check", "-q"], &[]);
    assert_shows(&output, &["unknown option `inclde`", "expected boolean literal", "src/main.rs:1"]);
    assert!(text(&output).contains("2 previous errors"), "the module is there: {}", text(&output));
    macros.write("src/main.rs", &fine);
    // Built again, because the IDL file has changed.
    macros.write("idl/greeter.thrift", &idl.replace("1: string name", "1: strin name"));
    let wanted =
        ["unknown type `strin`", "greeter.thrift:5:19", "^^^^^ not found in this file or its includes"];
    let output = macros.cargo(&["check", "-q"], &[]);
    assert_shows(&output, &wanted);
    assert!(!text(&output).contains("could not find `greeter`"), "the module is there: {}", text(&output));
    fs::remove_file(macros.path("idl/greeter.thrift")).unwrap();
    assert_shows(&macros.cargo(&["check", "-q"], &[]), &["there is no such file", "src/main.rs:1"]);
    assert!(Path::new(&macros.folder).ends_with("newcomer/by-macro"));
}
