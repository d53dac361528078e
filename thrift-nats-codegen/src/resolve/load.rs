//! Reads the given files and all files that they include, each once.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use thrift_parser::syntax::{Document, Header, Include};

use crate::diagnostics::{Diagnostic, FrontEnd, enumerate};
use crate::graph::Graph;
use crate::reading::{Reading, reason};
use crate::sources::{Place, Source, SourceId, Sources};
use crate::unread::Unread;

/// A file, parsed.
#[derive(Debug)]
pub(super) struct File {
    /// Its name without folder and last extension.
    pub(super) stem: String,
    pub(super) document: Document,
    /// The included files that could be read, in source order.
    pub(super) includes: Vec<SourceId>,
    /// The prefixes of the included files that could not be read.
    pub(super) missing: Vec<String>,
    /// The parts of it that could not be read.
    pub(super) unread: Unread,
}

/// All files of a run.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By [`SourceId`].
    pub(super) files: Vec<File>,
    /// The number of given files. They come first.
    pub(super) roots: usize,
    /// Every file after those that it includes.
    pub(super) order: Vec<SourceId>,
}

/// Reads `roots` and everything they include.
pub(super) fn load(
    roots: &[PathBuf],
    include_paths: &[PathBuf],
    front_end: FrontEnd,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Files {
    let (known, files) = (HashMap::new(), Vec::new());
    let mut loader = Loader { include_paths, front_end, sources, diagnostics, known, files };
    for root in roots {
        loader.root(root);
    }
    let roots = loader.files.len();
    // The loop adds included files. Each file is added once, so that a circle ends.
    let mut next = 0;
    while next < loader.files.len() {
        loader.includes_of(next);
        next += 1;
    }
    let files = loader.files;
    report_circles(&files, sources, diagnostics);
    let order = post_order(&files);
    Files { roots, files: files.into_iter().map(|loaded| loaded.file).collect(), order }
}

/// A warning for each folder to search that does not exist: it is probably misspelt.
pub(crate) fn missing_folders<'a>(folders: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Diagnostic> {
    let missing: BTreeSet<&PathBuf> = folders.into_iter().filter(|folder| !folder.is_dir()).collect();
    let said =
        |folder: &PathBuf| format!("cannot search `{}` for included files: no such folder", folder.display());
    missing.into_iter().map(|folder| Diagnostic::warning_without_place(said(folder))).collect()
}

struct Loaded {
    id: SourceId,
    file: File,
    /// The place of each of `file.includes`.
    places: Vec<Place>,
}

struct Loader<'a> {
    include_paths: &'a [PathBuf],
    front_end: FrontEnd,
    sources: &'a mut Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// By canonical path; `None` for a file that could not be read, which has been reported.
    known: HashMap<PathBuf, Option<SourceId>>,
    files: Vec<Loaded>,
}

impl Loader<'_> {
    fn root(&mut self, path: &Path) {
        match path.canonicalize() {
            Ok(identity) => {
                self.read(path.to_owned(), identity, None);
            }
            Err(error) => {
                let text = format!("cannot read `{}`: {}", path.display(), reason(&error));
                self.diagnostics.push(Diagnostic::without_place(text));
            }
        }
    }

    /// Reads a file, unless that was tried before.
    fn read(&mut self, path: PathBuf, identity: PathBuf, from: Option<Place>) -> Option<SourceId> {
        if let Some(known) = self.known.get(&identity) {
            return *known;
        }
        let mut reading = match Reading::of(&identity) {
            Ok(reading) => reading,
            Err(why) => return self.unreadable(&path, identity, &why, from),
        };
        let (stem, unread) = (stem(&path), reading.take_unread());
        let id = self.sources.add(Source::new(path, std::mem::take(&mut reading.text)));
        self.diagnostics.extend(reading.take_diagnostics(id));
        self.known.insert(identity, Some(id));
        let file =
            File { stem, document: reading.document, includes: Vec::new(), missing: Vec::new(), unread };
        self.files.push(Loaded { id, file, places: Vec::new() });
        Some(id)
    }

    fn unreadable(
        &mut self,
        path: &Path,
        identity: PathBuf,
        why: &str,
        from: Option<Place>,
    ) -> Option<SourceId> {
        let text = format!("cannot read `{}`: {why}", path.display());
        self.diagnostics.push(match from {
            Some(place) => Diagnostic::error(place, text).label("included here"),
            None => Diagnostic::without_place(text),
        });
        self.known.insert(identity, None);
        None
    }

    fn includes_of(&mut self, index: usize) {
        let id = self.files[index].id;
        let headers = std::mem::take(&mut self.files[index].file.document.headers);
        let folder = self.sources.get(id).path.parent().unwrap_or(Path::new("")).to_owned();
        for header in &headers {
            let Header::Include(include) = header else { continue };
            let place = Place { source: id, span: include.path.span };
            // A path with a mistake in it names an unknown file.
            let is_mistaken = self.files[index].file.unread.is_mistaken(include.path.span);
            let included = if is_mistaken { None } else { self.include(&folder, include, place) };
            let loaded = &mut self.files[index];
            match included {
                Some(included) => {
                    loaded.file.includes.push(included);
                    loaded.places.push(place);
                }
                None => loaded.file.missing.push(stem(Path::new(&include.path.value))),
            }
        }
        self.files[index].file.document.headers = headers;
    }

    fn include(&mut self, folder: &Path, include: &Include, place: Place) -> Option<SourceId> {
        let written = Path::new(&include.path.value);
        let paths = self.include_paths;
        let folders = || std::iter::once(folder).chain(paths.iter().map(PathBuf::as_path));
        let found = folders()
            .map(|folder| folder.join(written))
            .find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()).map(|id| (path, id)));
        if let Some((path, identity)) = found {
            return self.read(path, identity, Some(place));
        }
        let error = Diagnostic::error(place, format!("cannot find `{}`", include.path.value));
        if written.as_os_str().is_empty() {
            self.diagnostics.push(error.label("expected the path of a file"));
            return None;
        }
        if folders().any(|folder| folder.join(written).is_dir()) {
            self.diagnostics.push(error.label("this is a folder").help("write the path of a file in it"));
            return None;
        }
        if written.is_absolute() {
            let near = near_file(folder, written, &self.sources.get(place.source).path);
            let error = error.label("no file at this path");
            self.diagnostics.push(error.maybe_help(near.map(|near| format!("there is a file `{near}`"))));
            return None;
        }
        let searched: Vec<String> = folders().map(shown_folder).collect();
        let error = error.label(format!("not found in {}", enumerate(&searched)));
        let help = match near_file(folder, written, &self.sources.get(place.source).path) {
            Some(near) => format!("there is a file `{near}`"),
            None => format!("add the folder of the file with `{}`", self.front_end.include_option()),
        };
        self.diagnostics.push(error.help(help));
        None
    }
}

