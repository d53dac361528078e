//! Errors and warnings, and the text a person reads: place, line, caret, the other place, and the fix.

use std::fmt::{self, Write};
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::sources::{Place, Source, SourceId, Sources};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// No code is generated.
    Error,
    /// Code is generated, but the IDL probably has a mistake.
    Warning,
}

/// The front end that sets the options, for the hints of diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub enum FrontEnd {
    /// In Rust: in a build script or in the attribute macro, which have the same names.
    #[default]
    Rust,
    /// On the command line of `thrift-nats-gen`.
    Command,
}

impl FrontEnd {
    /// The option for a folder to search for included files.
    pub(crate) const fn include_option(self) -> &'static str {
        match self {
            Self::Rust => "include(\"DIR\")",
            Self::Command => "-I DIR",
        }
    }

    /// The option for a file whose code is in another crate.
    pub(crate) const fn extern_option(self) -> &'static str {
        match self {
            Self::Rust => "extern_file",
            Self::Command => "--extern",
        }
    }
}

/// An error or a warning.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    severity: Severity,
    message: String,
    place: Option<Place>,
    label: String,
    notes: Vec<(Place, String)>,
    help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(place), message.into())
    }

    pub(crate) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Some(place), message.into())
    }

    /// An error that is at no place of any file.
    pub(crate) fn without_place(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, None, message.into())
    }

    /// A warning that is at no place of any file.
    pub(crate) fn warning_without_place(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, None, message.into())
    }

    const fn new(severity: Severity, place: Option<Place>, message: String) -> Self {
        Self { severity, message, place, label: String::new(), notes: Vec::new(), help: None }
    }

    /// A few words to stand under the place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a related place.
    pub(crate) fn note(mut self, place: Place, text: impl Into<String>) -> Self {
        self.notes.push((place, text.into()));
        self
    }

    /// A proposal to fix it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) const fn severity(&self) -> Severity {
        self.severity
    }

    /// The same at other places: those of the same files among others, say.
    pub(crate) fn moved(mut self, to: impl Fn(Place) -> Place) -> Self {
        self.place = self.place.map(&to);
        self.notes.iter_mut().for_each(|(place, _)| *place = to(*place));
        self
    }

    pub(crate) fn maybe_help(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }
}

/// The errors and warnings of a run, sorted by place.
#[derive(Clone, Default)]
pub struct Report {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(sources: Sources, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.place, diagnostic.severity));
        Self { sources, diagnostics }
    }

    /// Whether there are neither errors nor warnings.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// The number of errors and warnings.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// The errors and warnings, by place.
    pub fn iter(&self) -> impl Iterator<Item = Finding<'_>> {
        self.diagnostics.iter().map(|diagnostic| Finding { report: self, diagnostic })
    }

    /// The text, with terminal colours or without.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for (position, diagnostic) in self.diagnostics.iter().enumerate() {
            if position > 0 {
                text.push_str("\n\n");
            }
            text.push_str(&render(&self.sources, diagnostic, &renderer));
        }
        text
    }
}

/// Without the sources, which can be read from the files.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// One error or warning of a [`Report`].
#[derive(Clone, Copy)]
pub struct Finding<'a> {
    report: &'a Report,
    diagnostic: &'a Diagnostic,
}

impl<'a> Finding<'a> {
    /// The severity of a finding.
    pub fn severity(&self) -> Severity {
        self.diagnostic.severity
    }

    /// The message, in one line.
    pub fn message(&self) -> &'a str {
        &self.diagnostic.message
    }

    /// A proposal to fix it, if one is known.
    pub fn help(&self) -> Option<&'a str> {
        self.diagnostic.help.as_deref()
    }

    /// The label of the place. May be empty.
    pub fn label(&self) -> &'a str {
        &self.diagnostic.label
    }

    /// The place. `None` for a finding without a place in a file.
    pub fn location(&self) -> Option<Location<'a>> {
        self.diagnostic.place.map(|place| self.report.location(place))
    }

    /// Related places, each with a label.
    pub fn notes(&self) -> impl Iterator<Item = (Location<'a>, &'a str)> + use<'a> {
        let report = self.report;
        self.diagnostic.notes.iter().map(|(place, text)| (report.location(*place), text.as_str()))
    }
}

/// A range of text in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location<'a> {
    /// The file, as it was given or included.
    pub path: &'a Path,
    /// The line it starts on.
    pub line: usize,
    /// The column it starts at.
    pub column: usize,
    /// The line it ends on.
    pub end_line: usize,
    /// The column after its last character.
    pub end_column: usize,
}

impl Report {
    fn location(&self, place: Place) -> Location<'_> {
        let source = self.sources.get(place.source);
        let (line, column) = source.position(place.span.start);
        let (end_line, end_column) = source.position(place.span.end);
        Location { path: &source.path, line, column, end_line, end_column }
    }
}

