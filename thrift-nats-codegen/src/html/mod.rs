//! The documentation of an IDL as static pages: one for each file, and an index. Everything is in the pages themselves, so
//! that they work from a disk; without scripts they lack the search alone.

mod markup;
mod page;
mod values;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use thrift_parser::syntax::{Document, StructKind};

use self::markup::{escape, escaped, script_literal};
use self::page::Page;
use crate::diagnostics::Report;
use crate::error::Error;
use crate::generate::roots;
use crate::ir::{File, Item, ItemId, ItemKind, Program};
use crate::options::Options;
use crate::output::write_if_changed;
use crate::resolve::resolve;
use crate::sources::Sources;

/// The documentation of an IDL, from [`Options::document`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Documentation {
    /// Names of files and the HTML that goes into them; the first is `index.html`.
    pub pages: Vec<(String, String)>,
    /// Every file that was read.
    pub sources: Vec<PathBuf>,
    /// What may not be as it was meant.
    pub warnings: Report,
}

impl Documentation {
    /// Writes the pages to a folder, which is made if need be.
    ///
    /// # Errors
    /// If a page cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        for (name, text) in &self.pages {
            write_if_changed(&folder.join(name), text)?;
        }
        Ok(())
    }
}

impl Options {
    /// Documents `files` and all files they include as static HTML pages, and writes nothing. Of the options, only
    /// [`include`](Self::include), [`comments`](Self::comments) and [`deny_warnings`](Self::deny_warnings) apply.
    ///
    /// Needs the feature `html`.
    ///
    /// # Errors
    /// If no file is given, if a file has errors, or if it has warnings and they are denied.
    pub fn document(
        &self,
        files: impl IntoIterator<Item = impl AsRef<Path>>,
    ) -> Result<Documentation, Error> {
        let resolved = resolve(&roots(files)?, &self.include_paths);
        let sources: Vec<PathBuf> = resolved.sources.paths().map(Path::to_owned).collect();
        let denied = self.deny_warnings && !resolved.diagnostics.is_empty();
        match resolved.program() {
            Some(program) if !denied => {
                let pages = Site::new(program, &resolved.sources, self).pages();
                let warnings = Report::new(resolved.sources, resolved.diagnostics);
                Ok(Documentation { pages, sources, warnings })
            }
            _ => Err(Error::new(Report::new(resolved.sources, resolved.diagnostics), sources)),
        }
    }
}

/// What all pages have in common.
struct Site<'a> {
    program: &'a Program,
    /// By file: its text.
    texts: Vec<&'a str>,
    /// By file: its constants, by name.
    constants: Vec<HashMap<&'a str, ItemId>>,
    /// Whether comments are shown.
    comments: bool,
    /// By file: the syntax trees, for what the program does not keep as it is written.
    documents: Vec<Document>,
    /// By file: the name of its page.
    names: Vec<String>,
    /// By file: what it is called on the pages.
    titles: Vec<String>,
}

impl<'a> Site<'a> {
    fn new(program: &'a Program, sources: &'a Sources, options: &Options) -> Self {
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
        let stems = program.files.iter().map(|file| file.stem.as_str());
        let names = page_names(stems);
        Self { program, texts, constants, comments: options.comments, documents, names, titles }
    }

    fn pages(&self) -> Vec<(String, String)> {
        let index = self.index();
        let mut pages = vec![("index.html".to_owned(), self.frame(None, &self.overview(), &index))];
        for (file, name) in self.names.iter().enumerate() {
            let content = Page::new(self, file).content();
            pages.push((name.clone(), self.frame(Some(file), &content, &index)));
        }
        pages
    }

