//! The syntax tree of one `.thrift` file.
//!
//! Every node has a [`Span`]. Nothing is resolved or checked: a name is its text, an include is a path. Legacy forms
//! without a meaning (`xsd_all`, `cpp_type`, …) are parsed and dropped.
//!
//! ```
//! use thrift_parser::syntax::{BaseType, Definition, TypeKind};
//!
//! let document = thrift_parser::parse("/** In pixels. */ struct Point { 1: i32 x = 5 }").document;
//! let Definition::Struct(point) = &document.definitions[0] else { panic!("a struct") };
//! assert_eq!(point.doc.as_ref().map(|doc| doc.text.as_str()), Some("In pixels."));
//! assert_eq!(point.fields[0].ty.kind, TypeKind::Base(BaseType::I32));
//! assert_eq!(point.fields[0].id.map(|id| id.value), Some(1));
//! ```

use std::fmt;
use std::ops::Range;

/// A range of bytes in the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The span between two byte offsets.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The span as a range: `&source[span.range()]` is the text.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// One `.thrift` file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// `include`, `cpp_include` and `namespace`, in source order.
    pub headers: Vec<Header>,
    /// All definitions, in source order.
    pub definitions: Vec<Definition>,
    /// Every comment of the file, in source order. Doc comments are also in the `doc` of their item.
    pub comments: Vec<Comment>,
    /// The keywords of legacy forms, in source order: `byte` (now `i8`), `async` (now `oneway`), and `xsd_all`,
    /// `xsd_optional`, `xsd_nillable` and `xsd_attrs`, which have no meaning and are not elsewhere in the tree.
    pub legacy: Vec<Name>,
}

/// A comment, with its delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its form.
    pub kind: CommentKind,
    /// The whole comment. Its text is `&source[span.range()]`.
    pub span: Span,
}

/// The forms of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentKind {
    /// `// …` or `# …`, to the end of the line.
    Line,
    /// `/* … */`.
    Block,
    /// `/** … */`: belongs to what follows.
    Doc,
}

/// A `/** … */` comment before an item: its text without the delimiters, the leading `*` of each line, and common
/// indentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// The lines, joined with `\n`, without empty lines at either end.
    pub text: String,
    /// The whole comment.
    pub span: Span,
}

/// A name as written. The name of a definition is an identifier; a reference may have dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Its place.
    pub span: Span,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A quoted literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The text between the quotes, with escapes resolved.
    pub value: String,
    /// Its place, quotes included.
    pub span: Span,
}

/// A header. Headers are before all definitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    /// `include "path"`.
    Include(Include),
    /// `cpp_include "path"`. It has no effect outside C++.
    CppInclude(Include),
    /// `namespace scope name`.
    Namespace(Namespace),
}

/// `include "path"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The path between the quotes.
    pub path: Literal,
    /// The whole header.
    pub span: Span,
}

/// `namespace scope name (annotations)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// The language the name is for: `rs`, `java`, `py.twisted`, `*`, ….
    pub scope: Name,
    /// The name, dotted.
    pub name: Name,
    /// Annotations; never on scope `*`.
    pub annotations: Vec<Annotation>,
    /// The whole header.
    pub span: Span,
}

/// `key = "value"` in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The key, dotted.
    pub key: Name,
    /// The value; `None` means `"1"`.
    pub value: Option<Literal>,
    /// Key and value.
    pub span: Span,
}

/// A definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// `typedef TYPE NAME`.
    Typedef(Typedef),
    /// `const TYPE NAME = VALUE`.
    Const(Const),
    /// `enum NAME { … }`.
    Enum(Enum),
    /// `struct`, `union` or `exception`.
    Struct(Struct),
    /// `service NAME extends NAME { … }`.
    Service(Service),
}

impl Definition {
    /// The name it defines.
    pub fn name(&self) -> &Name {
        match self {
            Self::Typedef(item) => &item.name,
            Self::Const(item) => &item.name,
            Self::Enum(item) => &item.name,
            Self::Struct(item) => &item.name,
            Self::Service(item) => &item.name,
        }
    }

    /// The whole definition, from its keyword to its last token, without a separator.
    pub fn span(&self) -> Span {
        match self {
            Self::Typedef(item) => item.span,
            Self::Const(item) => item.span,
            Self::Enum(item) => item.span,
            Self::Struct(item) => item.span,
            Self::Service(item) => item.span,
        }
    }
}

