//! `generate`: Rust code to a folder, or to the standard output.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thrift_nats_codegen::{Containers, Error, FrontEnd, Generated, Options, Strings};

use crate::show;

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The `.thrift` files to generate from, with all files that they include
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write to this folder; without it the code goes to the standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The name of the file in that folder
    #[arg(long, value_name = "NAME", default_value = "mod.rs", value_parser = inside)]
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
    /// The Rust types of sets and maps
    #[arg(long, value_enum, value_name = "KIND", default_value_t = ContainerKind::Btree)]
    containers: ContainerKind,
    /// The Rust type of strings: `String`, or `FastStr` with the runtime's feature `faststr`
    #[arg(long, value_enum, value_name = "KIND", default_value_t = StringKind::Owned)]
    strings: StringKind,
    /// Derive serde's traits; with the runtime's feature `serde`
    #[arg(long)]
    serde: bool,
    /// An attribute for types, as in `orders.*=#[derive(Eq)]`; may be given several times
    #[arg(long, value_name = "PATTERN=ATTRIBUTE", value_parser = pair)]
    type_attribute: Vec<(String, String)>,
    /// An attribute for fields, as in `Order.price=#[doc(hidden)]`; may be given several times
    #[arg(long, value_name = "PATTERN=ATTRIBUTE", value_parser = pair)]
    field_attribute: Vec<(String, String)>,
    /// The code of an included file is elsewhere, as in `shared.thrift=::other_crate::shared`
    #[arg(long = "extern", value_name = "FILE=PATH", value_parser = pair)]
    externs: Vec<(String, String)>,
    /// Keep fields that the IDL does not have, and write them back
    #[arg(long)]
    keep_unknown_fields: bool,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ContainerKind {
    Btree,
    Hash,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StringKind {
    Owned,
    Shared,
}

/// The path of a file that is in the folder that is written to, or in one below that.
fn inside(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let mut parts = path.components();
    if path.file_name().is_none()
        || !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Err("the file must be in the output folder".to_owned());
    }
    Ok(path)
}

/// Two texts with a `=` between them.
fn pair(text: &str) -> Result<(String, String), String> {
    let (one, other) = text.split_once('=').ok_or("expected PATTERN=VALUE, with a `=`")?;
    Ok((one.to_owned(), other.to_owned()))
}

impl Generate {
    fn options(&self) -> Result<Options, Error> {
        let mut options = Options::new()
            .front_end(FrontEnd::Command)
            .client(!self.no_client)
            .server(!self.no_server)
            .keep_unknown_fields(self.keep_unknown_fields)
            .comments(!self.no_comments)
            .deny_warnings(self.deny_warnings)
            .containers(match self.containers {
                ContainerKind::Btree => Containers::BTree,
                ContainerKind::Hash => Containers::Hash,
            })
            .strings(match self.strings {
                StringKind::Owned => Strings::Owned,
                StringKind::Shared => Strings::Shared,
            })
            .serde(self.serde)
            .runtime(&self.runtime)?;
        for (pattern, attribute) in &self.type_attribute {
            options = options.type_attribute(pattern, attribute)?;
        }
        for (pattern, attribute) in &self.field_attribute {
            options = options.field_attribute(pattern, attribute)?;
        }
        for (file, path) in &self.externs {
            options = options.extern_file(file, path)?;
        }
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
