//! What lies between the tokens: comments, and how deep brackets nest. One pass over the text, before the grammar's.

use crate::syntax::{Comment, CommentKind, Doc, Span};

/// What a pass over the text found.
#[derive(Debug, Default)]
pub(crate) struct Surface {
    /// Every comment, in source order.
    pub(crate) comments: Vec<Comment>,
    /// The first bracket that is nested deeper than the limit.
    pub(crate) too_deep: Option<Span>,
}

/// Finds the comments of `source`, and the first bracket that opens more than `limit` levels.
pub(crate) fn scan(source: &str, limit: usize) -> Surface {
    let bytes = source.as_bytes();
    let mut surface = Surface::default();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'#' => at = end_of_line(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = end_of_line(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                // One that is not closed is no comment: the grammar will stop at it.
                let Some(len) = source[at + 2..].find("*/") else { break };
                at += len + 4;
            }
            b'"' | b'\'' => at = end_of_literal(bytes, at),
            b'<' | b'{' | b'[' | b'(' => {
                depth += 1;
                at += 1;
                if depth > limit && surface.too_deep.is_none() {
                    surface.too_deep = Some(span(start, at));
                }
            }
            b'>' | b'}' | b']' | b')' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
        if matches!(byte, b'#' | b'/') && at > start + 1 {
            let kind = comment_kind(&source[start..at]);
            surface.comments.push(Comment { kind, span: span(start, at) });
        }
    }
    surface
}

fn span(start: usize, end: usize) -> Span {
    // Sources are checked to be shorter than 4 GiB before anything else.
    Span::new(start as u32, end as u32)
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

/// Behind the literal that starts at `at`, or at the end of its line if it is not closed there.
fn end_of_literal(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'\n' => return end,
            b'\\' if bytes.get(end + 1).is_some_and(|next| *next != b'\n') => end += 2,
            _ => {
                end += 1;
                if byte == quote {
                    return end;
                }
            }
        }
    }
    end.min(bytes.len())
}

fn comment_kind(text: &str) -> CommentKind {
    if !text.starts_with("/*") {
        CommentKind::Line
    } else if text.starts_with("/**") && text.bytes().any(|byte| !matches!(byte, b'/' | b'*')) {
        CommentKind::Doc
    } else {
        // `/**/` and `/***/` document nothing.
        CommentKind::Block
    }
}

/// The documentation of what starts at `start`: the last doc comment before it, if only comments stand between.
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

/// The text of a doc comment, without its frame.
fn doc_text(comment: &str) -> String {
    let inner = comment.trim_start_matches('/').trim_start_matches('*');
    let inner = inner.strip_suffix('/').unwrap_or(inner).trim_end_matches('*');
    let mut lines: Vec<&str> = inner.lines().map(str::trim_end).collect();
    // A column of stars is a frame if every line but the first has its star.
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
    fn a_doc_comment_loses_its_frame() {
        assert_eq!(doc_text("/** One line. */"), "One line.");
        assert_eq!(
            doc_text("/**\n * First.\n *\n *   Indented.\n * Last.\n */"),
            "First.\n\n  Indented.\nLast."
        );
        assert_eq!(doc_text("/**\n   plain\n     text\n*/"), "plain\n  text");
        assert_eq!(doc_text("/** * a list\n *  * of stars */"), "* a list\n* of stars");
    }

    #[test]
    fn comments_are_told_from_literals() {
        let source = "const string A = \"// no\" # yes\n/**/ /***/ /** doc */ '/* no */'";
        let kinds: Vec<_> =
            scan(source, 8).comments.iter().map(|c| (c.kind, &source[c.span.range()])).collect();
        assert_eq!(
            kinds,
            [
                (CommentKind::Line, "# yes"),
                (CommentKind::Block, "/**/"),
                (CommentKind::Block, "/***/"),
                (CommentKind::Doc, "/** doc */"),
            ]
        );
    }
}
