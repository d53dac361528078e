//! State that all pages share: the program, the names of the pages, and the addresses of definitions.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use thrift_parser::syntax::{Document, StructKind};

use super::code::Link;
use crate::ir::{File, Item, ItemId, ItemKind, Program};
use crate::options::Options;
use crate::sources::Sources;

/// A program and the pages that document it. Files are numbered as in the program.
pub(super) struct Site<'a> {
    pub(super) program: &'a Program,
    /// By file: its text.
    pub(super) texts: Vec<&'a str>,
    /// By file: its constants, by name.
    pub(super) constants: Vec<HashMap<&'a str, ItemId>>,
    /// Whether comments are shown.
    pub(super) comments: bool,
    /// By file: its syntax tree, which keeps what the program does not, such as how a number is written.
    pub(super) documents: Vec<Document>,
    /// By file: the file name of its page.
    pub(super) names: Vec<String>,
    /// By file: its title on the pages.
    pub(super) titles: Vec<String>,
}

impl<'a> Site<'a> {
    pub(super) fn new(program: &'a Program, sources: &'a Sources, options: &Options) -> Self {
        let texts: Vec<&str> = sources.ids().map(|id| sources.get(id).text.as_str()).collect();
        let documents = texts.iter().map(|text| thrift_parser::parse(text).document).collect();
        let constants = |file: &'a File| -> HashMap<&'a str, ItemId> {
            let items = file.items.iter().map(|id| (*id, program.item(*id)));
            let constants = items.filter(|(_, item)| matches!(item.kind, ItemKind::Const { .. }));
            constants.map(|(id, item)| (item.name.text.as_str(), id)).collect()
        };
        let constants = program.files.iter().map(constants).collect();
        let root = program.files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
        let title = |path: &Path| {
            let short = path.strip_prefix(root).ok().or(path.file_name().map(Path::new)).unwrap_or(path);
            short.to_string_lossy().replace('\\', "/")
        };
        let titles = program.files.iter().map(|file| title(&file.path)).collect();
        let names = page_names(program.files.iter().map(|file| file.stem.as_str()));
        Self { program, texts, constants, comments: options.comments, documents, names, titles }
    }

    /// A link to the page of a file.
    pub(super) fn page_link(&self, file: usize) -> Link {
        Link { href: self.names[file].clone(), text: self.titles[file].clone() }
    }

    /// A link to a definition, named as in the IDL of the file `from`.
    pub(super) fn item_link(&self, from: usize, to: ItemId) -> Link {
        let item = self.program.item(to);
        let file = item.file.index();
        let name = &item.name.text;
        let text =
            if file == from { name.clone() } else { format!("{}.{name}", self.program.files[file].stem) };
        Link { href: self.href(Some(from), to, None), text }
    }

    /// The id of a definition on its page. The keyword is part of it because a type, a constant and a service may share a
    /// name.
    pub(super) fn anchor(&self, id: ItemId) -> String {
        let item = self.program.item(id);
        format!("{}.{}", keyword(item), item.name.text)
    }

    /// The address of a definition, or of a field, value or function `within` it, as seen from the page of the file `from`,
    /// or from the front page.
    pub(super) fn href(&self, from: Option<usize>, to: ItemId, within: Option<&str>) -> String {
        let file = self.program.item(to).file.index();
        let page = if from == Some(file) { "" } else { self.names[file].as_str() };
        let anchor = self.anchor(to);
        match within {
            Some(name) => format!("{page}#{anchor}.{name}"),
            None => format!("{page}#{anchor}"),
        }
    }
}

/// The keyword that defines an item.
pub(super) const fn keyword(item: &Item) -> &'static str {
    match &item.kind {
        ItemKind::Typedef(_) => "typedef",
        ItemKind::Const { .. } => "const",
        ItemKind::Enum(_) => "enum",
        ItemKind::Struct { kind: StructKind::Struct, .. } => "struct",
        ItemKind::Struct { kind: StructKind::Union, .. } => "union",
        ItemKind::Struct { kind: StructKind::Exception, .. } => "exception",
        ItemKind::Service { .. } => "service",
    }
}

/// File names for pages. They consist of characters that need no escaping in HTML or in an address, and are unique even if
/// the file system ignores case.
fn page_names<'s>(stems: impl Iterator<Item = &'s str>) -> Vec<String> {
    let mut taken = HashSet::from(["index".to_owned()]);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    stems
        .map(|stem| {
            let stem: String = stem.chars().map(plain).collect();
            let stem = if stem.trim_matches('.').is_empty() { "file".to_owned() } else { stem };
            let mut name = stem.clone();
            let mut number = 2;
            while !taken.insert(name.to_ascii_lowercase()) {
                name = format!("{stem}-{number}");
                number += 1;
            }
            name + ".html"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_are_plain_and_unique() {
        let names = page_names(["a", "A", "index", "a b&c", "a-2", "..", "a.b"].into_iter());
        assert_eq!(
            names,
            ["a.html", "A-2.html", "index-2.html", "a_b_c.html", "a-2-2.html", "file.html", "a.b.html"]
        );
    }
}
