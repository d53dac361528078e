//! Files whose code is in another crate.

use std::path::Path;

use crate::diagnostics::{Diagnostic, FrontEnd};
use crate::ir::Program;
use crate::options::{ExternFile, Options};

/// By file: where its code is.
#[derive(Debug)]
pub(crate) struct Externs(Vec<Place>);

#[derive(Clone, Debug)]
enum Place {
    Here,
    /// In this module.
    Elsewhere(String),
    /// Included only by files whose code is elsewhere. Nothing that is generated here refers to it.
    Unused,
}

impl Externs {
    pub(crate) fn new(program: &Program, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut places = vec![Place::Unused; program.files.len()];
        for file in &options.externs {
            let mut found = false;
            for (number, (place, known)) in places.iter_mut().zip(&program.files).enumerate() {
                if known.path.ends_with(&file.file) {
                    *place = Place::Elsewhere(file.path.clone());
                    found = true;
                    if number < program.roots {
                        diagnostics.push(generated_here(&known.path, file, options.front_end));
                    }
                }
            }
            if !found {
                let text = format!(
                    "no file is included as `{}`, whose code is to be in `{}`",
                    file.file.display(),
                    file.path
                );
                diagnostics.push(Diagnostic::without_place(text));
            }
        }
        // The files that are reached without passing through a file whose code is elsewhere.
        let mut work: Vec<usize> = (0..program.roots).collect();
        while let Some(file) = work.pop() {
            if matches!(places[file], Place::Unused) {
                places[file] = Place::Here;
                work.extend(program.files[file].includes.iter().map(|included| included.index()));
            }
        }
        Self(places)
    }

    /// The module of another crate that the code of this file is in.
    pub(crate) fn path(&self, file: usize) -> Option<&str> {
        match &self.0[file] {
            Place::Elsewhere(path) => Some(path),
            Place::Here | Place::Unused => None,
        }
    }

    /// Whether code is generated for this file.
    pub(crate) fn is_here(&self, file: usize) -> bool {
        matches!(self.0[file], Place::Here)
    }
}

/// The error for a file that code is generated from, and whose code is said to be in another crate. No code would be generated.
fn generated_here(path: &Path, file: &ExternFile, front_end: FrontEnd) -> Diagnostic {
    let text =
        format!("code is to be generated from `{}`, but it is already in `{}`", path.display(), file.path);
    let written = file.file.display();
    let option = front_end.extern_option();
    Diagnostic::without_place(text)
        .help(format!("generate from the files that include it, or remove `{option}` of `{written}`"))
}