    /// The page around its content.
    fn frame(&self, file: Option<usize>, content: &str, index: &str) -> String {
        let title = file.map_or_else(|| "Index".to_owned(), |file| escaped(&self.titles[file]));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header><a href=\"index.html\">Index</a> \
             <input id=\"search\" type=\"search\" placeholder=\"Search ( / )\" \
             aria-label=\"Search all definitions\" hidden>\n<ul id=\"found\"></ul></header>\n\
             <main>\n<h1>{title}</h1>\n{content}</main>\n\
             <script>\nvar INDEX = {index};\n{SEARCH}</script>\n</body>\n</html>\n"
        )
    }

    /// All files, and what they define.
    fn overview(&self) -> String {
        let mut out = String::new();
        for (file, name) in self.names.iter().enumerate() {
            out.push_str("<section>\n<h2><a href=\"");
            escape(name, &mut out);
            out.push_str("\">");
            escape(&self.titles[file], &mut out);
            out.push_str("</a></h2>\n");
            self.contents(file, true, &mut out);
            out.push_str("</section>\n");
        }
        out
    }

    /// What a file defines, by kind.
    fn contents(&self, file: usize, from_outside: bool, out: &mut String) {
        const KINDS: [(&str, &str); 7] = [
            ("service", "Services"),
            ("struct", "Structs"),
            ("union", "Unions"),
            ("exception", "Exceptions"),
            ("enum", "Enums"),
            ("typedef", "Typedefs"),
            ("const", "Constants"),
        ];
        let items = &self.program.files[file].items;
        for (kind, heading) in KINDS {
            let of_kind = items.iter().filter(|id| keyword(self.program.item(**id)) == kind);
            let links: Vec<String> = of_kind
                .map(|id| {
                    let name = escaped(&self.program.item(*id).name.text);
                    let page = if from_outside { self.names[file].as_str() } else { "" };
                    format!("<a href=\"{page}#{}\">{name}</a>", self.anchor(*id))
                })
                .collect();
            if !links.is_empty() {
                out.push_str(&format!("<p><b>{heading}</b>: {}</p>\n", links.join(", ")));
            }
        }
    }

    /// What the search goes through: for each page its name, its title, and the kinds and names of what is on it.
    fn index(&self) -> String {
        let mut out = String::from("[");
        for (file, name) in self.names.iter().enumerate() {
            out.push_str(if file == 0 { "\n[" } else { ",\n[" });
            script_literal(name, &mut out);
            out.push(',');
            script_literal(&self.titles[file], &mut out);
            out.push_str(",[");
            let mut first = true;
            let mut entry = |kind: &str, name: &str| {
                out.push_str(if std::mem::take(&mut first) { "[" } else { ",[" });
                script_literal(kind, &mut out);
                out.push(',');
                script_literal(name, &mut out);
                out.push(']');
            };
            for id in &self.program.files[file].items {
                let item = self.program.item(*id);
                let owner = item.name.text.as_str();
                entry(keyword(item), owner);
                match &item.kind {
                    ItemKind::Enum(values) => {
                        values
                            .iter()
                            .for_each(|value| entry("value", &format!("{owner}.{}", value.name.text)));
                    }
                    ItemKind::Service { functions, .. } => functions
                        .iter()
                        .for_each(|function| entry("function", &format!("{owner}.{}", function.name.text))),
                    ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Struct { .. } => {}
                }
            }
            out.push_str("]]");
        }
        out.push_str("\n]");
        out
    }

    /// The id of a definition on its page. Names are letters, digits and underscores; those of types, constants and services
    /// may be the same.
    fn anchor(&self, id: ItemId) -> String {
        let item = self.program.item(id);
        format!("{}.{}", keyword(item), item.name.text)
    }

    /// A link to a definition, or to something in it, from one of the pages.
    fn href(&self, from: usize, to: ItemId, within: Option<&str>) -> String {
        let file = self.program.item(to).file.index();
        let page = if file == from { "" } else { self.names[file].as_str() };
        let within = within.map_or_else(String::new, |name| format!(".{name}"));
        format!("{page}#{}{within}", self.anchor(to))
    }
}

const STYLE: &str = include_str!("style.css");
const SEARCH: &str = include_str!("search.js");

/// The word that defines an item.
const fn keyword(item: &Item) -> &'static str {
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

/// Names of files for pages: of letters that need no escaping anywhere, and each once, also where case does not count.
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
    fn every_page_has_a_name_of_its_own() {
        let names = page_names(["a", "A", "index", "a b&c", "a-2", "..", "a.b"].into_iter());
        assert_eq!(
            names,
            ["a.html", "A-2.html", "index-2.html", "a_b_c.html", "a-2-2.html", "file.html", "a.b.html"]
        );
    }
}
