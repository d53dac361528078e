//! Matches the files and definitions of the new version with those of the old one.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

use super::version::Side;
use crate::ir::{ItemId, ItemKind};

/// The matches.
pub(super) struct Matches {
    /// The new file for each old one.
    files: Vec<Option<usize>>,
    items: BTreeMap<ItemId, ItemId>,
    /// The old definition for each new one.
    old: HashMap<ItemId, ItemId>,
}

/// Types, constants and services may have the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Room {
    Type,
    Constant,
    Service,
}

impl Room {
    const fn of(kind: &ItemKind) -> Self {
        match kind {
            ItemKind::Typedef(_) | ItemKind::Enum(_) | ItemKind::Struct { .. } => Self::Type,
            ItemKind::Const { .. } => Self::Constant,
            ItemKind::Service { .. } => Self::Service,
        }
    }
}

impl Matches {
    pub(super) fn new(old: &Side<'_>, new: &Side<'_>) -> Self {
        let mut matches = Self { files: files(old, new), items: BTreeMap::new(), old: HashMap::new() };
        matches.within_files(old, new);
        matches.across_files(old, new);
        matches
    }

    fn within_files(&mut self, old: &Side<'_>, new: &Side<'_>) {
        for file in 0..self.files.len() {
            let Some(other) = self.files[file] else { continue };
            let named: HashMap<(Room, &str), ItemId> =
                new.program.files[other].items.iter().map(|id| (key(new, *id), *id)).collect();
            for id in &old.program.files[file].items {
                if let Some(found) = named.get(&key(old, *id)) {
                    self.add(*id, *found);
                }
            }
        }
    }

    /// Matches definitions that went to another file, if only one can be meant.
    fn across_files(&mut self, old: &Side<'_>, new: &Side<'_>) {
        let gone = once(old, |id| !self.items.contains_key(&id));
        let come = once(new, |id| !self.old.contains_key(&id));
        for (key, old) in gone {
            if let (Some(old), Some(Some(new))) = (old, come.get(&key)) {
                self.add(old, *new);
            }
        }
    }

    pub(super) fn add(&mut self, old: ItemId, new: ItemId) {
        self.items.insert(old, new);
        self.old.insert(new, old);
    }

    /// The new file for an old one.
    pub(super) fn file(&self, old: usize) -> Option<usize> {
        self.files[old]
    }

    /// The new definition for an old one.
    pub(super) fn new_of(&self, old: ItemId) -> Option<ItemId> {
        self.items.get(&old).copied()
    }

    /// The old definition for a new one.
    pub(super) fn old_of(&self, new: ItemId) -> Option<ItemId> {
        self.old.get(&new).copied()
    }

    pub(super) fn are(&self, old: ItemId, new: ItemId) -> bool {
        self.new_of(old) == Some(new)
    }

    /// Old and new, in the order of the old version.
    pub(super) fn pairs(&self) -> Vec<(ItemId, ItemId)> {
        self.items.iter().map(|(old, new)| (*old, *new)).collect()
    }
}

/// The definitions of a kind by name. `None` if several have the name.
fn once<'s>(side: &Side<'s>, of: impl Fn(ItemId) -> bool) -> HashMap<(Room, &'s str), Option<ItemId>> {
    let mut found = HashMap::new();
    for id in side.program.ids().filter(|id| of(*id)) {
        found.entry(key(side, id)).and_modify(|known| *known = None).or_insert(Some(id));
    }
    found
}

fn key<'s>(side: &Side<'s>, id: ItemId) -> (Room, &'s str) {
    let item = side.program.item(id);
    (Room::of(&item.kind), item.name.text.as_str())
}

/// The new file for each old one. The given files match each other, whatever their names. Other files are matched by their
/// path from there, and then by the longest common end of their paths.
fn files(old: &Side<'_>, new: &Side<'_>) -> Vec<Option<usize>> {
    let mut found: Vec<Option<usize>> = vec![None; old.program.files.len()];
    let mut taken = vec![false; new.program.files.len()];
    let mut pair = |old: usize, new: usize| {
        if found[old].is_none() && !taken[new] {
            found[old] = Some(new);
            taken[new] = true;
        }
    };
    if old.program.roots == 1 && new.program.roots == 1 {
        pair(0, 0);
    }
    let by_path: HashMap<&Path, usize> =
        (0..new.program.files.len()).filter_map(|file| Some((from_root(new, file)?, file))).collect();
    for file in 0..old.program.files.len() {
        if let Some(new_file) = from_root(old, file).and_then(|path| by_path.get(path)) {
            pair(file, *new_file);
        }
    }
    let mut near: Vec<(usize, usize, usize)> = Vec::new();
    for old_file in 0..old.program.files.len() {
        for new_file in 0..new.program.files.len() {
            let same = common_end(old.path(old_file), new.path(new_file));
            if same > 0 {
                near.push((same, old_file, new_file));
            }
        }
    }
    // The longest common end first.
    near.sort_by_key(|(same, old, new)| (std::cmp::Reverse(*same), *old, *new));
    near.into_iter().for_each(|(_, old, new)| pair(old, new));
    found
}

/// The path of a file from the folder of the given file.
fn from_root<'s>(side: &Side<'s>, file: usize) -> Option<&'s Path> {
    if side.program.roots != 1 {
        return None;
    }
    side.path(file).strip_prefix(side.path(0).parent()?).ok()
}

/// Number of parts that two paths have in common, from their ends.
fn common_end(one: &Path, other: &Path) -> usize {
    let parts = |path: &Path| -> Vec<String> {
        let normal = path.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        });
        normal.collect()
    };
    let (one, other) = (parts(one), parts(other));
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_from_their_ends() {
        assert_eq!(common_end(Path::new("v1/idl/a.thrift"), Path::new("../v2/idl/a.thrift")), 2);
        assert_eq!(common_end(Path::new("v1/a.thrift"), Path::new("v1/b.thrift")), 0);
    }
}
