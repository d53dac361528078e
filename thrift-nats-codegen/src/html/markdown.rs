//! Renders the Markdown of comments to HTML.
//!
//! Comments are not trusted: HTML in a comment is shown as text, images are replaced by their description, and only web and
//! mail addresses become links.

use std::borrow::Cow;
use std::fmt;

use askama::filters::HtmlSafe;
use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

/// The extension to CommonMark that comments may use. Footnotes and heading attributes would set ids, which could clash with
/// those of definitions.
const OPTIONS: Options = Options::ENABLE_TABLES;

/// The HTML of a comment. Only [`render`] makes it.
#[derive(Debug)]
pub(super) struct Html(String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Templates insert it as it is: `pulldown-cmark` has escaped all text in it.
impl HtmlSafe for Html {}

/// Renders a comment.
pub(super) fn render(comment: &str) -> Html {
    let comment = separate_tags(comment);
    let mut output = String::with_capacity(comment.len() * 2);
    html::push_html(&mut output, harmless(Parser::new_ext(&comment, OPTIONS)));
    Html(output)
}

/// Replaces the events that would let a comment run scripts, load files or break the outline of the page.
fn harmless<'c>(events: impl Iterator<Item = Event<'c>>) -> impl Iterator<Item = Event<'c>> {
    // For each open link, whether it is kept.
    let mut links = Vec::new();
    events.filter_map(move |event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { link_type, ref dest_url, .. }) => {
            // `push_html` puts `mailto:` before the address of an email link.
            let kept = link_type == LinkType::Email || is_allowed(dest_url);
            links.push(kept);
            kept.then_some(event)
        }
        Event::End(TagEnd::Link) => links.pop().is_some_and(|kept| kept).then_some(event),
        Event::Start(Tag::Heading { level, .. }) => {
            let level = below_functions(level);
            Some(Event::Start(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() }))
        }
        Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(below_functions(level)))),
        event => Some(event),
    })
}

