//! Helpers of several tests.

use thrift_parser::format;
use thrift_parser::syntax::Document;

/// The tree as text, without spans.
pub(crate) fn without_spans(document: &Document) -> String {
    let text = format!("{document:#?}");
    let mut lines = Vec::new();
    let mut all = text.lines();
    while let Some(line) = all.next() {
        if line.ends_with("Span {") {
            // Two fields and the brace.
            all.by_ref().take(3).for_each(drop);
        } else {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The comments, without the white space at both ends of their lines.
pub(crate) fn comments(source: &str, document: &Document) -> Vec<String> {
    let text = |line: &str| line.trim_matches([' ', '\t', '\r']).to_owned();
    let one = |comment: &str| comment.split('\n').map(text).collect::<Vec<_>>().join("\n");
    document.comments.iter().map(|comment| one(&source[comment.span.range()])).collect()
}

/// Formats a source without errors and checks the result: the same meaning and comments, stable, and clean.
pub(crate) fn check_format(source: &str) -> Result<String, String> {
    let document = thrift_parser::parse(source).document;
    let output = format(source).map_err(|errors| format!("the source has errors: {errors:?}"))?;
    let parsed = thrift_parser::parse(&output);
    if let Some(error) = parsed.errors.first() {
        return Err(format!("the output has an error: {error:?}"));
    }
    if without_spans(&document) != without_spans(&parsed.document) {
        return Err("the output has a different meaning".to_owned());
    }
    if comments(source, &document) != comments(&output, &parsed.document) {
        return Err("the output has different comments".to_owned());
    }
    if format(&output).as_ref() != Ok(&output) {
        return Err("formatting the output changes it".to_owned());
    }
    if output.contains("\r\n") || output.starts_with('\u{feff}') {
        return Err("the output has `\\r\\n` or a byte order mark".to_owned());
    }
    if !(output.is_empty() || output.ends_with('\n')) || output.ends_with("\n\n") {
        return Err("the output does not end with one newline".to_owned());
    }
    if output.lines().any(|line| line.ends_with([' ', '\t'])) {
        return Err("the output has white space at the end of a line".to_owned());
    }
    Ok(output)
}
