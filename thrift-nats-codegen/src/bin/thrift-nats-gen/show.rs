//! Diagnostics on the standard error.

use std::io::{IsTerminal, Write};

use thrift_nats_codegen::Report;

/// Shows errors and warnings, in colour on a terminal.
pub(crate) fn report(report: &Report) {
    if !report.is_empty() {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        eprintln!("{}", report.render(colours));
    }
}

/// Writes to the standard output. Ignores errors, because the reader may have closed the pipe.
pub(crate) fn output(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
