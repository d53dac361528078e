//! The code that is generated from a few files. `BLESS=1` writes it again; read the diff.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::Path;

use thrift_nats_codegen::{Containers, Options, Strings};

fn hold(name: &str, out: &str, options: &Options) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{out}.rs.txt"));
    let code = options.generate([folder.join(format!("{name}.thrift"))]).unwrap().code;
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &code).unwrap();
    }
    let present = fs::read_to_string(&path).unwrap_or_default();
    assert!(present == code, "{}: read the diff after a run with BLESS=1", path.display());
}

#[test]
fn types_are_as_they_were_read() {
    hold("types", "types", &Options::new());
}

#[test]
fn a_service_is_as_it_was_read() {
    hold("service", "service", &Options::new());
}

#[test]
fn types_with_other_options_are_as_they_were_read() {
    let options =
        Options::new().comments(false).containers(Containers::Hash).strings(Strings::Shared).serde(true);
    hold("types", "types_with_options", &options);
}
