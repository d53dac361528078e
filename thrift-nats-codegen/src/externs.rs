//! Files whose code is in another crate.

use std::path::Path;

use crate::diagnostics::Diagnostic;
use crate::ir::Program;
use crate::options::ExternFile;

/// By file: where its code is, and whether code is generated for it here.
#[derive(Debug)]
pub(crate) struct Externs(Vec<Place>);

#[derive(Clone, Debug)]
enum Place {
    Here,
    /// In this module.
    Elsewhere(String),
    /// Wherever the code of those that include it is: nothing that is generated here speaks of it.
    Unused,
}

impl Externs {
    pub(crate) fn new(program: &Program, externs: &[ExternFile], diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut places = vec![Place::Unused; program.files.len()];
        for file in externs {
            let mut found = false;
            for (number, (place, known)) in places.iter_mut().zip(&program.files).enumerate() {
                if known.path.ends_with(&file.file) {
                    *place = Place::Elsewhere(file.path.clone());
                    found = true;
                    if number < program.roots {
                        diagnostics.push(generated_here(&known.path, file));
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
        // What is reached without passing through another crate's files.
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

/// Code is asked for and said to be elsewhere: there would be none.
fn generated_here(path: &Path, file: &ExternFile) -> Diagnostic {
    let text =
        format!("code is to be generated from `{}`, and is to be in `{}` already", path.display(), file.path);
    let written = file.file.display();
    Diagnostic::without_place(text).help(format!(
        "generate from the files that include it, or leave `extern_file` (`--extern`) of `{written}` away"
    ))
}
