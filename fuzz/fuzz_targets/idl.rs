//! Any text, as a `.thrift` file: it is parsed, checked and printed. Without a mistake in it, what is printed means the
//! same and is printed the same again; with one, the report tells where.
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
        support::check_format(&text).expect("a document without mistakes is formatted without a loss");
    } else {
        assert_eq!(thrift_parser::format(&text), Err(parsed.errors));
    }

    let root = files::write(bytes);
    ParsedFile::read(&root).expect("the file is there").errors.render(false);
    let report = Options::new().check([&root]).expect("a file is given");
    report.render(true);
    for finding in report.iter() {
        assert!(finding.location().is_some(), "no place: {}", finding.message());
    }
});
