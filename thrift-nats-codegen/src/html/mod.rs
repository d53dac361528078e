//! The documentation of an IDL as static HTML: a page for each file, and a front page.
//!
//! A page contains its styles and its script, so that it can be opened from a disk. Without scripts only the search is
//! missing. All text of the IDL is untrusted.
//!
//! `page` turns the program (`ir`) into the data of a template (`view`), with the addresses from `site`. The templates below
//! `templates/docs/` turn it into HTML, and escape it. `markdown` renders comments.

mod code;
mod contents;
mod markdown;
mod page;
mod search;
mod site;
mod values;
mod view;

use std::path::{Path, PathBuf};

use askama::Template;

use self::search::SearchIndex;
use self::site::Site;
use self::view::IndexPage;
use crate::diagnostics::Report;
use crate::error::Error;
use crate::generate::roots;
use crate::options::Options;
use crate::output::write_if_changed;
use crate::resolve::resolve;

/// The documentation of an IDL, made by [`Options::document`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Documentation {
    /// The file name and the HTML of each page. The first page is `index.html`.
    pub pages: Vec<(String, String)>,
    /// Every file that was read.
    pub sources: Vec<PathBuf>,
    /// Warnings about the files.
    pub warnings: Report,
}

impl Documentation {
    /// Writes the pages to a folder, and creates the folder if it does not exist.
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
        let resolved = resolve(&roots(files)?, &self.include_paths, self.front_end);
        let sources: Vec<PathBuf> = resolved.sources.paths().map(Path::to_owned).collect();
        let denied = self.deny_warnings && !resolved.diagnostics.is_empty();
        match resolved.program() {
            Some(program) if !denied => {
                let pages = pages(&Site::new(program, &resolved.sources, self))?;
                let warnings = Report::new(resolved.sources, resolved.diagnostics);
                Ok(Documentation { pages, sources, warnings })
            }
            _ => Err(Error::new(Report::new(resolved.sources, resolved.diagnostics), sources)),
        }
    }
}

/// The file name and the HTML of each page, the front page first.
fn pages(site: &Site<'_>) -> Result<Vec<(String, String)>, Error> {
    let search_index = SearchIndex::new(site);
    let index = IndexPage { title: "Index", search_index: &search_index, files: contents::all_files(site) };
    let mut pages = vec![("index.html".to_owned(), render(&index)?)];
    for (file, name) in site.names.iter().enumerate() {
        pages.push((name.clone(), render(&page::file_page(site, file, &search_index))?));
    }
    Ok(pages)
}

/// The HTML of a page. Control characters, which HTML does not allow even as references, become U+FFFD.
fn render(page: &impl Template) -> Result<String, Error> {
    let html = page.render().map_err(|error| Error::message(format!("cannot render a page: {error}")))?;
    let is_forbidden = |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r');
    Ok(if html.contains(is_forbidden) { html.replace(is_forbidden, "\u{fffd}") } else { html })
}
