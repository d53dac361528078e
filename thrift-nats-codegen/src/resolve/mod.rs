//! From files to a [`Program`]: reading, resolving every name, and every check of the language.
//!
//! All errors of all files are found in one run: what cannot be resolved becomes `Unknown`, and whatever depends on it
//! stays silent.

mod annotations;
mod circles;
mod constants;
mod definitions;
mod hints;
mod keys;
mod load;
mod scope;
mod services;

use std::path::PathBuf;

use self::scope::Scopes;
use crate::diagnostics::{Diagnostic, Severity};
use crate::ir::{Item, Program};
use crate::sources::{SourceId, Sources};

/// What became of the files.
pub(crate) struct Resolved {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Without any `Unknown`; `None` if there is an error.
    pub(crate) program: Option<Program>,
}

pub(crate) use load::missing_folders;

/// Reads `roots` and all they include, and checks them.
pub(crate) fn resolve(roots: &[PathBuf], include_paths: &[PathBuf]) -> Resolved {
    let mut sources = Sources::default();
    let mut diagnostics = load::missing_folders(include_paths);
    let files = load::load(roots, include_paths, &mut sources, &mut diagnostics);
    let ids: Vec<SourceId> = sources.ids().collect();
    let scopes = Scopes::new(&files.files, &sources, &ids);
    let program = Program { roots: files.roots, ..Program::default() };
    let mut checker = Checker { scopes: &scopes, program, diagnostics };
    checker.headers(&files.files, &ids);
    checker.legacy(&files.files, &ids);
    checker.duplicate_definitions(&files);
    checker.definitions();
    checker.typedef_circles();
    checker.immense_typedefs();
    checker.services();
    checker.infinite_structs();
    checker.find_keys();
    checker.constants();
    checker.default_circles();
    checker.annotations();
    let Checker { program, diagnostics, .. } = checker;
    let fine = diagnostics.iter().all(|diagnostic| diagnostic.severity() != Severity::Error);
    Resolved { diagnostics, program: fine.then_some(program), sources }
}

/// The program as far as it is made, and what is wrong with it.
struct Checker<'a> {
    scopes: &'a Scopes<'a>,
    program: Program,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Something of each item, by its number.
    fn each<T>(&self, of: impl FnMut(&Item) -> T) -> Vec<T> {
        self.program.items.iter().map(of).collect()
    }

    fn items(&self) -> impl Iterator<Item = (crate::ir::ItemId, &Item)> {
        self.program.ids().map(|id| (id, self.program.item(id)))
    }
}
