//! Notes which compiler it is: a report says so.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    let version = Command::new(rustc).arg("--version").output().expect("the compiler says its version");
    let version = String::from_utf8(version.stdout).expect("it is a text");
    // "rustc 1.88.0 (hash date)": the number is enough.
    let version = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    println!("cargo::rustc-env=BENCH_RUSTC={version}");
}
