//! From what the grammar matched to the syntax tree.

use pest::iterators::{Pair, Pairs};

use crate::doc::doc_before;
use crate::grammar::quiet::Rule;
use crate::surface::Surface;
use crate::syntax::{
    Annotation, BaseType, Const, Definition, Doc, Enum, EnumValue, Field, Function, Header, Include, Integer,
    Literal, Name, Namespace, Requiredness, Service, Span, Struct, StructKind, Type, TypeKind, Typedef,
    Value, ValueKind,
};
use crate::syntax_error::SyntaxError;

type Node<'s> = Pair<'s, Rule>;

/// What one match of the grammar is.
pub(crate) enum Item {
    Header(Header),
    Definition(Definition),
}

/// Builds the nodes of one source text. What the grammar cannot see, as numbers out of range, it adds to `errors`.
pub(crate) struct Builder<'s> {
    source: &'s str,
    surface: &'s Surface,
    /// Where the text that was matched starts in the code.
    pub(crate) base: usize,
    pub(crate) errors: Vec<SyntaxError>,
    /// Words of old forms.
    pub(crate) legacy: Vec<Name>,
}

impl<'s> Builder<'s> {
    pub(crate) const fn new(source: &'s str, surface: &'s Surface) -> Self {
        Self { source, surface, base: 0, errors: Vec::new(), legacy: Vec::new() }
    }

    /// The item that was matched at `base`.
    pub(crate) fn item(&mut self, item: Node<'_>, base: usize) -> Item {
        self.base = base;
        let node = item.into_inner().next().expect("an item is one of its kinds");
        match node.as_rule() {
            Rule::include | Rule::cpp_include | Rule::namespace => Item::Header(self.header(node)),
            _ => Item::Definition(self.definition(node)),
        }
    }

    /// The place of a node: what it matched may end in a blank before something optional that is not there, and the
    /// separator behind it is not part of it.
    fn span(&self, node: &Node<'_>) -> Span {
        let text = node.as_str().trim_ascii_end();
        let text = text.strip_suffix([',', ';']).map_or(text, str::trim_ascii_end);
        let start = self.base + node.as_span().start();
        self.surface.span(start, start + text.len())
    }

    fn doc(&self, start: u32) -> Option<Doc> {
        doc_before(self.source, &self.surface.comments, start)
    }

    pub(crate) fn name(&self, node: &Node<'_>) -> Name {
        Name { text: node.as_str().to_owned(), span: self.span(node) }
    }

    fn header(&mut self, node: Node<'_>) -> Header {
        let span = self.span(&node);
        match node.as_rule() {
            Rule::namespace => {
                let mut namespace = Namespace {
                    scope: Name::default(),
                    name: Name::default(),
                    annotations: Vec::new(),
                    span,
                };
                for child in node.into_inner() {
                    match child.as_rule() {
                        Rule::star => namespace.scope = self.name(&child),
                        Rule::key if namespace.scope.text.is_empty() => namespace.scope = self.name(&child),
                        Rule::key => namespace.name = self.name(&child),
                        Rule::annotations => namespace.annotations = self.annotations(child),
                        _ => {}
                    }
                }
                Header::Namespace(namespace)
            }
            rule => {
                let path = node.into_inner().find(|child| child.as_rule() == Rule::literal);
                let path = self.literal(&path.expect("an include has its path"));
                let include = Include { path, span };
                if rule == Rule::include { Header::Include(include) } else { Header::CppInclude(include) }
            }
        }
    }

    fn definition(&mut self, node: Node<'_>) -> Definition {
        match node.as_rule() {
            Rule::typedef => Definition::Typedef(self.typedef(node)),
            Rule::constant => Definition::Const(self.constant(node)),
            Rule::enumeration => Definition::Enum(self.enumeration(node)),
            Rule::structure => Definition::Struct(self.structure(node)),
            _ => Definition::Service(self.service(node)),
        }
    }

