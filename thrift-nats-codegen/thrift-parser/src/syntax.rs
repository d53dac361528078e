//! The syntax tree: what stands in one `.thrift` file, as written.
//!
//! Every node knows its [`Span`]. Nothing is resolved here: a name is text, an include is a path, a number is the
//! number. Legacy forms that have no meaning any more (`xsd_all`, `cpp_type`, …) are read and dropped.

use std::fmt;
use std::ops::Range;

/// A range of bytes in the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The span from `start` up to `end`, in bytes.
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The span as a range, to slice the source text with.
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
    /// Every comment of the file, in source order; documentation is also at the item it belongs to.
    pub comments: Vec<Comment>,
    /// Words of old forms, in source order: `byte` (now `i8`), `async` (now `oneway`), and `xsd_all`, `xsd_optional`,
    /// `xsd_nillable` and `xsd_attrs`, which mean nothing and are nowhere else in the tree.
    pub legacy: Vec<Name>,
}

/// A comment, with its delimiters, as it stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Which form it has.
    pub kind: CommentKind,
    /// Where it stands; the text is `&source[span.range()]`.
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

/// The text of a `/** … */` comment: without its delimiters, the leading `*` of each line, and common indentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// The lines, joined with `\n`, without blank lines at either end.
    pub text: String,
    /// The whole comment.
    pub span: Span,
}

/// A name as written: a plain identifier where something is defined, possibly dotted where it is referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Default for Type {
    /// `bool`, nowhere.
    fn default() -> Self {
        Self { kind: TypeKind::Base(BaseType::Bool), annotations: Vec::new(), span: Span::default() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A quoted literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The value, escapes resolved.
    pub value: String,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// What may stand before the definitions.
#[derive(Clone, Debug, PartialEq)]
pub enum Header {
    /// `include "path"`.
    Include(Include),
    /// `cpp_include "path"`: read and of no effect outside C++.
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

/// `key = "value"` between round brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The key, dotted.
    pub key: Name,
    /// The value; `None` stands for `"1"`.
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

    /// The whole definition, from its keyword to its last token.
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
    /// What the name stands for.
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
    /// Its number, if written; else it is the one before plus one, or zero.
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
    /// Where it stands, sign included.
    pub span: Span,
}

/// `struct`, `union` or `exception`: three kinds of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// Which of the three.
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
    /// The written id; `None` where it was left out.
    pub id: Option<Integer>,
    /// `required` or `optional`, with its place; `None` where neither is written.
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

/// What is written before the type of a field.
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
    /// The service it extends, possibly of another file.
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
    /// The place of `oneway` (or `async`), where it is written.
    pub oneway: Option<Span>,
    /// What it returns; `None` for `void`.
    pub returns: Option<Type>,
    /// Where the return type or `void` stands.
    pub returns_span: Span,
    /// Its name.
    pub name: Name,
    /// Its arguments.
    pub arguments: Vec<Field>,
    /// The exceptions it declares.
    pub throws: Vec<Field>,
    /// Where the word `throws` stands, if it is written.
    pub throws_span: Option<Span>,
    /// Annotations.
    pub annotations: Vec<Annotation>,
    /// The whole function, without its separator.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// Annotations; never on [`TypeKind::Named`].
    pub annotations: Vec<Annotation>,
    /// Where it stands, without its annotations.
    pub span: Span,
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
    /// A name, dotted where it is of another file.
    Named(String),
}

/// The base types that are keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BaseType {
    /// `bool`.
    Bool,
    /// `i8`, or its old name `byte`.
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
    /// What it is.
    pub kind: ValueKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// An integer; `true` and `false` are [`ValueKind::Name`] here.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A quoted literal, escapes resolved.
    Literal(String),
    /// A name: `true`, `false`, a constant, or an enum value (`Enum.VALUE`, `file.Enum.VALUE`).
    Name(String),
    /// `[ … ]`.
    List(Vec<Value>),
    /// `{ key: value, … }`: a map, or a struct whose keys are field names.
    Map(Vec<(Value, Value)>),
}
