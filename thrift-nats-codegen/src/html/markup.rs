//! Text as HTML: whatever it holds, it shows as itself and is never markup.

use std::fmt::Write;

/// Text, also within a quoted attribute.
pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No HTML may hold these, not even as references.
            '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
}

pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

/// A literal of JavaScript that may stand in a `script` element.
pub(super) fn script_literal(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // Nothing that HTML looks for inside of a script, and nothing that ends a line.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// What a part of a comment is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Paragraph,
    List(&'static str),
}

impl Block {
    fn close(&mut self, out: &mut String) {
        match self {
            Self::None => {}
            Self::Paragraph => out.push_str("</p>\n"),
            Self::List(tag) => {
                // Writing to a `String` cannot fail.
                let _ = writeln!(out, "</li></{tag}>");
            }
        }
        *self = Self::None;
    }
}

/// A comment: paragraphs, lists, fenced and indented code, `code` between backticks, and tags as `@param`.
pub(super) fn comment(text: &str, out: &mut String) {
    let mut block = Block::None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            block.close(out);
            continue;
        }
        let indented = line.len() - line.trim_start().len() >= 4;
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| trimmed.starts_with(fence)) {
            block.close(out);
            let code = std::iter::from_fn(|| lines.next().filter(|line| !line.trim().starts_with(fence)));
            code_block(&code.collect::<Vec<_>>(), out);
        } else if indented && block == Block::None {
            let mut code = vec![line];
            while let Some(line) = lines.next_if(|line| line.starts_with("    ") || line.trim().is_empty()) {
                code.push(line);
            }
            while code.last().is_some_and(|line| line.trim().is_empty()) {
                code.pop();
            }
            let indent = code
                .iter()
                .filter(|line| !line.trim().is_empty())
                .map(|line| line.len() - line.trim_start().len())
                .min()
                .unwrap_or(0);
            let code: Vec<&str> =
                code.into_iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
            code_block(&code, out);
        } else if let Some((tag, item)) = list_item(trimmed) {
            if block == Block::List(tag) {
                out.push_str("</li>\n<li>");
            } else {
                block.close(out);
                block = Block::List(tag);
                // Writing to a `String` cannot fail.
                let _ = write!(out, "<{tag}><li>");
            }
            inline(item, out);
        } else {
            let tag = trimmed.strip_prefix('@').map(|rest| rest.split_whitespace().next().unwrap_or(""));
            let tag = tag.filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic()));
            if tag.is_some() {
                block.close(out);
            }
            if block == Block::None {
                out.push_str("<p>");
                block = Block::Paragraph;
            } else {
                out.push('\n');
            }
            match tag {
                Some(tag) => {
                    out.push_str("<b>@");
                    escape(tag, out);
                    out.push_str("</b>");
                    inline(&trimmed[1 + tag.len()..], out);
                }
                None => inline(trimmed, out),
            }
        }
    }
    block.close(out);
}

fn code_block(lines: &[&str], out: &mut String) {
    out.push_str("<pre><code>");
    escape(&lines.join("\n"), out);
    out.push_str("</code></pre>\n");
}

/// The kind of list and the text, if a line begins an entry.
fn list_item(line: &str) -> Option<(&'static str, &str)> {
    if let Some(item) = ["- ", "* ", "+ "].into_iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some(("ul", item.trim_start()));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line[digits..].strip_prefix(". ").or(line[digits..].strip_prefix(") "))?;
    (1..=3).contains(&digits).then_some(("ol", rest.trim_start()))
}

/// A line of text, with `code` between backticks.
fn inline(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, code, after)) = code_span(rest) {
        escape(before, out);
        out.push_str("<code>");
        escape(code, out);
        out.push_str("</code>");
        rest = after;
    }
    escape(rest, out);
}

/// What stands before the first pair of backticks, between and behind them.
fn code_span(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    (!code.is_empty()).then_some((before, code, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        comment(text, &mut out);
        out
    }

    #[test]
    fn nothing_in_a_comment_is_markup() {
        assert_eq!(
            shown("<script>alert('x')</script> & \"y\""),
            "<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;</p>\n"
        );
        assert_eq!(shown("`<b>`"), "<p><code>&lt;b&gt;</code></p>\n");
        assert_eq!(
            shown("```html\n</code></pre><b>\n```"),
            "<pre><code>&lt;/code&gt;&lt;/pre&gt;&lt;b&gt;</code></pre>\n"
        );
        assert_eq!(shown("@<i> x"), "<p>@&lt;i&gt; x</p>\n");
    }

    #[test]
    fn a_comment_has_paragraphs_lists_code_and_tags() {
        assert_eq!(shown("One\ntwo.\n\nThree."), "<p>One\ntwo.</p>\n<p>Three.</p>\n");
        assert_eq!(shown("- a\n- b\n\n1. c"), "<ul><li>a</li>\n<li>b</li></ul>\n<ol><li>c</li></ol>\n");
        assert_eq!(shown("- a\n  goes on"), "<ul><li>a\ngoes on</li></ul>\n");
        assert_eq!(
            shown("See:\n\n    x = 1\n\n      y\n\nEnd"),
            "<p>See:</p>\n<pre><code>x = 1\n\n  y</code></pre>\n<p>End</p>\n"
        );
        assert_eq!(shown("~~~\nopen"), "<pre><code>open</code></pre>\n");
        assert_eq!(
            shown("Adds.\n@param a the first\n@return it"),
            "<p>Adds.</p>\n<p><b>@param</b> a the first</p>\n<p><b>@return</b> it</p>\n"
        );
        assert_eq!(shown("a ` alone and `` empty"), "<p>a <code> alone and </code>` empty</p>\n");
    }

    #[test]
    fn a_script_cannot_be_left() {
        let mut out = String::new();
        script_literal("</script><!--\"\\\u{2028}\n", &mut out);
        assert_eq!(out, r#""\u003c/script\u003e\u003c!--\"\\\u2028\u000a""#);
    }
}
