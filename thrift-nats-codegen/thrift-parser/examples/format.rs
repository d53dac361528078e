//! Prints a `.thrift` file in the style of the formatter.
//!
//! `cargo run -p thrift-nats-parser --example format -- FILE`

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: format FILE");
        return ExitCode::from(2);
    };
    let source = match std::fs::read_to_string(&path) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match thrift_parser::format(&source) {
        Ok(text) => print!("{text}"),
        Err(errors) => {
            for error in errors {
                let line = source[..error.span.start as usize].matches('\n').count() + 1;
                eprintln!("{}:{line}: {}", path.display(), error.message);
            }
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
