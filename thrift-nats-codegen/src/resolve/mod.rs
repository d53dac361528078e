//! Turns files into a [`Program`]: reads them, resolves every name, and makes every check of the language.
//!
//! One run finds all errors of all files. A name that cannot be resolved becomes `Unknown`, and nothing is reported of a
//! definition only because it uses an `Unknown`.

mod annotations;
mod circles;
mod constants;
mod definitions;
mod hints;
mod keys;
mod load;
mod scope;
mod services;

use std::collections::HashSet;
use std::path::PathBuf;

use self::scope::Scopes;
use crate::diagnostics::{Diagnostic, FrontEnd, Severity};
use crate::ir::{Item, ItemId, Program};
use crate::sources::{SourceId, Sources};

/// The result of [`resolve`].
pub(crate) struct Resolved {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Vec<Diagnostic>,
    program: Program,
    /// Whether all files were found and completely read.
    pub(crate) is_read: bool,
}

impl Resolved {
    /// The program, unless there are errors. It has no `Unknown`.
    pub(crate) fn program(&self) -> Option<&Program> {
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity() == Severity::Error;
        (!self.diagnostics.iter().any(is_error)).then_some(&self.program)
    }

    /// The program as far as it is known.
    pub(crate) const fn part_of_program(&self) -> &Program {
        &self.program
    }
}

pub(crate) use load::missing_folders;

/// Reads `roots` and all they include, and checks them.
pub(crate) fn resolve(roots: &[PathBuf], include_paths: &[PathBuf], front_end: FrontEnd) -> Resolved {
    let mut sources = Sources::default();
    let mut diagnostics = load::missing_folders(include_paths);
    let files = load::load(roots, include_paths, front_end, &mut sources, &mut diagnostics);
    let ids: Vec<SourceId> = sources.ids().collect();
    let scopes = Scopes::new(&files.files, &sources, &ids);
    let program = Program { roots: files.roots, ..Program::default() };
    let mut checker = Checker { scopes: &scopes, program, diagnostics, vague: HashSet::new() };
    checker.headers(&files.files, &ids);
    checker.legacy(&files.files, &ids);
    checker.duplicate_definitions(&files);
    checker.definitions();
    checker.extends_chains();
    checker.typedef_circles();
    checker.immense_typedefs();
    checker.services();
    checker.infinite_structs();
    checker.find_keys();
    checker.constants();
    checker.default_circles();
    checker.annotations();
    let Checker { program, diagnostics, .. } = checker;
    let is_read = files.files.iter().all(|file| file.unread.is_empty() && file.missing.is_empty());
    Resolved { diagnostics, program, sources, is_read }
}

/// The part of the program that is resolved so far, and its diagnostics.
struct Checker<'a> {
    scopes: &'a Scopes<'a>,
    program: Program,
    diagnostics: Vec<Diagnostic>,
    /// The enums with numbers that are not known.
    vague: HashSet<ItemId>,
}

impl Checker<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The result of `of` for each item, by its number.
    fn each<T>(&self, of: impl FnMut(&Item) -> T) -> Vec<T> {
        self.program.items.iter().map(of).collect()
    }

    fn items(&self) -> impl Iterator<Item = (ItemId, &Item)> {
        self.program.ids().map(|id| (id, self.program.item(id)))
    }
}