impl fmt::Debug for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `path:line:column: message (help)`, in one line.
impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Location { path, line, column, .. }) = self.location() {
            write!(f, "{}:{line}:{column}: ", path.display())?;
        }
        f.write_str(self.message())?;
        if let Some(help) = self.help() {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Notes that are further away than this are shown in a separate excerpt: in lines, and in bytes.
const SAME_EXCERPT: (usize, usize) = (200, 10_000);
/// Number of bytes of a long line that are searched before and after the marked text. Some files have only one line.
const AROUND: usize = 500;

fn render(sources: &Sources, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .elements(Vec::<Snippet<'_, annotate_snippets::Annotation<'_>>>::new());
    for excerpt in excerpts(sources, diagnostic) {
        let (origin, snippet) = excerpt.snippet(sources);
        if let Some(origin) = origin {
            group = group.element(origin);
        }
        group = group.element(snippet);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// A few lines of a file, with notes about them.
struct Excerpt<'a> {
    source: SourceId,
    first_line: usize,
    last_line: usize,
    /// From the first mark to the last.
    range: Range<usize>,
    marks: Vec<(AnnotationKind, Place, &'a str)>,
}

fn excerpts<'a>(sources: &Sources, diagnostic: &'a Diagnostic) -> Vec<Excerpt<'a>> {
    let primary = diagnostic.place.map(|place| (AnnotationKind::Primary, place, diagnostic.label.as_str()));
    let notes = diagnostic.notes.iter().map(|(place, text)| (AnnotationKind::Context, *place, text.as_str()));
    let mut excerpts: Vec<Excerpt<'a>> = Vec::new();
    for mark in primary.into_iter().chain(notes) {
        let source = sources.get(mark.1.source);
        let (first, last) = (source.line(mark.1.span.start), source.line(mark.1.span.end));
        let range = mark.1.span.range();
        let near = excerpts.iter_mut().find(|excerpt| {
            let lines = first.abs_diff(excerpt.last_line).min(last.abs_diff(excerpt.first_line));
            let bytes = range.start.abs_diff(excerpt.range.end).min(range.end.abs_diff(excerpt.range.start));
            excerpt.source == mark.1.source && lines < SAME_EXCERPT.0 && bytes < SAME_EXCERPT.1
        });
        match near {
            Some(excerpt) => {
                excerpt.first_line = excerpt.first_line.min(first);
                excerpt.last_line = excerpt.last_line.max(last);
                excerpt.range = excerpt.range.start.min(range.start)..excerpt.range.end.max(range.end);
                excerpt.marks.push(mark);
            }
            None => excerpts.push(Excerpt {
                source: mark.1.source,
                first_line: first,
                last_line: last,
                range,
                marks: vec![mark],
            }),
        }
    }
    excerpts
}

impl<'a> Excerpt<'a> {
    /// Gives only these lines to the renderer, and only the part of them that it can show. Otherwise it would read the
    /// whole file for every error. The renderer does not know the column in a line that is cut, so the origin states it.
    fn snippet(
        &self,
        sources: &'a Sources,
    ) -> (Option<Origin<'a>>, Snippet<'a, annotate_snippets::Annotation<'a>>) {
        let source: &Source = sources.get(self.source);
        let (first, end) = (source.line_start(self.first_line), source.line_start(self.last_line + 1));
        let (mut from, mut to) =
            (first.max(self.range.start.saturating_sub(AROUND)), end.min(self.range.end + AROUND));
        while !source.text.is_char_boundary(from) {
            from -= 1;
        }
        while !source.text.is_char_boundary(to) {
            to += 1;
        }
        let mut snippet = Snippet::source(&source.text[from..to]).line_start(self.first_line + 1);
        let path = source.path.display().to_string();
        let origin = if from == first {
            snippet = snippet.path(path);
            None
        } else {
            let (line, column) = source.position(self.marks[0].1.span.start);
            Some(Origin::path(path).line(line).char_column(column))
        };
        for (kind, place, label) in &self.marks {
            let range = place.span.range();
            snippet = snippet.annotation(kind.span(range.start - from..range.end - from).label(*label));
        }
        (origin, snippet)
    }
}

/// A noun with `a` or `an`.
pub(crate) fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A list in words: `a`, `a and b`, `a, b and c`.
pub(crate) fn enumerate<T: fmt::Display>(items: &[T]) -> String {
    let mut text = String::new();
    for (position, item) in items.iter().enumerate() {
        let link = match position {
            0 => "",
            _ if position + 1 == items.len() => " and ",
            _ => ", ",
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{link}{item}");
    }
    text
}
