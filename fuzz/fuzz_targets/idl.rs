//! Parses, checks and formats arbitrary text as a `.thrift` file.
//!
//! Text without errors must keep its meaning when it is formatted, and formatting it again must not change it. Every error
//! must have a location.
#![no_main]

#[path = "support/files.rs"]
mod files;
#[path = "../../thrift-nats-codegen/thrift-parser/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use thrift_nats_codegen::{Options, ParsedFile};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let parsed = thrift_parser::parse(&text);
    if parsed.errors.is_empty() {
        support::check_format(&text).expect("formatting keeps the meaning of a valid document");
    } else {
        assert_eq!(thrift_parser::format(&text), Err(parsed.errors));
    }

    let root = files::write(bytes);
    ParsedFile::read(&root).expect("the file exists").errors.render(false);
    let report = Options::new().check([&root]).expect("a file was passed");
    report.render(true);
    for finding in report.iter() {
        assert!(finding.location().is_some(), "no location: {}", finding.message());
    }
});