/// `typedef TYPE NAME (annotations)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Typedef {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// The type that gets a new name.
    pub ty: Type,
    /// The new name.
    pub name: Name,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole definition.
    pub span: Span,
}

/// `const TYPE NAME = VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Const {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// Its type.
    pub ty: Type,
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Value,
    /// The whole definition.
    pub span: Span,
}

/// `enum NAME { … } (annotations)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Name,
    /// Its values, in source order.
    pub values: Vec<EnumValue>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole definition.
    pub span: Span,
}

/// One value of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct EnumValue {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Name,
    /// Its number; `None` means the number of the value before plus one, or zero for the first value.
    pub number: Option<Integer>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole entry.
    pub span: Span,
}

/// An integer as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// The number.
    pub value: i64,
    /// Its place, sign included.
    pub span: Span,
}

/// A `struct`, `union` or `exception`.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// Its keyword.
    pub kind: StructKind,
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Name,
    /// Its fields, in source order.
    pub fields: Vec<Field>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole definition.
    pub span: Span,
}

/// The kinds of [`Struct`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructKind {
    /// `struct`.
    Struct,
    /// `union`.
    Union,
    /// `exception`.
    Exception,
}

/// A field of a struct, an argument of a function, or an entry of its `throws` list.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// The id; `None` if it is left out.
    pub id: Option<Integer>,
    /// `required` or `optional`, and the place of the keyword; `None` if neither is written.
    pub requiredness: Option<(Requiredness, Span)>,
    /// Its type.
    pub ty: Type,
    /// Whether the field is a reference (`&`).
    pub reference: bool,
    /// Its name.
    pub name: Name,
    /// Its default value.
    pub default: Option<Value>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole field, without its separator.
    pub span: Span,
}

/// The keyword before the type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requiredness {
    /// `required`.
    Required,
    /// `optional`.
    Optional,
}

/// `service NAME extends PARENT { … } (annotations)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// Its name.
    pub name: Name,
    /// The service it extends, with dots if that is in another file.
    pub extends: Option<Name>,
    /// Its own functions, in source order.
    pub functions: Vec<Function>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole definition.
    pub span: Span,
}

/// A function of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The documentation before it.
    pub doc: Option<Doc>,
    /// The place of `oneway` or `async`; `None` if neither is written.
    pub oneway: Option<Span>,
    /// The type of the result; `None` for `void`.
    pub returns: Option<Type>,
    /// The place of the return type or of `void`.
    pub returns_span: Span,
    /// Its name.
    pub name: Name,
    /// Its arguments.
    pub arguments: Vec<Field>,
    /// The exceptions of its `throws` list.
    pub throws: Vec<Field>,
    /// The place of the word `throws`; `None` if it is not written.
    pub throws_span: Option<Span>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole function, without its separator.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// Its kind.
    pub kind: TypeKind,
    /// Annotations; never on [`TypeKind::Named`].
    pub annotations: Vec<Annotation>,
    /// Its place, without annotations.
    pub span: Span,
}

impl Default for Type {
    /// `bool`, with an empty span.
    fn default() -> Self {
        Self { kind: TypeKind::Base(BaseType::Bool), annotations: Vec::new(), span: Span::default() }
    }
}

/// The kinds of [`Type`].
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// A base type. `uuid` is a [`TypeKind::Named`] here, since a file may define a type of that name.
    Base(BaseType),
    /// `list<T>`.
    List(Box<Type>),
    /// `set<T>`.
    Set(Box<Type>),
    /// `map<K, V>`.
    Map(Box<Type>, Box<Type>),
    /// A name, with dots if it is in another file.
    Named(String),
}

/// The base types that are keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BaseType {
    /// `bool`.
    Bool,
    /// `i8`, or `byte`, its legacy name.
    I8,
    /// `i16`.
    I16,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `binary`.
    Binary,
}

/// A constant value as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its kind.
    pub kind: ValueKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// An integer; `true` and `false` are [`ValueKind::Name`] here.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A quoted literal, with escapes resolved.
    Literal(String),
    /// A name: `true`, `false`, a constant, or an enum value (`Enum.VALUE`, `file.Enum.VALUE`).
    Name(String),
    /// `[ … ]`.
    List(Vec<Value>),
    /// `{ key: value, … }`: a map, or a struct whose keys are field names.
    Map(Vec<(Value, Value)>),
}
