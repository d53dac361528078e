//! `check`: every error and warning of files, as text for a person or as JSON for a program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use thrift_nats_codegen::{Error, Finding, FrontEnd, Options, Severity};

use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The `.thrift` files to check, with their includes
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Search this folder for included files, after the including file's own
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Fail if there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// The output format: text goes to the standard error, JSON (one object a line) to the standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

pub(crate) fn run(arguments: &Check) -> Result<ExitCode, Error> {
    let options =
        arguments.include.iter().fold(Options::new().front_end(FrontEnd::Command), Options::include);
    let report = options.check(&arguments.files)?;
    match arguments.format {
        Format::Text => show::report(&report),
        Format::Json => report.iter().for_each(|finding| show::output(&format!("{}\n", as_json(finding)))),
    }
    let failed =
        report.iter().any(|finding| finding.severity() == Severity::Error || arguments.deny_warnings);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Lines and columns count from 1, columns in characters; `end` is the position after the last character.
pub(crate) fn as_json(finding: Finding<'_>) -> Value {
    let place = |place: thrift_nats_codegen::Location<'_>| {
        json!({
            "file": place.path.to_string_lossy(),
            "line": place.line,
            "column": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
        })
    };
    json!({
        "severity": match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": finding.message(),
        "label": finding.label(),
        "place": finding.location().map(place),
        "notes": finding.notes().map(|(at, text)| json!({ "place": place(at), "text": text })).collect::<Vec<_>>(),
        "help": finding.help(),
    })
}
