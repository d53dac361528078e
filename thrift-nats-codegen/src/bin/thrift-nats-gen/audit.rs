//! `audit`: breaking changes between two versions of an IDL.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thrift_nats_codegen::{Error, FrontEnd, Severity, Version};

use crate::check::{Format, as_json};
use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// The old version: a `.thrift` file with its includes, or a folder of such files
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The new version: a file or a folder
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Search this folder for the includes of both versions, after the including file's own
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Search this folder for the includes of the old version, before those for both
    #[arg(long, value_name = "DIR")]
    old_include: Vec<PathBuf>,
    /// Search this folder for the includes of the new version, before those for both
    #[arg(long, value_name = "DIR")]
    new_include: Vec<PathBuf>,
    /// Fail if there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// The format: text goes to the standard error, JSON (one object a line) to the standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn run(arguments: &Audit) -> Result<ExitCode, Error> {
    let version = |path: &Path, own: &[PathBuf]| {
        let folders = own.iter().chain(&arguments.include);
        folders.fold(Version::new(files(path)).front_end(FrontEnd::Command), Version::include)
    };
    for path in [&arguments.old, &arguments.new] {
        if files(path).is_empty() {
            eprintln!("error: no `.thrift` file in `{}`", path.display());
            return Ok(ExitCode::FAILURE);
        }
    }
    let old = version(&arguments.old, &arguments.old_include);
    let new = version(&arguments.new, &arguments.new_include);
    let report = thrift_nats_codegen::audit(&old, &new)?;
    match arguments.format {
        Format::Text => show::report(&report),
        Format::Json => report.iter().for_each(|finding| show::output(&format!("{}\n", as_json(finding)))),
    }
    let failed =
        report.iter().any(|finding| finding.severity() == Severity::Error || arguments.deny_warnings);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The file, or all `.thrift` files in the folder and its folders.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type());
            // Links to folders are not followed: they may form a circle.
            if kind.is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "thrift") && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