/// Whether a comment may link to an address. Relative addresses are refused, too: they are relative to the IDL file, not to
/// the page.
fn is_allowed(address: &str) -> bool {
    ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// The level of a heading within a comment: the page itself uses the first three.
const fn below_functions(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H4,
        HeadingLevel::H2 => HeadingLevel::H5,
        HeadingLevel::H3 | HeadingLevel::H4 | HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// Starts a paragraph at each line that begins with a tag such as `@param`, and makes the tag bold. Markdown would join
/// these lines to one paragraph.
fn separate_tags(comment: &str) -> Cow<'_, str> {
    if !comment.lines().any(|line| tag(line.trim_start()).is_some()) {
        return Cow::Borrowed(comment);
    }
    let mut verbatim = Parser::new_ext(comment, OPTIONS)
        .into_offset_iter()
        .filter(|(event, _)| matches!(event, Event::Start(Tag::CodeBlock(_) | Tag::HtmlBlock)))
        .map(|(_, range)| range)
        .peekable();
    let mut output = String::with_capacity(comment.len() + 64);
    let mut end = 0;
    for line in comment.split_inclusive('\n') {
        end += line.len();
        let text = line.trim_start();
        let start = end - text.len();
        while verbatim.next_if(|range| range.end <= start).is_some() {}
        let is_verbatim = verbatim.peek().is_some_and(|range| range.contains(&start));
        match tag(text).filter(|_| !is_verbatim) {
            Some(tag) => {
                let rest = &text[tag.len()..];
                output.extend(["\n**", tag, "**", rest]);
            }
            None => output.push_str(line),
        }
    }
    Cow::Owned(output)
}

/// The tag that a line begins with.
fn tag(line: &str) -> Option<&str> {
    let name = line.strip_prefix('@')?;
    let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name[length..].chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, ':' | '[' | '{'));
    is_tag.then(|| &line[..=length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(comment: &str) -> String {
        render(comment).to_string()
    }

    #[test]
    fn html_is_shown_as_text() {
        for (comment, expected) in [
            (
                "<script>alert('x')</script> & \"y\"",
                "<p>&lt;script&gt;alert('x')&lt;/script&gt; &amp; \"y\"</p>\n",
            ),
            ("a list<i32> <b>x", "<p>a list&lt;i32&gt; &lt;b&gt;x</p>\n"),
            ("<div onclick=x>\n*a*\n</div>", "<p>&lt;div onclick=x&gt;\n*a*\n&lt;/div&gt;</p>\n"),
            ("<!-- a --> <?b?> <![CDATA[c]]>", "<p>&lt;!-- a --&gt; &lt;?b?&gt; &lt;![CDATA[c]]&gt;</p>\n"),
            ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
            ("    </code></pre><b>", "<pre><code>&lt;/code&gt;&lt;/pre&gt;&lt;b&gt;</code></pre>\n"),
            (
                "```a\"><script>\n</code></pre>\n```",
                "<pre><code class=\"language-a&quot;&gt;&lt;script&gt;\">&lt;/code&gt;&lt;/pre&gt;\n</code></pre>\n",
            ),
            ("&lt;script&gt; \\<b>", "<p>&lt;script&gt; &lt;b&gt;</p>\n"),
            ("@<i> x", "<p>@&lt;i&gt; x</p>\n"),
        ] {
            assert_eq!(html(comment), expected, "{comment}");
        }
    }

    #[test]
    fn only_web_and_mail_addresses_are_links() {
        for (comment, expected) in [
            ("[a](https://x.org/?a=1&b=2)", "<p><a href=\"https://x.org/?a=1&amp;b=2\">a</a></p>\n"),
            ("[a]\n\n[a]: HTTP://x.org", "<p><a href=\"HTTP://x.org\">a</a></p>\n"),
            (
                "<mailto:a@x.org> <a@x.org>",
                "<p><a href=\"mailto:a@x.org\">mailto:a@x.org</a> <a href=\"mailto:a@x.org\">a@x.org</a></p>\n",
            ),
            ("[a](http://x.org/\" onclick=\"x)", "<p>[a](http://x.org/\" onclick=\"x)</p>\n"),
            ("[a](<http://x.org/\"onclick=\"x>)", "<p><a href=\"http://x.org/%22onclick=%22x\">a</a></p>\n"),
        ] {
            assert_eq!(html(comment), expected, "{comment}");
        }
        for address in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "javascript&colon;alert(1)",
            "&#106;avascript:alert(1)",
            "<java\tscript:alert(1)>",
            "<\u{1}javascript:alert(1)>",
            "vbscript:x",
            "data:text/html,x",
            "file:///etc/passwd",
            "//x.org",
            "other.md",
            "#struct.A",
            "",
        ] {
            assert_eq!(html(&format!("[*a* b]({address}) c")), "<p><em>a</em> b c</p>\n", "{address}");
            assert_eq!(html(&format!("[a][b]\n\n[b]: {address}")).matches("<a").count(), 0, "{address}");
        }
        assert_eq!(html("<javascript:alert(1)>"), "<p>javascript:alert(1)</p>\n");
    }

    #[test]
    fn images_are_replaced_by_their_description() {
        assert_eq!(html("![the *logo*](http://x.org/i.png)"), "<p>the <em>logo</em></p>\n");
        assert_eq!(html("[![i](http://x.org/i)](javascript:x)"), "<p>i</p>\n");
        assert_eq!(html("![a [b](https://x.org) c](i.png)"), "<p>a <a href=\"https://x.org\">b</a> c</p>\n");
    }

    #[test]
    fn headings_are_below_those_of_the_page() {
        assert_eq!(
            html("# A\n## B {#id}\n### C\n###### D"),
            "<h4>A</h4>\n<h5>B {#id}</h5>\n<h6>C</h6>\n<h6>D</h6>\n"
        );
    }

    #[test]
    fn comments_are_commonmark_with_tables() {
        for (comment, expected) in [
            ("One\ntwo.\n\nThree.", "<p>One\ntwo.</p>\n<p>Three.</p>\n"),
            ("- a\n  - b\n- c", "<ul>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n<li>c</li>\n</ul>\n"),
            ("2. a\n3. b", "<ol start=\"2\">\n<li>a</li>\n<li>b</li>\n</ol>\n"),
            (
                "See:\n\n    x\n\n      y\n\nEnd",
                "<p>See:</p>\n<pre><code>x\n\n  y\n</code></pre>\n<p>End</p>\n",
            ),
            ("~~~\nopen", "<pre><code>open</code></pre>\n"),
            ("``a ` b`` snake_case_name", "<p><code>a ` b</code> snake_case_name</p>\n"),
            (
                "|a|b|\n|-|-|\n|1|2|",
                "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>\n<tr><td>1</td><td>2</td></tr>\n</tbody></table>\n",
            ),
        ] {
            assert_eq!(html(comment), expected, "{comment}");
        }
    }

    #[test]
    fn each_tag_starts_a_paragraph() {
        assert_eq!(
            html("Adds.\n@param a the\n   first\n@return: it"),
            "<p>Adds.</p>\n<p><strong>@param</strong> a the\nfirst</p>\n<p><strong>@return</strong>: it</p>\n"
        );
        assert_eq!(
            html("- a\n@param[in] b\n      @since"),
            "<ul>\n<li>a</li>\n</ul>\n<p><strong>@param</strong>[in] b</p>\n<p><strong>@since</strong></p>\n"
        );
        for comment in ["@example.org x", "@<i>", "a @param", "@1"] {
            assert!(!html(comment).contains("<strong>"), "{comment}");
        }
    }

    #[test]
    fn tags_within_code_are_code() {
        assert_eq!(
            html("@see\n```\n@Test\n```\n\n    @Test\n    x\n\n@end"),
            "<p><strong>@see</strong></p>\n<pre><code>@Test\n</code></pre>\n<pre><code>@Test\nx\n</code></pre>\n<p><strong>@end</strong></p>\n"
        );
        assert_eq!(
            html("<pre>\n@a\n</pre>\n@b"),
            "<p>&lt;pre&gt;\n@a\n&lt;/pre&gt;\n</p>\n<p><strong>@b</strong></p>\n"
        );
    }
}
