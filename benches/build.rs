//! Records the version of the compiler for the reports, and generates the measured code with each generator.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo sets it");
    let version = Command::new(rustc).arg("--version").output().expect("the compiler says its version");
    let version = String::from_utf8(version.stdout).expect("it is a text");
    // Only the number of "rustc 1.90.0 (hash date)".
    let version = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    println!("cargo::rustc-env=BENCH_RUSTC={version}");

    println!("cargo::rustc-check-cfg=cfg(apache)");
    #[cfg(feature = "codec")]
    codec::generate();
    #[cfg(feature = "rpc")]
    rpc::generate();
}

/// The services of `bench rpc`: the tutorial, an echo, and `add` for tonic.
#[cfg(feature = "rpc")]
mod rpc {
    use thrift_nats_codegen::Options;

    const IDL: [&str; 2] = ["../idl/tutorial.thrift", "idl/echo.thrift"];
    const PROTO: &str = "idl/adder.proto";

    pub(crate) fn generate() {
        println!("cargo::rerun-if-changed=../idl/shared.thrift");
        IDL.iter().chain([&PROTO]).for_each(|file| println!("cargo::rerun-if-changed={file}"));
        Options::new().file_name("rpc.rs").compile(IDL).expect("the IDL is sound");
        // Without `protoc`, which may be missing.
        let files = protox::compile([PROTO], ["idl"]).expect("the file is sound");
        tonic_prost_build::configure().compile_fds(files).expect("the folder is ours");
    }
}

#[cfg(feature = "codec")]
mod codec {
    use std::env;
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use thrift_nats_codegen::{Containers, Options, Strings};

    const IDL: &str = "idl/codec.thrift";

    pub(crate) fn generate() {
        println!("cargo::rerun-if-changed={IDL}");
        let out = env::var("OUT_DIR").expect("cargo sets it");
        let out = Path::new(&out);

        // Ours: with the types of Apache, and with those of pilota.
        Options::new().file_name("owned.rs").compile([IDL]).expect("the IDL is sound");
        Options::new()
            .file_name("shared.rs")
            .strings(Strings::Shared)
            .containers(Containers::Hash)
            .compile([IDL])
            .expect("the IDL is sound");
        // With the hasher of pilota, for which the generator has no option.
        let text = fs::read_to_string(out.join("shared.rs")).expect("it was just written");
        let text = text.replace("::std::collections::HashMap<", "crate::generated::HashMap<");
        fs::write(out.join("shared.rs"), text).expect("the folder is ours");

        pilota_build::Builder::thrift()
            .ignore_unused(false)
            .compile([IDL], pilota_build::Output::File(out.join("pilota.rs")));

        // Apache's generator is a program that may be missing. The report says so then.
        let apache = Command::new("thrift")
            .args(["--gen", "rs", "-out"])
            .arg(out)
            .arg(IDL)
            .stdout(Stdio::null())
            .status();
        if apache.is_ok_and(|status| status.success()) {
            let text = fs::read_to_string(out.join("codec.rs")).expect("it was just written");
            // An included file cannot have inner attributes.
            let lines = text.lines().filter(|line| !line.starts_with("#![")).collect::<Vec<_>>().join("\n");
            fs::write(out.join("apache.rs"), lines).expect("the folder is ours");
            println!("cargo::rustc-cfg=apache");
        }
    }
}
