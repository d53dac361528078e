//! The entries of a list: their ends and kinds.

use proc_macro2::Delimiter;

use super::tree::{List, Tree};

/// Whether an entry has blank lines around it: a function, an `impl`, a macro, or another entry with a body.
pub(super) fn is_tall(entry: &[Tree<'_>]) -> bool {
    let first = entry.iter().find(|tree| matches!(tree, Tree::Token { .. }));
    if matches!(first, Some(Tree::Token { text: "impl" | "::", .. })) {
        return true;
    }
    entry.iter().any(|tree| match tree {
        Tree::Group(group) => group.broken,
        Tree::Token { text, .. } => *text == "fn",
        Tree::Doc(_) | Tree::Attribute(_) => false,
    })
}

/// Whether an entry is a statement or expression rather than an item.
pub(super) fn is_statement(entry: &[Tree<'_>]) -> bool {
    // Generated code has `async` functions, but not `async` blocks.
    const ITEMS: [&str; 10] =
        ["pub", "async", "impl", "fn", "struct", "enum", "trait", "mod", "const", "static"];
    match entry.iter().find(|tree| matches!(tree, Tree::Token { .. })) {
        Some(Tree::Token { text, .. }) => !ITEMS.contains(text) && *text != "::",
        _ => true,
    }
}

/// Whether an entry is `..base`, which no comma may follow.
pub(super) fn is_base(entry: &[Tree<'_>]) -> bool {
    matches!(entry.first(), Some(Tree::Token { text: "..", .. }))
}

/// Whether an entry of a comma list needs no comma: the arm of a `match` with a body.
pub(super) fn ends_in_body(entry: &[Tree<'_>]) -> bool {
    match entry {
        [.., Tree::Token { text: "=>", .. }, Tree::Group(group)] if group.trees.is_empty() => {
            group.delimiter == Delimiter::Brace
        }
        [.., Tree::Group(group)] => {
            group.broken && group.delimiter == Delimiter::Brace && group.list == List::Items
        }
        _ => false,
    }
}

/// The entries of a list, without the commas between them.
pub(super) fn split<'t, 's>(trees: &'t [Tree<'s>], list: List) -> Vec<&'t [Tree<'s>]> {
    let mut entries = Vec::new();
    let mut start = 0;
    // Commas within `<…>` are part of a type.
    let mut angles = 0_usize;
    for (index, tree) in trees.iter().enumerate() {
        let next = trees.get(index + 1);
        match tree {
            Tree::Token { text: "<", .. } => angles += 1,
            Tree::Token { text: ">", .. } => angles = angles.saturating_sub(1),
            Tree::Token { text, .. } if list == List::Items && *text == ";" => {
                entries.push(&trees[start..=index]);
                start = index + 1;
            }
            Tree::Token { text, .. } if list == List::Commas && *text == "," && angles == 0 => {
                entries.push(&trees[start..index]);
                start = index + 1;
            }
            Tree::Group(group) if group.delimiter == Delimiter::Brace && angles == 0 => {
                let goes_on = match next {
                    Some(Tree::Token { text, .. }) => {
                        matches!(*text, "." | "?" | "," | ";" | "else" | "from")
                    }
                    Some(Tree::Group(_)) => list == List::Commas && !group.broken,
                    Some(Tree::Doc(_) | Tree::Attribute(_)) => false,
                    None => true,
                };
                let arm = index > start && matches!(trees[index - 1], Tree::Token { text: "=>", .. });
                let ends = group.broken || group.trees.is_empty() && (list == List::Items || arm);
                if ends && !goes_on && (list == List::Items || group.list == List::Items || group.broken) {
                    entries.push(&trees[start..=index]);
                    start = index + 1;
                }
            }
            _ => {}
        }
    }
    if start < trees.len() {
        entries.push(&trees[start..]);
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}