    fn typedef(&mut self, node: Node<'_>) -> Typedef {
        let span = self.span(&node);
        let mut item = Typedef {
            doc: self.doc(span.start),
            ty: Type::default(),
            name: Name::default(),
            annotations: Vec::new(),
            span,
        };
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::name => item.name = self.name(&child),
                Rule::annotations if item.name.text.is_empty() => {
                    item.ty.annotations = self.annotations(child)
                }
                Rule::annotations => item.annotations = self.annotations(child),
                _ => item.ty = self.field_type(child),
            }
        }
        item
    }

    fn constant(&mut self, node: Node<'_>) -> Const {
        let span = self.span(&node);
        let mut item = Const {
            doc: self.doc(span.start),
            ty: Type::default(),
            name: Name::default(),
            value: Value { kind: ValueKind::Integer(0), span },
            span,
        };
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::name => item.name = self.name(&child),
                Rule::annotations => item.ty.annotations = self.annotations(child),
                _ if item.name.text.is_empty() => item.ty = self.field_type(child),
                _ => item.value = self.value(child),
            }
        }
        item
    }

    fn enumeration(&mut self, node: Node<'_>) -> Enum {
        let mut item = self.new_enum(self.span(&node));
        node.into_inner().for_each(|child| self.enum_part(&mut item, child));
        item
    }

    pub(crate) fn new_enum(&self, span: Span) -> Enum {
        let doc = self.doc(span.start);
        Enum { doc, name: Name::default(), values: Vec::new(), annotations: Vec::new(), span }
    }

    pub(crate) fn enum_part(&mut self, item: &mut Enum, part: Node<'_>) {
        match part.as_rule() {
            Rule::name => item.name = self.name(&part),
            Rule::enum_value => item.values.push(self.enum_value(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn enum_value(&mut self, node: Node<'_>) -> EnumValue {
        let span = self.span(&node);
        let mut item = EnumValue {
            doc: self.doc(span.start),
            name: Name::default(),
            number: None,
            annotations: Vec::new(),
            span,
        };
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::name => item.name = self.name(&child),
                Rule::enum_number | Rule::truth => item.number = Some(self.integer(&child)),
                Rule::annotations => item.annotations = self.annotations(child),
                _ => {}
            }
        }
        item
    }

    fn structure(&mut self, node: Node<'_>) -> Struct {
        let mut item = self.new_struct(self.span(&node));
        node.into_inner().for_each(|child| self.struct_part(&mut item, child));
        item
    }

    pub(crate) fn new_struct(&self, span: Span) -> Struct {
        Struct {
            kind: StructKind::Struct,
            doc: self.doc(span.start),
            name: Name::default(),
            fields: Vec::new(),
            annotations: Vec::new(),
            span,
        }
    }

    pub(crate) fn struct_part(&mut self, item: &mut Struct, part: Node<'_>) {
        match part.as_rule() {
            Rule::kw_struct => {
                item.kind = match part.as_str() {
                    "union" => StructKind::Union,
                    "exception" => StructKind::Exception,
                    _ => StructKind::Struct,
                }
            }
            Rule::kw_xsd_all => self.legacy(&part),
            Rule::name => item.name = self.name(&part),
            Rule::field => item.fields.push(self.field(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn field(&mut self, node: Node<'_>) -> Field {
        let span = self.span(&node);
        let mut item = Field {
            doc: self.doc(span.start),
            id: None,
            requiredness: None,
            ty: Type::default(),
            reference: false,
            name: Name::default(),
            default: None,
            annotations: Vec::new(),
            span,
        };
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::integer | Rule::truth if item.name.text.is_empty() => {
                    item.id = Some(self.integer(&child))
                }
                Rule::requiredness => {
                    let requiredness = match child.as_str() {
                        "required" => Requiredness::Required,
                        _ => Requiredness::Optional,
                    };
                    item.requiredness = Some((requiredness, self.span(&child)));
                }
                Rule::ampersand => item.reference = true,
                Rule::field_name => item.name = self.name(&child),
                Rule::kw_xsd_flag | Rule::xsd_attrs => self.legacy(&child),
                Rule::annotations if item.name.text.is_empty() => {
                    item.ty.annotations = self.annotations(child)
                }
                Rule::annotations => item.annotations = self.annotations(child),
                _ if item.name.text.is_empty() => item.ty = self.field_type(child),
                _ => item.default = Some(self.value(child)),
            }
        }
        item
    }

    fn service(&mut self, node: Node<'_>) -> Service {
        let mut item = self.new_service(self.span(&node));
        node.into_inner().for_each(|child| self.service_part(&mut item, child));
        item
    }

    pub(crate) fn new_service(&self, span: Span) -> Service {
        Service {
            doc: self.doc(span.start),
            name: Name::default(),
            extends: None,
            functions: Vec::new(),
            annotations: Vec::new(),
            span,
        }
    }

    pub(crate) fn service_part(&mut self, item: &mut Service, part: Node<'_>) {
        match part.as_rule() {
            Rule::name => item.name = self.name(&part),
            Rule::extends => {
                let parent = part.into_inner().find(|child| child.as_rule() == Rule::path);
                item.extends = parent.map(|parent| self.name(&parent));
            }
            Rule::function => item.functions.push(self.function(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn function(&mut self, node: Node<'_>) -> Function {
        let span = self.span(&node);
        let mut item = Function {
            doc: self.doc(span.start),
            oneway: None,
            returns: None,
            returns_span: span,
            name: Name::default(),
            arguments: Vec::new(),
            throws: Vec::new(),
            throws_span: None,
            annotations: Vec::new(),
            span,
        };
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::kw_oneway => {
                    item.oneway = Some(self.span(&child));
                    if child.as_str().starts_with("async") {
                        self.legacy(&child);
                    }
                }
                Rule::kw_void => item.returns_span = self.span(&child),
                Rule::name => item.name = self.name(&child),
                Rule::field => item.arguments.push(self.field(child)),
                Rule::throws => {
                    for child in child.into_inner() {
                        match child.as_rule() {
                            Rule::kw_throws => item.throws_span = Some(self.span(&child)),
                            Rule::field => item.throws.push(self.field(child)),
                            _ => {}
                        }
                    }
                }
                Rule::annotations => match &mut item.returns {
                    Some(returns) if item.name.text.is_empty() => {
                        returns.annotations = self.annotations(child)
                    }
                    _ => item.annotations = self.annotations(child),
                },
                _ => {
                    let returns = self.field_type(child);
                    item.returns_span = returns.span;
                    item.returns = Some(returns);
                }
            }
        }
        item
    }

    /// Notes the word of an old form, which the node begins with.
    fn legacy(&mut self, node: &Node<'_>) {
        let text = node.as_str();
        let word = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let start = self.base + node.as_span().start();
        let span = self.surface.span(start, start + word);
        self.legacy.push(Name { text: text[..word].to_owned(), span });
    }

    /// A type, without the annotations behind it.
    fn field_type(&mut self, node: Node<'_>) -> Type {
        let span = self.span(&node);
        if node.as_rule() == Rule::base && node.as_str().starts_with("by") {
            self.legacy(&node);
        }
        let kind = match node.as_rule() {
            Rule::base => TypeKind::Base(base_type(node.as_str())),
            Rule::path => TypeKind::Named(node.as_str().to_owned()),
            rule => self.container(rule, node.into_inner()),
        };
        Type { kind, annotations: Vec::new(), span }
    }

    fn container(&mut self, rule: Rule, nodes: Pairs<'_, Rule>) -> TypeKind {
        let mut types: Vec<Type> = Vec::with_capacity(2);
        for node in nodes {
            match (node.as_rule(), types.last_mut()) {
                (Rule::kw_map | Rule::kw_set | Rule::kw_list | Rule::cpp_type, _) => {}
                (Rule::annotations, Some(annotated)) => annotated.annotations = self.annotations(node),
                _ => types.push(self.field_type(node)),
            }
        }
        let mut types = types.into_iter().map(Box::new);
        let first = types.next().expect("every container has a type");
        match (rule, types.next()) {
            (Rule::set, _) => TypeKind::Set(first),
            (Rule::map, Some(value)) => TypeKind::Map(first, value),
            _ => TypeKind::List(first),
        }
    }

    fn value(&mut self, node: Node<'_>) -> Value {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::integer => ValueKind::Integer(self.integer(&node).value),
            // The grammar has checked the form; a value too large for a double is infinite, as in C.
            Rule::double => ValueKind::Double(node.as_str().parse().unwrap_or(f64::INFINITY)),
            Rule::bare_sign => ValueKind::Double(0.0),
            Rule::literal => ValueKind::Literal(self.literal(&node).value),
            Rule::value_list => ValueKind::List(node.into_inner().map(|child| self.value(child)).collect()),
            Rule::value_map => {
                ValueKind::Map(node.into_inner().map(|entry| self.value_entry(entry)).collect())
            }
            _ => ValueKind::Name(node.as_str().to_owned()),
        };
        Value { kind, span }
    }

    fn value_entry(&mut self, entry: Node<'_>) -> (Value, Value) {
        let mut values = entry.into_inner();
        let mut next = || self.value(values.next().expect("an entry has a key and a value"));
        (next(), next())
    }

    fn annotations(&mut self, node: Node<'_>) -> Vec<Annotation> {
        node.into_inner()
            .map(|child| {
                let span = self.span(&child);
                let mut item = Annotation { key: Name::default(), value: None, span };
                for child in child.into_inner() {
                    match child.as_rule() {
                        Rule::key => item.key = self.name(&child),
                        Rule::literal => item.value = Some(self.literal(&child)),
                        _ => {}
                    }
                }
                item
            })
            .collect()
    }

    fn integer(&mut self, node: &Node<'_>) -> Integer {
        let span = self.span(node);
        let value = parse_integer(node.as_str()).unwrap_or_else(|| {
            let message = format!("`{}` does not fit 64 bits", node.as_str());
            let label = "from -9223372036854775808 to 9223372036854775807";
            self.errors.push(SyntaxError::new(message, label, span));
            0
        });
        Integer { value, span }
    }

    fn literal(&mut self, node: &Node<'_>) -> Literal {
        let span = self.span(node);
        let text = node.as_str();
        let inner = &text[1..text.len() - 1];
        let mut value = String::with_capacity(inner.len());
        let mut chars = inner.char_indices();
        while let Some((at, char)) = chars.next() {
            if char != '\\' {
                value.push(char);
                continue;
            }
            match chars.next() {
                Some((_, 'r')) => value.push('\r'),
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('"' | '\'' | '\\'))) => value.push(escaped),
                Some((end, other)) => {
                    let start = span.start + 1 + at as u32;
                    let place = Span::new(start, span.start + 1 + (end + other.len_utf8()) as u32);
                    let message = format!("unknown escape `\\{other}`");
                    let label = "known are \\r \\n \\t \\\" \\' and \\\\";
                    self.errors.push(SyntaxError::new(message, label, place));
                }
                None => {}
            }
        }
        Literal { value, span }
    }
}

fn base_type(name: &str) -> BaseType {
    match name {
        "bool" => BaseType::Bool,
        "byte" | "i8" => BaseType::I8,
        "i16" => BaseType::I16,
        "i32" => BaseType::I32,
        "i64" => BaseType::I64,
        "double" => BaseType::Double,
        "binary" => BaseType::Binary,
        _ => BaseType::String,
    }
}

/// An integer as the Apache compiler reads it: `true` is 1 and `false` is 0, and a hex number's magnitude has to fit before its sign is looked at.
fn parse_integer(text: &str) -> Option<i64> {
    match text {
        "true" => return Some(1),
        "false" => return Some(0),
        _ => {}
    }
    let (negative, magnitude) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    match magnitude.strip_prefix("0x") {
        Some(digits) => {
            let magnitude = i64::from_str_radix(digits, 16).ok()?;
            Some(if negative { -magnitude } else { magnitude })
        }
        None => text.parse().ok(),
    }
}
