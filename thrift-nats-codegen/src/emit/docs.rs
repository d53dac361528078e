//! The IDL's comments as rustdoc.

use std::fmt::Write;

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;

impl Emitter<'_> {
    /// The comment of the IDL as documentation, if there is one.
    pub(super) fn doc(&self, written: Option<&String>) -> TokenStream {
        let written = written.filter(|_| self.options.comments);
        written.map(|text| attributes(&markdown(text))).unwrap_or_default()
    }
}

/// One attribute for each line.
pub(super) fn attributes(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| if line.is_empty() { String::new() } else { format!(" {line}") });
    lines.map(|line| quote! { #[doc = #line] }).collect()
}

/// A comment as Markdown, escaped so that its text does not accidentally become code, a link or HTML.
fn markdown(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        if !output.is_empty() {
            output.push('\n');
        }
        let trimmed = line.trim();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            // Code in a comment is in another language. It must not become a doctest.
            (None, Some(mark)) if mark == "~~~" || !trimmed[3..].contains('`') => {
                fence = Some(mark);
                let _ = write!(output, "{mark}text");
            }
            (Some(open), Some(mark)) if open == mark => {
                fence = None;
                output.push_str(mark);
            }
            (Some(_), _) => output.push_str(line.trim_end()),
            (None, _) => escape(trimmed, line.len() - line.trim_start().len(), &mut output),
        }
    }
    if let Some(mark) = fence {
        let _ = write!(output, "\n{mark}");
    }
    output
}

/// A line of text. It is indented no deeper than a list, or it would be code.
fn escape(line: &str, indentation: usize, output: &mut String) {
    output.push_str(&"   "[..indentation.min(3)]);
    let mut in_code = false;
    let ticks = line.matches('`').count();
    for (position, c) in line.chars().enumerate() {
        match c {
            '`' if ticks.is_multiple_of(2) => {
                in_code = !in_code;
                output.push(c);
            }
            '`' | '[' | ']' | '<' | '>' if !in_code => {
                // `>` at the start of a line is a quotation.
                if !(c == '>' && position == 0) {
                    output.push('\\');
                }
                output.push(c);
            }
            _ => output.push(c),
        }
    }
    // A backslash at the end of a line would be a line break.
    if output.ends_with('\\') {
        output.push('\\');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_comment_becomes_a_link_html_or_a_doctest() {
        assert_eq!(markdown("a list<i32> [here]"), r"a list\<i32\> \[here\]");
        assert_eq!(markdown("`list<i32>` stays"), "`list<i32>` stays");
        assert_eq!(markdown("```\nlet x = 1;\n```"), "```text\nlet x = 1;\n```");
        assert_eq!(markdown("```rust\ncode"), "```text\ncode\n```");
        assert_eq!(markdown("text\n\n        indented"), "text\n\n   indented");
        assert_eq!(markdown("a ` alone"), r"a \` alone");
    }
}
