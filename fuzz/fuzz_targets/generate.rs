//! Generates code from arbitrary text as a `.thrift` file, and checks that the code is syntactically valid Rust, or that the
//! error has a report.
#![no_main]

#[path = "support/files.rs"]
mod files;

use libfuzzer_sys::fuzz_target;
use thrift_nats_codegen::{Containers, Options, Strings};

fuzz_target!(|bytes: &[u8]| {
    let root = files::write(bytes);
    let plain = Options::new();
    let other =
        Options::new().containers(Containers::Hash).strings(Strings::Shared).serde(true).comments(false);
    for options in [plain, other] {
        match options.generate([&root]) {
            Ok(generated) => {
                syn::parse_file(&generated.code).expect("generated code is valid Rust");
                generated.warnings.render(false);
            }
            Err(error) => assert!(!error.report().is_empty(), "an error has a report"),
        }
    }
    drop(Options::new().document([&root]));
});
