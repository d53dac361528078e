//! The keywords of the IDL, and words that are nearly keywords.

/// The keywords of definitions with a body.
pub(crate) const BODIES: [&str; 5] = ["enum", "struct", "union", "exception", "service"];

/// Whether a header or definition starts with this keyword. Keywords of removed forms count: each has its own error.
pub(crate) fn starts_item(word: &str) -> bool {
    matches!(word, "include" | "cpp_include" | "namespace" | "typedef" | "const" | "senum")
        || word.ends_with("_namespace")
        || word.ends_with("_package")
        || starts_body(word)
}

pub(crate) fn starts_body(word: &str) -> bool {
    BODIES.contains(&word)
}

/// The keyword that `word` is probably meant to be: at most two edits away, and not `word` itself.
pub(crate) fn near(word: &str, keywords: &[&'static str]) -> Option<&'static str> {
    let most = word.len() / 3;
    keywords
        .iter()
        .filter(|keyword| **keyword != word && keyword.len().abs_diff(word.len()) <= 2)
        .map(|keyword| (strsim::damerau_levenshtein(&word.to_ascii_lowercase(), keyword), *keyword))
        .filter(|(distance, _)| *distance <= most.min(2))
        .min()
        .map(|(_, keyword)| keyword)
}

/// Whether a word can be the name of a definition or member.
pub(crate) fn may_be_name(word: &str) -> bool {
    !matches!(
        word,
        "bool"
            | "byte"
            | "i8"
            | "i16"
            | "i32"
            | "i64"
            | "double"
            | "string"
            | "binary"
            | "void"
            | "list"
            | "set"
            | "map"
            | "required"
            | "optional"
            | "oneway"
            | "async"
            | "extends"
            | "throws"
    ) && !starts_item(word)
        && !word.starts_with(|c: char| c.is_ascii_digit())
}
