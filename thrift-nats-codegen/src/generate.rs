//! From files to Rust's text, and to a file that holds it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::derives::Derives;
use crate::diagnostics::{Diagnostic, Report, Severity};
use crate::emit::Emitter;
use crate::externs::Externs;
use crate::html::Documentation;
use crate::naming::Names;
use crate::options::Options;
use crate::resolve::{Resolved, resolve};
use crate::shape::Shapes;
use crate::sources::Sources;

/// What came of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Generated {
    /// The Rust code: modules, formatted.
    pub code: String,
    /// Every file that was read: those that were asked for, and those that they include.
    pub sources: Vec<PathBuf>,
    /// What may not be as it was meant.
    pub warnings: Report,
}

/// Why nothing was generated: everything that is wrong with the files, with the places. `Debug` prints the same text as
/// `Display`, so that `unwrap()` in a build script reads well.
pub struct Error(Box<Report>, Vec<PathBuf>);

impl Error {
    /// Each thing that is wrong, and the warnings.
    pub fn report(&self) -> &Report {
        &self.0
    }

    /// Every file that was read.
    pub fn sources(&self) -> &[PathBuf] {
        &self.1
    }

    /// What is wrong, and the files that were read.
    pub(crate) fn new(report: Report, sources: Vec<PathBuf>) -> Self {
        Self(Box::new(report), sources)
    }

    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self(Box::new(Report::new(Sources::default(), vec![Diagnostic::without_place(text)])), Vec::new())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Behind `Error: ` and on lines of its own.
        write!(f, "the Thrift IDL has errors\n\n{}", self.0)
    }
}

impl std::error::Error for Error {}

/// The files, as paths of our own; there must be one.
fn roots(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Vec<PathBuf>, Error> {
    let roots: Vec<PathBuf> = files.into_iter().map(|file| file.as_ref().to_owned()).collect();
    if roots.is_empty() {
        return Err(Error::message("no file is given"));
    }
    Ok(roots)
}

pub(crate) fn check(
    options: &Options,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<Report, Error> {
    let mut resolved = resolve(&roots(files)?, &options.include_paths);
    // Names that meet in Rust are part of it, and what it cannot derive.
    names(options, &mut resolved);
    shapes(options, &mut resolved);
    Ok(Report::new(resolved.sources, resolved.diagnostics))
}

/// Rust's names for what is known of a program.
fn names(options: &Options, resolved: &mut Resolved) -> Names {
    let mut found = Vec::new();
    let names = Names::new(resolved.part_of_program(), options.keep_unknown_fields, &mut found);
    if resolved.program().is_none() {
        // What meets may be what is defined twice, and that has been said.
        found.retain(|diagnostic| diagnostic.severity() == Severity::Error);
    }
    resolved.diagnostics.append(&mut found);
    names
}

/// How what is known of a program lies in memory.
fn shapes(options: &Options, resolved: &mut Resolved) -> Shapes {
    let program = resolved.part_of_program();
    let shapes = Shapes::new(program, options);
    let mut found = Vec::new();
    Derives { program, shapes: &shapes, options }.check(&mut found);
    resolved.diagnostics.append(&mut found);
    shapes
}

/// What `made` makes of the emitter of `roots`, if there is no error; and what is to be said of them.
pub(crate) fn emit<T>(
    options: &Options,
    roots: &[PathBuf],
    made: impl FnOnce(&Emitter<'_>) -> T,
) -> (Option<T>, Sources, Vec<Diagnostic>) {
    let mut resolved = resolve(roots, &options.include_paths);
    let names = names(options, &mut resolved);
    let shapes = shapes(options, &mut resolved);
    let mut found = Vec::new();
    let externs = Externs::new(resolved.part_of_program(), &options.externs, &mut found);
    options.attributes.check(resolved.part_of_program(), &mut found);
    if resolved.is_read {
        // What nothing is found for may be in what could not be read.
        resolved.diagnostics.append(&mut found);
    }
    let code =
        resolved.program().map(|program| made(&Emitter::new(program, &names, &shapes, &externs, options)));
    (code, resolved.sources, resolved.diagnostics)
}

pub(crate) fn generate(
    options: &Options,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<Generated, Error> {
    let roots = roots(files)?;
    let (code, sources, diagnostics) = emit(options, &roots, |emitter| emitter.program());
    let read: Vec<PathBuf> = sources.paths().map(Path::to_owned).collect();
    let denied = options.deny_warnings && !diagnostics.is_empty();
    let report = Report::new(sources, diagnostics);
    let Some(code) = code.filter(|_| !denied) else { return Err(Error(Box::new(report), read)) };
    let names = roots.iter().map(|root| root.file_name().unwrap_or_default().to_string_lossy());
    let header = format!(
        "// @generated by thrift-nats-codegen from {}. Do not edit.\n\n",
        names.collect::<Vec<_>>().join(", ")
    );
    Ok(Generated { code: header + &code + "\n", sources: read, warnings: report })
}

pub(crate) fn document(
    options: &Options,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<Documentation, Error> {
    crate::html::document(options, &roots(files)?)
}

pub(crate) fn compile(
    options: &Options,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<(), Error> {
    if !lies_within(&options.file_name) {
        let name = options.file_name.display();
        return Err(Error::message(format!("`{name}` is no file in the folder that is written to")));
    }
    let generated = generate(options, files);
    let read = match &generated {
        Ok(generated) => &generated.sources,
        Err(error) => error.sources(),
    };
    // Also after an error: the next run is due when one of these changes.
    for path in read {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let generated = generated?;
    for warning in generated.warnings.iter() {
        println!("cargo:warning={warning}");
    }
    let folder = match &options.out_dir {
        Some(folder) => folder.clone(),
        None => PathBuf::from(std::env::var_os("OUT_DIR").ok_or_else(|| {
            Error::message("no folder to write to: outside of a build script, `Options::out_dir` must be set")
        })?),
    };
    generated.write(&folder.join(&options.file_name))
}

/// Whether a file of this name is in the folder that it is looked for in, or in one below that.
fn lies_within(name: &Path) -> bool {
    name.file_name().is_some()
        && name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

impl Generated {
    /// Writes the code to a file, whose folder is made if need be. A file that holds it already is left alone: what
    /// depends on it need not be built again.
    ///
    /// # Errors
    /// If the file or its folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_if_changed(path, &self.code)
            .map_err(|error| Error::message(format!("cannot write `{}`: {error}", path.display())))
    }
}

pub(crate) fn write_if_changed(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}
