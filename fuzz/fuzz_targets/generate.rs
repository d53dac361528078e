//! Any text, as a `.thrift` file: if it has no mistake, what is generated from it is Rust, as far as its syntax goes.
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
                syn::parse_file(&generated.code).expect("what is generated is Rust");
                generated.warnings.render(false);
            }
            Err(error) => assert!(!error.report().is_empty(), "refused without a word"),
        }
    }
    drop(Options::new().document([&root]));
});
