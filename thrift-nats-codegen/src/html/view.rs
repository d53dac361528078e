//! The data of each template below `templates/docs/`.
//!
//! Templates are compiled into the crate and checked against these types. They escape every value, except the two types
//! that implement `HtmlSafe`: the HTML of a comment ([`Html`]) and the search index ([`SearchIndex`]).

use askama::Template;

use super::code::{Code, Link};
use super::markdown::Html;
use super::search::SearchIndex;

/// The front page.
#[derive(Template)]
#[template(path = "docs/index.html")]
pub(super) struct IndexPage<'a> {
    pub(super) title: &'a str,
    pub(super) search_index: &'a SearchIndex,
    pub(super) files: Vec<FileEntry>,
}

/// A file on the front page.
pub(super) struct FileEntry {
    pub(super) page: Link,
    pub(super) contents: Vec<Group>,
}

/// The page of a file.
#[derive(Template)]
#[template(path = "docs/file.html")]
pub(super) struct FilePage<'a> {
    pub(super) title: &'a str,
    pub(super) search_index: &'a SearchIndex,
    pub(super) comment: Option<Html>,
    pub(super) includes: Vec<Link>,
    /// Scope and name of each namespace.
    pub(super) namespaces: &'a [(String, String)],
    pub(super) contents: Vec<Group>,
    pub(super) definitions: Vec<DefinitionView<'a>>,
}

/// The definitions of one kind in a table of contents.
pub(super) struct Group {
    pub(super) heading: &'static str,
    pub(super) links: Vec<Link>,
}

/// A definition.
pub(super) struct DefinitionView<'a> {
    /// The id of the definition on its page.
    pub(super) anchor: String,
    pub(super) keyword: &'static str,
    pub(super) name: &'a str,
    /// The parent of a service.
    pub(super) extends: Option<Link>,
    pub(super) about: About<'a>,
    pub(super) body: Body<'a>,
}

/// The contents of a definition.
pub(super) enum Body<'a> {
    /// A typedef or a constant.
    Code(Code),
    /// The values of an enum.
    Values(Vec<ValueRow<'a>>),
    /// The fields of a struct, a union or an exception.
    Fields(FieldTable<'a>),
    Service {
        functions: Vec<FunctionView<'a>>,
        /// The parent, its parent, and so on.
        inherited: Vec<Inherited>,
    },
}

/// The text and the annotations that the IDL has for a definition, a field, a value or a function, besides its type.
pub(super) struct About<'a> {
    /// The reason of each annotation `deprecated`; empty if it gives none.
    pub(super) deprecated: Vec<&'a str>,
    pub(super) comment: Option<Html>,
    /// The other annotations; empty if there are none.
    pub(super) annotations: String,
}

/// A value of an enum.
pub(super) struct ValueRow<'a> {
    pub(super) anchor: String,
    pub(super) number: i32,
    pub(super) name: &'a str,
    pub(super) about: About<'a>,
}

/// Fields, arguments or exceptions.
pub(super) struct FieldTable<'a> {
    /// Whether there is a column for the requiredness.
    pub(super) requiredness: bool,
    pub(super) rows: Vec<FieldRow<'a>>,
}

/// A field, an argument or an exception.
pub(super) struct FieldRow<'a> {
    /// Arguments and exceptions have no anchor: no page links to them.
    pub(super) anchor: Option<String>,
    pub(super) id: i16,
    /// `required`, `optional`, or nothing.
    pub(super) requiredness: &'static str,
    pub(super) ty: Code,
    pub(super) name: &'a str,
    pub(super) default: Option<Code>,
    pub(super) about: About<'a>,
}

/// A function of a service.
pub(super) struct FunctionView<'a> {
    pub(super) anchor: String,
    pub(super) signature: Code,
    pub(super) about: About<'a>,
    /// `None` if the IDL has no more about the arguments than the signature.
    pub(super) arguments: Option<FieldTable<'a>>,
    /// `None` if the function throws nothing.
    pub(super) throws: Option<FieldTable<'a>>,
}

/// The functions that a service inherits from one of its ancestors.
pub(super) struct Inherited {
    pub(super) service: Link,
    pub(super) functions: Vec<Link>,
}
