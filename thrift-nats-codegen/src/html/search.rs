//! The search index that each page contains.

use std::borrow::Cow;
use std::fmt;

use askama::filters::{HtmlSafe, json};

use super::site::{Site, keyword};
use crate::ir::ItemKind;

/// A JSON array with one element per page: its file name, its title, and the kind and name of each definition on it. Names of
/// functions and of enum values follow the name of their definition and a dot.
#[derive(Debug)]
pub(super) struct SearchIndex(String);

impl SearchIndex {
    pub(super) fn new(site: &Site<'_>) -> Self {
        let files: Vec<_> = site
            .names
            .iter()
            .zip(&site.titles)
            .enumerate()
            .map(|(file, (name, title))| (name, title, entries(site, file)))
            .collect();
        let json = match json(files) {
            Ok(json) => json.to_string(),
            Err(never) => match never {},
        };
        Self(json)
    }
}

impl fmt::Display for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Templates insert it into a script as it is: `json` has escaped all characters that mean something in HTML.
impl HtmlSafe for SearchIndex {}

/// The kind and name of everything on the page of a file.
fn entries<'a>(site: &Site<'a>, file: usize) -> Vec<(&'static str, Cow<'a, str>)> {
    let program = site.program;
    let mut entries = Vec::new();
    for id in &program.files[file].items {
        let item = program.item(*id);
        let owner = item.name.text.as_str();
        entries.push((keyword(item), Cow::Borrowed(owner)));
        let within = |name: &str| Cow::Owned(format!("{owner}.{name}"));
        match &item.kind {
            ItemKind::Enum(values) => {
                entries.extend(values.iter().map(|value| ("value", within(&value.name.text))));
            }
            ItemKind::Service { functions, .. } => {
                entries.extend(functions.iter().map(|function| ("function", within(&function.name.text))));
            }
            ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Struct { .. } => {}
        }
    }
    entries
}
