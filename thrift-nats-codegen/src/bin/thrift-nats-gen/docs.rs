//! `docs`: the IDL as HTML.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use thrift_nats_codegen::{Error, FrontEnd, Options};

use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// The `.thrift` files to document; what they include is documented, too
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write to this folder: `index.html`, and a page for each file
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Search this folder for included files, after the including file's own
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Docs) -> Result<ExitCode, Error> {
    let options =
        arguments.include.iter().fold(Options::new().front_end(FrontEnd::Command), Options::include);
    let documentation = options.document(&arguments.files)?;
    show::report(&documentation.warnings);
    documentation.write(&arguments.out)?;
    Ok(ExitCode::SUCCESS)
}
