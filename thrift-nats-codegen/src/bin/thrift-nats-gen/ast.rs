//! `ast`: the syntax tree of a file as JSON. `docs/ast.md` describes the format, which is stable.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use thrift_nats_codegen::{Error, ParsedFile};
use thrift_parser::syntax::{
    self, Annotation, BaseType, Comment, CommentKind, Definition, Doc, EnumValue, Field, Function, Header,
    Integer, Literal, Name, Requiredness, Span, StructKind, Type, TypeKind, ValueKind,
};

use crate::show;

/// The name of the output format. It changes when readers have to change.
const SCHEMA: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Ast {
    /// The `.thrift` file; its includes are not read
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
}

pub(crate) fn run(arguments: &Ast) -> Result<ExitCode, Error> {
    let parsed = ParsedFile::read(&arguments.file)?;
    match arguments.format {
        Format::Json => {
            let tree = Tree::new(&parsed.text);
            let mut document = tree.document(&parsed.document);
            document["schema"] = json!(SCHEMA);
            document["file"] = json!(arguments.file.to_string_lossy());
            document["complete"] = json!(parsed.errors.is_empty());
            show::output(&format!("{document}\n"));
        }
    }
    show::report(&parsed.errors);
    Ok(if parsed.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Number of bytes between two places whose characters are counted.
const STEP: usize = 128;

/// The text that spans are of, with what it takes to find lines and columns quickly.
struct Tree<'t> {
    text: &'t str,
    /// The offset of each line's first byte.
    lines: Vec<usize>,
    /// Number of characters that start before each `STEP`th byte.
    characters: Vec<usize>,
}

impl<'t> Tree<'t> {
    fn new(text: &'t str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut characters = Vec::with_capacity(text.len() / STEP + 1);
        let mut count = 0;
        for part in text.as_bytes().chunks(STEP) {
            characters.push(count);
            count += starts(part);
        }
        characters.push(count);
        Self { text, lines, characters }
    }

    /// Number of characters that start before a byte.
    fn characters_before(&self, offset: usize) -> usize {
        let step = offset / STEP;
        self.characters[step] + starts(&self.text.as_bytes()[step * STEP..offset])
    }

    fn position(&self, offset: u32) -> Value {
        let offset = offset as usize;
        let line = self.lines.partition_point(|start| *start <= offset) - 1;
        let column = self.characters_before(offset) - self.characters_before(self.lines[line]);
        json!({ "offset": offset, "line": line + 1, "column": column + 1 })
    }

    fn span(&self, span: Span) -> Value {
        json!({ "start": self.position(span.start), "end": self.position(span.end) })
    }

    fn document(&self, document: &syntax::Document) -> Value {
        json!({
            "headers": each(&document.headers, |header| self.header(header)),
            "definitions": each(&document.definitions, |definition| self.definition(definition)),
            "comments": each(&document.comments, |comment| self.comment(comment)),
        })
    }

    fn header(&self, header: &Header) -> Value {
        let include = |kind: &str, include: &syntax::Include| json!({ "kind": kind, "path": self.literal(&include.path), "span": self.span(include.span) });
        match header {
            Header::Include(header) => include("include", header),
            Header::CppInclude(header) => include("cpp_include", header),
            Header::Namespace(header) => json!({
                "kind": "namespace",
                "scope": self.name(&header.scope),
                "name": self.name(&header.name),
                "annotations": self.annotations(&header.annotations),
                "span": self.span(header.span),
            }),
        }
    }

    fn comment(&self, comment: &Comment) -> Value {
        let kind = match comment.kind {
            CommentKind::Line => "line",
            CommentKind::Block => "block",
            CommentKind::Doc => "doc",
        };
        json!({ "kind": kind, "text": &self.text[comment.span.range()], "span": self.span(comment.span) })
    }

    fn definition(&self, definition: &Definition) -> Value {
        match definition {
            Definition::Typedef(item) => json!({
                "kind": "typedef",
                "doc": self.doc(item.doc.as_ref()),
                "type": self.ty(&item.ty),
                "name": self.name(&item.name),
                "annotations": self.annotations(&item.annotations),
                "span": self.span(item.span),
            }),
            Definition::Const(item) => json!({
                "kind": "const",
                "doc": self.doc(item.doc.as_ref()),
                "type": self.ty(&item.ty),
                "name": self.name(&item.name),
                "value": self.value(&item.value),
                "span": self.span(item.span),
            }),
            Definition::Enum(item) => json!({
                "kind": "enum",
                "doc": self.doc(item.doc.as_ref()),
                "name": self.name(&item.name),
                "values": each(&item.values, |value| self.enum_value(value)),
                "annotations": self.annotations(&item.annotations),
                "span": self.span(item.span),
            }),
            Definition::Struct(item) => json!({
                "kind": match item.kind {
                    StructKind::Struct => "struct",
                    StructKind::Union => "union",
                    StructKind::Exception => "exception",
                },
                "doc": self.doc(item.doc.as_ref()),
                "name": self.name(&item.name),
                "fields": self.fields(&item.fields),
                "annotations": self.annotations(&item.annotations),
                "span": self.span(item.span),
            }),
            Definition::Service(item) => json!({
                "kind": "service",
                "doc": self.doc(item.doc.as_ref()),
                "name": self.name(&item.name),
                "extends": item.extends.as_ref().map(|name| self.name(name)),
                "functions": each(&item.functions, |function| self.function(function)),
                "annotations": self.annotations(&item.annotations),
                "span": self.span(item.span),
            }),
        }
    }

    fn enum_value(&self, value: &EnumValue) -> Value {
        json!({
            "doc": self.doc(value.doc.as_ref()),
            "name": self.name(&value.name),
            "number": value.number.map(|number| self.integer(number)),
            "annotations": self.annotations(&value.annotations),
            "span": self.span(value.span),
        })
    }

    fn fields(&self, fields: &[Field]) -> Value {
        each(fields, |field| {
            let requiredness = field.requiredness.map(|(requiredness, span)| {
                let word = match requiredness {
                    Requiredness::Required => "required",
                    Requiredness::Optional => "optional",
                };
                json!({ "text": word, "span": self.span(span) })
            });
            json!({
                "doc": self.doc(field.doc.as_ref()),
                "id": field.id.map(|id| self.integer(id)),
                "requiredness": requiredness,
                "type": self.ty(&field.ty),
                "reference": field.reference,
                "name": self.name(&field.name),
                "default": field.default.as_ref().map(|value| self.value(value)),
                "annotations": self.annotations(&field.annotations),
                "span": self.span(field.span),
            })
        })
    }

    fn function(&self, function: &Function) -> Value {
        json!({
            "doc": self.doc(function.doc.as_ref()),
            "oneway": function.oneway.map(|span| self.span(span)),
            "returns": function.returns.as_ref().map(|ty| self.ty(ty)),
            "returnsSpan": self.span(function.returns_span),
            "name": self.name(&function.name),
            "arguments": self.fields(&function.arguments),
            "throws": self.fields(&function.throws),
            "throwsSpan": function.throws_span.map(|span| self.span(span)),
            "annotations": self.annotations(&function.annotations),
            "span": self.span(function.span),
        })
    }

    fn ty(&self, ty: &Type) -> Value {
        let mut made = match &ty.kind {
            TypeKind::Base(base) => json!({ "kind": "base", "name": base_name(*base) }),
            TypeKind::List(element) => json!({ "kind": "list", "element": self.ty(element) }),
            TypeKind::Set(element) => json!({ "kind": "set", "element": self.ty(element) }),
            TypeKind::Map(key, value) => {
                json!({ "kind": "map", "key": self.ty(key), "value": self.ty(value) })
            }
            TypeKind::Named(name) => json!({ "kind": "named", "name": name }),
        };
        made["annotations"] = self.annotations(&ty.annotations);
        made["span"] = self.span(ty.span);
        made
    }

    fn value(&self, value: &syntax::Value) -> Value {
        // As it is written: not every JSON reader keeps 64 bits, and JSON has no infinity.
        let text = || &self.text[value.span.range()];
        let mut made = match &value.kind {
            ValueKind::Integer(number) => json!({ "kind": "integer", "value": number, "text": text() }),
            ValueKind::Double(number) => json!({ "kind": "double", "value": number, "text": text() }),
            ValueKind::Literal(literal) => json!({ "kind": "literal", "value": literal }),
            ValueKind::Name(name) => json!({ "kind": "name", "name": name }),
            ValueKind::List(elements) => {
                json!({ "kind": "list", "elements": each(elements, |element| self.value(element)) })
            }
            ValueKind::Map(entries) => {
                let entry = |(key, value): &(syntax::Value, syntax::Value)| json!({ "key": self.value(key), "value": self.value(value) });
                json!({ "kind": "map", "entries": each(entries, entry) })
            }
        };
        made["span"] = self.span(value.span);
        made
    }

    fn annotations(&self, annotations: &[Annotation]) -> Value {
        each(annotations, |annotation| {
            json!({
                "key": self.name(&annotation.key),
                "value": annotation.value.as_ref().map(|value| self.literal(value)),
                "span": self.span(annotation.span),
            })
        })
    }

    fn name(&self, name: &Name) -> Value {
        json!({ "text": name.text, "span": self.span(name.span) })
    }

    fn literal(&self, literal: &Literal) -> Value {
        json!({ "value": literal.value, "span": self.span(literal.span) })
    }

    fn integer(&self, integer: Integer) -> Value {
        json!({ "value": integer.value, "span": self.span(integer.span) })
    }

    fn doc(&self, doc: Option<&Doc>) -> Value {
        doc.map_or(Value::Null, |doc| json!({ "text": doc.text, "span": self.span(doc.span) }))
    }
}

fn each<T>(items: &[T], of: impl FnMut(&T) -> Value) -> Value {
    Value::Array(items.iter().map(of).collect())
}

/// Number of characters that start within a part of a text.
fn starts(part: &[u8]) -> usize {
    part.iter().filter(|byte| !matches!(byte, 0x80..0xC0)).count()
}

const fn base_name(base: BaseType) -> &'static str {
    match base {
        BaseType::Bool => "bool",
        BaseType::I8 => "i8",
        BaseType::I16 => "i16",
        BaseType::I32 => "i32",
        BaseType::I64 => "i64",
        BaseType::Double => "double",
        BaseType::String => "string",
        BaseType::Binary => "binary",
    }
}