fn shown_folder(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "`.`".to_owned() } else { format!("`{}`", folder.display()) }
}

/// A `.thrift` file with a similar name in the folder that was searched, other than the including file.
fn near_file(folder: &Path, written: &Path, including: &Path) -> Option<String> {
    let wanted = written.file_name()?.to_str()?;
    let within = written.parent().unwrap_or(Path::new(""));
    let entries = std::fs::read_dir(match folder.join(within) {
        path if path.as_os_str().is_empty() => PathBuf::from("."),
        path => path,
    });
    let names = entries.ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names = names.filter(|name| folder.join(within).join(name) != including);
    let stem = |name: &str| name.strip_suffix(".thrift").map(str::to_owned);
    let mut names: Vec<String> = names.filter_map(|name| stem(&name)).collect();
    // `read_dir` has no order.
    names.sort_unstable();
    // The extension, which all have in common, must not count as similar.
    let wanted = stem(wanted).unwrap_or_else(|| wanted.to_owned());
    let near = super::hints::nearest(&wanted, names.iter().map(String::as_str))?;
    Some(within.join(format!("{near}.thrift")).to_string_lossy().replace('\\', "/"))
}

fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit_once('.').map_or(&*name, |(stem, _)| stem).to_owned()
}

fn report_circles(files: &[Loaded], sources: &Sources, diagnostics: &mut Vec<Diagnostic>) {
    let edges = |loaded: &Loaded| loaded.file.includes.iter().map(|id| id.index()).collect();
    let graph = Graph { edges: files.iter().map(edges).collect() };
    for circle in graph.circles() {
        let step = |position: usize| {
            let from = &files[circle[position]];
            let to = circle[(position + 1) % circle.len()];
            let edge = from.file.includes.iter().position(|id| id.index() == to);
            from.places[edge.expect("a circle goes along includes")]
        };
        let mut names: Vec<String> =
            circle.iter().map(|file| sources.get(files[*file].id).path.display().to_string()).collect();
        names.push(names[0].clone());
        let error = if circle.len() == 1 {
            Diagnostic::error(step(0), "a file includes itself").label("this is the same file")
        } else {
            let path = names.join("` -> `");
            Diagnostic::error(step(0), format!("files include each other in a circle: `{path}`"))
                .label("the circle starts here")
        };
        diagnostics.push((1..circle.len()).fold(error, |error, position| error.note(step(position), "")));
    }
}

fn post_order(files: &[Loaded]) -> Vec<SourceId> {
    let mut seen = vec![false; files.len()];
    let mut order = Vec::with_capacity(files.len());
    for root in 0..files.len() {
        let mut work = vec![(root, 0)];
        while let Some((node, edge)) = work.pop() {
            if edge == 0 && std::mem::replace(&mut seen[node], true) {
                continue;
            }
            match files[node].file.includes.get(edge) {
                Some(to) => {
                    work.push((node, edge + 1));
                    if !seen[to.index()] {
                        work.push((to.index(), 0));
                    }
                }
                None => order.push(files[node].id),
            }
        }
    }
    order
}
