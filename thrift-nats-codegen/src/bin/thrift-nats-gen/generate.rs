//! `generate`: Rust code to a folder, or to the standard output.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thrift_nats_codegen::{Error, Generated, Options};

use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The `.thrift` files to generate from; what they include is generated, too
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write to this folder; without it the code goes to the standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The name of the file in that folder
    #[arg(long, value_name = "NAME", default_value = "mod.rs")]
    file_name: PathBuf,
    /// Search this folder for included files, after the including file's own
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    include: Vec<PathBuf>,
    /// Write nothing; fail if the file in the folder is not what would be written
    #[arg(long, requires = "out")]
    check: bool,
    /// Generate no clients
    #[arg(long)]
    no_client: bool,
    /// Generate no service traits and servers
    #[arg(long)]
    no_server: bool,
    /// Leave the IDL's comments out
    #[arg(long)]
    no_comments: bool,
    /// Fail if there is a warning
    #[arg(long)]
    deny_warnings: bool,
    /// The path of the runtime crate in the generated code
    #[arg(long, value_name = "PATH", default_value = "::thrift_nats_runtime")]
    runtime: String,
}

impl Generate {
    fn options(&self) -> Result<Options, Error> {
        let options = Options::new()
            .client(!self.no_client)
            .server(!self.no_server)
            .comments(!self.no_comments)
            .deny_warnings(self.deny_warnings)
            .runtime(&self.runtime)?;
        Ok(self.include.iter().fold(options, Options::include))
    }
}

pub(crate) fn run(arguments: &Generate) -> Result<ExitCode, Error> {
    let generated = arguments.options()?.generate(&arguments.files)?;
    show::report(&generated.warnings);
    let Some(folder) = &arguments.out else {
        show::output(&generated.code);
        return Ok(ExitCode::SUCCESS);
    };
    let path = folder.join(&arguments.file_name);
    if arguments.check {
        return Ok(compare(&generated, &path));
    }
    generated.write(&path)?;
    Ok(ExitCode::SUCCESS)
}

fn compare(generated: &Generated, path: &Path) -> ExitCode {
    let why = match std::fs::read(path) {
        Ok(present) if present == generated.code.as_bytes() => return ExitCode::SUCCESS,
        Ok(_) => "is not what the IDL gives".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    eprintln!("error: `{}` {why}; run the same command without --check", path.display());
    ExitCode::FAILURE
}
