//! Doc comments: the item that one belongs to, and its text.

use crate::syntax::{Comment, CommentKind, Doc};

/// The documentation of the item at `start`: the last doc comment before it, if only comments are between them.
pub(crate) fn doc_before(source: &str, comments: &[Comment], start: u32) -> Option<Doc> {
    let before = comments.partition_point(|comment| comment.span.end <= start);
    let mut until = start as usize;
    for comment in comments[..before].iter().rev() {
        if !source[comment.span.end as usize..until].trim_ascii().is_empty() {
            return None;
        }
        if comment.kind == CommentKind::Doc {
            let text = doc_text(&source[comment.span.range()]);
            return Some(Doc { text, span: comment.span });
        }
        until = comment.span.start as usize;
    }
    None
}

/// The text of a doc comment without delimiters, leading stars and common indentation.
fn doc_text(comment: &str) -> String {
    let inner = comment.trim_start_matches('/').trim_start_matches('*');
    let inner = inner.strip_suffix('/').unwrap_or(inner).trim_end_matches('*');
    let mut lines: Vec<&str> = inner.lines().map(str::trim_end).collect();
    // Leading stars are removed only if every line but the first has one.
    let framed = lines.iter().skip(1).all(|line| line.is_empty() || line.trim_start().starts_with('*'));
    if framed {
        for line in lines.iter_mut().skip(1) {
            *line = line.trim_start().strip_prefix('*').unwrap_or_default();
        }
    }
    if let Some(first) = lines.first_mut() {
        *first = first.trim_start();
    }
    let indent = lines
        .iter()
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let mut text: Vec<&str> = Vec::with_capacity(lines.len());
    for (number, line) in lines.into_iter().enumerate() {
        text.push(if number == 0 { line } else { line.get(indent..).unwrap_or_default() });
    }
    let first = text.iter().position(|line| !line.is_empty()).unwrap_or(text.len());
    let last = text.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
    text[first..last].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_stars_and_indentation_are_removed() {
        assert_eq!(doc_text("/** One line. */"), "One line.");
        assert_eq!(
            doc_text("/**\n * First.\n *\n *   Indented.\n * Last.\n */"),
            "First.\n\n  Indented.\nLast."
        );
        assert_eq!(doc_text("/**\n   plain\n     text\n*/"), "plain\n  text");
        assert_eq!(doc_text("/** * a list\n *  * of stars */"), "* a list\n* of stars");
    }
}
