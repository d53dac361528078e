//! Breaking changes between two versions of an IDL.
//!
//! Each version is resolved by itself. Then the definitions of both are matched, and each pair is compared. An error is a
//! change after which old and new peers do not understand each other. A warning is a change that breaks source code or the
//! meaning of a value. `docs/audit.md` has the table of rules. This module knows no Rust: it uses neither names nor shapes.

mod definitions;
mod fields;
mod matching;
mod services;
mod types;
mod values;
mod version;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use self::matching::Matches;
use self::types::Change;
use self::version::Side;
use crate::diagnostics::{Diagnostic, FrontEnd, Report, Severity};
use crate::error::Error;
use crate::ir::{Item, ItemId};
use crate::resolve::{Resolved, missing_folders, resolve};
use crate::sources::{Place, SourceId, Sources};

/// One version of an IDL, for [`audit`]: its files, and the folders for their includes.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is audited"]
pub struct Version {
    files: Vec<PathBuf>,
    include_paths: Vec<PathBuf>,
    front_end: FrontEnd,
}

impl Version {
    /// The version of these files and of all files that they include.
    pub fn new(files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let files = files.into_iter().map(Into::into).collect();
        Self { files, include_paths: Vec::new(), front_end: FrontEnd::Rust }
    }

    /// The front end, for the hints of diagnostics.
    #[doc(hidden)]
    pub const fn front_end(mut self, front_end: FrontEnd) -> Self {
        self.front_end = front_end;
        self
    }

    /// A folder to search for included files, after the including file's own; may be given several times.
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Self {
        self.include_paths.push(folder.into());
        self
    }
}

/// Finds the breaking changes between two versions of an IDL. Errors break the wire format; warnings break source code or
/// the meaning of values. Each finding has its place in both versions.
///
/// ```no_run
/// use thrift_nats_codegen::{Version, audit};
/// let report = audit(&Version::new(["v1/orders.thrift"]), &Version::new(["v2/orders.thrift"]))?;
/// print!("{report}");
/// # Ok::<(), thrift_nats_codegen::Error>(())
/// ```
///
/// # Errors
/// If a version has no files, or its IDL has errors.
pub fn audit(old: &Version, new: &Version) -> Result<Report, Error> {
    if old.files.is_empty() || new.files.is_empty() {
        return Err(Error::message("no file is given"));
    }
    let old_resolved = resolve(&old.files, &old.include_paths, old.front_end);
    let new_resolved = resolve(&new.files, &new.include_paths, new.front_end);
    // The new version's files keep their numbers; the old version's files follow.
    let mut sources = new_resolved.sources.clone();
    let old_ids: Vec<SourceId> =
        old_resolved.sources.ids().map(|id| sources.add(old_resolved.sources.get(id).clone())).collect();
    let new_ids: Vec<SourceId> = new_resolved.sources.ids().collect();
    let mut findings = missing_folders(old.include_paths.iter().chain(&new.include_paths));
    findings.extend(match (old_resolved.program(), new_resolved.program()) {
        (Some(old_program), Some(new_program)) => {
            let old_side = Side::new(old_program, &sources, old_ids);
            let new_side = Side::new(new_program, &sources, new_ids);
            Audit::new(old_side, new_side).run()
        }
        _ => return Err(errors(old_resolved, &old_ids, new_resolved, sources)),
    });
    Ok(Report::new(sources, findings))
}

/// The errors within either version.
fn errors(old: Resolved, old_ids: &[SourceId], new: Resolved, sources: Sources) -> Error {
    let moved = |place: Place| Place { source: old_ids[place.source.index()], span: place.span };
    let old_diagnostics = old.diagnostics.into_iter().map(|diagnostic| diagnostic.moved(moved));
    let all = new.diagnostics.into_iter().chain(old_diagnostics);
    let errors = all.filter(|diagnostic| diagnostic.severity() == Severity::Error).collect();
    let read = sources.paths().map(PathBuf::from).collect();
    Error::new(Report::new(sources, errors), read)
}

/// Two versions, the matches between their definitions, and the findings.
struct Audit<'a> {
    old: Side<'a>,
    new: Side<'a>,
    matches: Matches,
    /// Pairs of definitions to compare.
    queue: Vec<(ItemId, ItemId)>,
    queued: HashSet<(ItemId, ItemId)>,
    /// Functions that were compared: the service and the position in it, old and new.
    functions: HashSet<((ItemId, usize), (ItemId, usize))>,
    /// Old types that were replaced by a type with the same encoding.
    replaced: HashSet<ItemId>,
    /// The difference between the types of two names.
    changes: HashMap<(ItemId, ItemId), Change>,
    /// Whether two constants with different names have the same value.
    equal: HashMap<(ItemId, ItemId), bool>,
    findings: Vec<Diagnostic>,
}

impl<'a> Audit<'a> {
    fn new(old: Side<'a>, new: Side<'a>) -> Self {
        let matches = Matches::new(&old, &new);
        Self {
            old,
            new,
            matches,
            queue: Vec::new(),
            queued: HashSet::new(),
            functions: HashSet::new(),
            replaced: HashSet::new(),
            changes: HashMap::new(),
            equal: HashMap::new(),
            findings: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Diagnostic> {
        self.namespaces();
        self.moved();
        for (old, new) in self.matches.pairs() {
            self.enqueue(old, new);
        }
        while let Some((old, new)) = self.queue.pop() {
            self.definition(old, new);
        }
        // Only now: comparing has matched more definitions, under other names.
        self.removed();
        self.findings
    }

    /// Queues two definitions to be compared, once.
    fn enqueue(&mut self, old: ItemId, new: ItemId) {
        if self.queued.insert((old, new)) {
            self.queue.push((old, new));
        }
    }

    fn old_item(&self, id: ItemId) -> &'a Item {
        self.old.program.item(id)
    }

    fn new_item(&self, id: ItemId) -> &'a Item {
        self.new.program.item(id)
    }

    /// A finding at a place of each version.
    fn find(&mut self, severity: Severity, message: String, (new, label): At<'_>, (old, note): At<'_>) {
        self.add(severity, message, (new, label), (old, note), None);
    }

    /// The same, with a hint.
    fn find_with_help(
        &mut self,
        severity: Severity,
        message: String,
        new: At<'_>,
        old: At<'_>,
        help: impl Into<String>,
    ) {
        self.add(severity, message, new, old, Some(help.into()));
    }

    fn add(
        &mut self,
        severity: Severity,
        message: String,
        (new, label): At<'_>,
        (old, note): At<'_>,
        help: Option<String>,
    ) {
        let finding = match severity {
            Severity::Error => Diagnostic::error(new, message),
            Severity::Warning => Diagnostic::warning(new, message),
        };
        self.findings.push(finding.label(label).note(old, note).maybe_help(help));
    }
}

/// A place, and its label.
type At<'t> = (Place, &'t str);
