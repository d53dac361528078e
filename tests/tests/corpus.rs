//! The generated code of all IDL files of public projects, in one crate, under the strictest lints.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use thrift_nats_codegen::{Containers, Options};
use thrift_nats_tests::{target_dir, workspace_dir};

fn corpus() -> Option<PathBuf> {
    let beside = workspace_dir().join("../shared/idl-corpus");
    let path = std::env::var_os("THRIFT_IDL_CORPUS").map_or(beside, PathBuf::from);
    if !path.is_dir() {
        println!("skipped: no IDL corpus at {} (set THRIFT_IDL_CORPUS)", path.display());
        return None;
    }
    Some(path)
}

/// The files that either version of Apache's compiler accepts.
fn accepted(corpus: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (folder, columns) in [("real", [3, 5]), ("oddities", [1, 3])] {
        let table = fs::read_to_string(corpus.join(folder).join("VERDICTS.tsv")).unwrap();
        for row in table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>()) {
            if columns.iter().any(|column| matches!(row[*column], "yes" | "accepts")) {
                files.push(corpus.join(folder).join(row[0]));
            }
        }
    }
    files
}

#[test]
fn the_generated_code_of_the_corpus_has_no_warning() {
    let Some(corpus) = corpus() else { return };
    let folder = target_dir().join("newcomer/corpus");
    fs::create_dir_all(folder.join("src")).unwrap();
    let runtime = workspace_dir().join("thrift-nats-runtime");
    let manifest = format!(
        "[package]\nname = \"corpus\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         thrift-nats-runtime = {{ path = {:?}, default-features = false }}\n",
        runtime.to_str().unwrap()
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace_dir().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    // Some have structs nested 64 levels deep.
    let mut lib = String::from(
        "//! The corpus.\n#![deny(warnings, missing_docs, clippy::pedantic)]\n#![recursion_limit = \"512\"]\n",
    );
    let mut generated = 0;
    for (number, file) in accepted(&corpus).iter().enumerate() {
        // Every second file with hash containers.
        let containers = if number % 2 == 0 { Containers::BTree } else { Containers::Hash };
        let Ok(code) = Options::new().containers(containers).generate([file]) else { continue };
        code.write(&folder.join(format!("src/file{number}.rs"))).unwrap();
        writeln!(lib, "/// One file.\npub mod file{number} {{ include!(\"file{number}.rs\"); }}").unwrap();
        generated += 1;
    }
    assert!(
        generated > 550,
        "{generated} files were generated; only few may be rejected on purpose or include missing files"
    );
    let lib_file = folder.join("src/lib.rs");
    if fs::read_to_string(&lib_file).ok().as_deref() != Some(&lib) {
        fs::write(&lib_file, lib).unwrap();
    }
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "-q"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", target_dir().join("newcomer/target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", text.chars().take(5000).collect::<String>());
}
