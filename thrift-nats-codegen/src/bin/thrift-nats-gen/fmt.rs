//! `fmt`: formats files. Comments and meaning stay.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thrift_nats_codegen::{Error, ParsedFile};

use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// The `.thrift` files, which are overwritten if they change; `-` formats the standard input to the output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; name the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

/// Formats all files, also after one that cannot be formatted.
pub(crate) fn run(arguments: &Fmt) -> Result<ExitCode, Error> {
    let mut failed = false;
    for file in &arguments.files {
        failed |= if file.as_os_str() == "-" {
            !standard_input(arguments.check)
        } else {
            !format(file, arguments.check)
        };
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Formats a file. Returns false if it cannot, or if the file would change and nothing may be written.
fn format(path: &Path, check: bool) -> bool {
    let parsed = match ParsedFile::read(path) {
        Ok(parsed) => parsed,
        Err(error) => {
            show::report(error.report());
            return false;
        }
    };
    if !parsed.errors.is_empty() {
        show::report(&parsed.errors);
        return false;
    }
    let shown = path.display();
    // Bytes that are not UTF-8 were replaced when the file was read. Writing it back would lose them.
    if std::fs::read(path).is_ok_and(|bytes| bytes != parsed.text.as_bytes()) {
        eprintln!("error: `{shown}` is not UTF-8, and is left as it is");
        return false;
    }
    let Ok(formatted) = thrift_parser::format(&parsed.text) else {
        eprintln!("error: `{shown}` cannot be formatted, and is left as it is");
        return false;
    };
    if formatted == parsed.text {
        return true;
    }
    if check {
        eprintln!("`{shown}` is not formatted");
        return false;
    }
    if let Err(error) = std::fs::write(path, formatted) {
        eprintln!("error: cannot write `{shown}`: {error}");
        return false;
    }
    true
}

/// Formats the standard input to the standard output. Returns false as for a file.
fn standard_input(check: bool) -> bool {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("error: cannot read the standard input: {error}");
        return false;
    }
    match thrift_parser::format(&text) {
        Ok(formatted) if check => {
            if formatted != text {
                eprintln!("the standard input is not formatted");
            }
            formatted == text
        }
        Ok(formatted) => {
            show::output(&formatted);
            true
        }
        Err(_) => {
            show::report(&ParsedFile::of_text("<standard input>", text).errors);
            false
        }
    }
}
