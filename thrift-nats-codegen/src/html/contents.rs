//! Tables of contents: of all files on the front page, and of one file on its own page.

use super::code::Link;
use super::site::{Site, keyword};
use super::view::{FileEntry, Group};
use crate::ir::ItemId;

/// The keyword of each kind of definition and the heading of its group, in the order of the groups.
const KINDS: [(&str, &str); 7] = [
    ("service", "Services"),
    ("struct", "Structs"),
    ("union", "Unions"),
    ("exception", "Exceptions"),
    ("enum", "Enums"),
    ("typedef", "Typedefs"),
    ("const", "Constants"),
];

/// All files with their definitions, for the front page.
pub(super) fn all_files(site: &Site<'_>) -> Vec<FileEntry> {
    let entry = |file| FileEntry { page: site.page_link(file), contents: groups(site, file, None) };
    (0..site.names.len()).map(entry).collect()
}

/// The definitions of a file, as links from the page of the file `from` or from the front page.
pub(super) fn groups(site: &Site<'_>, file: usize, from: Option<usize>) -> Vec<Group> {
    let items = &site.program.files[file].items;
    let link = |id: &ItemId| Link {
        href: site.href(from, *id, None),
        text: site.program.item(*id).name.text.clone(),
    };
    let groups = KINDS.into_iter().map(|(kind, heading)| {
        let of_kind = items.iter().filter(|id| keyword(site.program.item(**id)) == kind);
        Group { heading, links: of_kind.map(link).collect() }
    });
    groups.filter(|group| !group.links.is_empty()).collect()
}
