//! Builds the syntax tree from the parse tree.

use crate::compact_source::CompactSource;
use crate::doc_comment::doc_before;
use crate::grammar::Rule;
use crate::parse_tree::{Node, Nodes};
use crate::syntax::{
    Annotation, BaseType, Const, Definition, Doc, Enum, EnumValue, Field, Function, Header, Include, Integer,
    Literal, Name, Namespace, Requiredness, Service, Span, Struct, StructKind, Type, TypeKind, Typedef,
    Value, ValueKind,
};
use crate::syntax_error::SyntaxError;

/// The syntax tree of one item.
pub(crate) enum Item {
    Header(Header),
    Definition(Definition),
}

/// Builds the syntax trees of one source. Adds errors that the grammar cannot detect, such as numbers out of range.
#[derive(Debug)]
pub(crate) struct Builder<'s> {
    source: &'s str,
    compact: &'s CompactSource,
    /// The start of the parse tree in the code.
    pub(crate) base: usize,
    pub(crate) errors: Vec<SyntaxError>,
    /// Keywords of legacy forms.
    pub(crate) legacy: Vec<Name>,
}

impl<'s> Builder<'s> {
    pub(crate) const fn new(source: &'s str, compact: &'s CompactSource) -> Self {
        Self { source, compact, base: 0, errors: Vec::new(), legacy: Vec::new() }
    }

    /// The item that starts at `base`.
    pub(crate) fn item(&mut self, item: Node<'_>, base: usize) -> Item {
        self.base = base;
        let item = only_child(item);
        match item.rule() {
            Rule::header => Item::Header(self.header(only_child(item))),
            _ => Item::Definition(self.definition(only_child(item))),
        }
    }

    /// The span of a node, without its separator. A match may end in a blank because an optional token could follow.
    fn span(&self, node: Node<'_>) -> Span {
        let text = node.text().trim_ascii_end();
        let text = text.strip_suffix([',', ';']).map_or(text, str::trim_ascii_end);
        let start = self.base + node.start();
        self.compact.span(start, start + text.len())
    }

    fn doc(&self, start: u32) -> Option<Doc> {
        doc_before(self.source, &self.compact.comments, start)
    }

    pub(crate) fn name(&self, node: Node<'_>) -> Name {
        Name { text: node.text().to_owned(), span: self.span(node) }
    }

    fn header(&mut self, node: Node<'_>) -> Header {
        let span = self.span(node);
        match node.rule() {
            Rule::namespace => {
                let mut namespace = Namespace {
                    scope: Name::default(),
                    name: Name::default(),
                    annotations: Vec::new(),
                    span,
                };
                for child in node.children() {
                    match child.rule() {
                        Rule::star => namespace.scope = self.name(child),
                        Rule::key if namespace.scope.text.is_empty() => namespace.scope = self.name(child),
                        Rule::key => namespace.name = self.name(child),
                        Rule::annotations => namespace.annotations = self.annotations(child),
                        _ => {}
                    }
                }
                Header::Namespace(namespace)
            }
            rule => {
                let path = node.children().find(|child| child.rule() == Rule::literal);
                let path = self.literal(path.expect("an include has a path"));
                let include = Include { path, span };
                if rule == Rule::include { Header::Include(include) } else { Header::CppInclude(include) }
            }
        }
    }

    fn definition(&mut self, node: Node<'_>) -> Definition {
        match node.rule() {
            Rule::typedef => Definition::Typedef(self.typedef(node)),
            Rule::constant => Definition::Const(self.constant(node)),
            Rule::enumeration => Definition::Enum(self.enumeration(node)),
            Rule::structure => Definition::Struct(self.structure(node)),
            _ => Definition::Service(self.service(node)),
        }
    }

    fn typedef(&mut self, node: Node<'_>) -> Typedef {
        let span = self.span(node);
        let mut item = Typedef {
            doc: self.doc(span.start),
            ty: Type::default(),
            name: Name::default(),
            annotations: Vec::new(),
            span,
        };
        for child in node.children() {
            match child.rule() {
                Rule::field_type => item.ty = self.field_type(child),
                Rule::name => item.name = self.name(child),
                Rule::annotations => item.annotations = self.annotations(child),
                _ => {}
            }
        }
        item
    }

    fn constant(&mut self, node: Node<'_>) -> Const {
        let span = self.span(node);
        let mut item = Const {
            doc: self.doc(span.start),
            ty: Type::default(),
            name: Name::default(),
            value: Value { kind: ValueKind::Integer(0), span },
            span,
        };
        for child in node.children() {
            match child.rule() {
                Rule::field_type => item.ty = self.field_type(child),
                Rule::name => item.name = self.name(child),
                Rule::value => item.value = self.value(child),
                _ => {}
            }
        }
        item
    }

    fn enumeration(&mut self, node: Node<'_>) -> Enum {
        let mut item = self.new_enum(self.span(node));
        node.children().for_each(|child| self.enum_part(&mut item, child));
        item
    }

    pub(crate) fn new_enum(&self, span: Span) -> Enum {
        let doc = self.doc(span.start);
        Enum { doc, name: Name::default(), values: Vec::new(), annotations: Vec::new(), span }
    }

    pub(crate) fn enum_part(&mut self, item: &mut Enum, part: Node<'_>) {
        match part.rule() {
            Rule::name => item.name = self.name(part),
            Rule::enum_value => item.values.push(self.enum_value(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn enum_value(&mut self, node: Node<'_>) -> EnumValue {
        let span = self.span(node);
        let mut item = EnumValue {
            doc: self.doc(span.start),
            name: Name::default(),
            number: None,
            annotations: Vec::new(),
            span,
        };
        for child in node.children() {
            match child.rule() {
                Rule::name => item.name = self.name(child),
                Rule::enum_number | Rule::truth => item.number = Some(self.integer(child)),
                Rule::annotations => item.annotations = self.annotations(child),
                _ => {}
            }
        }
        item
    }

    fn structure(&mut self, node: Node<'_>) -> Struct {
        let mut item = self.new_struct(self.span(node));
        node.children().for_each(|child| self.struct_part(&mut item, child));
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
        match part.rule() {
            Rule::kw_struct => {
                item.kind = match part.text() {
                    "union" => StructKind::Union,
                    "exception" => StructKind::Exception,
                    _ => StructKind::Struct,
                }
            }
            Rule::kw_xsd_all => self.legacy(part),
            Rule::name => item.name = self.name(part),
            Rule::field => item.fields.push(self.field(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn field(&mut self, node: Node<'_>) -> Field {
        let span = self.span(node);
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
        for child in node.children() {
            match child.rule() {
                Rule::integer | Rule::truth => item.id = Some(self.integer(child)),
                Rule::requiredness => {
                    let requiredness = match child.text() {
                        "required" => Requiredness::Required,
                        _ => Requiredness::Optional,
                    };
                    item.requiredness = Some((requiredness, self.span(child)));
                }
                Rule::ampersand => item.reference = true,
                Rule::field_name => item.name = self.name(child),
                Rule::field_type => item.ty = self.field_type(child),
                Rule::value => item.default = Some(self.value(child)),
                Rule::kw_xsd_flag | Rule::xsd_attrs => self.legacy(child),
                Rule::annotations => item.annotations = self.annotations(child),
                _ => {}
            }
        }
        item
    }

    fn service(&mut self, node: Node<'_>) -> Service {
        let mut item = self.new_service(self.span(node));
        node.children().for_each(|child| self.service_part(&mut item, child));
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
        match part.rule() {
            Rule::name => item.name = self.name(part),
            Rule::extends => {
                let parent = part.children().find(|child| child.rule() == Rule::path);
                item.extends = parent.map(|parent| self.name(parent));
            }
            Rule::function => item.functions.push(self.function(part)),
            Rule::annotations => item.annotations = self.annotations(part),
            _ => {}
        }
    }

    fn function(&mut self, node: Node<'_>) -> Function {
        let span = self.span(node);
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
        for child in node.children() {
            match child.rule() {
                Rule::kw_oneway => {
                    item.oneway = Some(self.span(child));
                    if child.text().starts_with("async") {
                        self.legacy(child);
                    }
                }
                Rule::kw_void => item.returns_span = self.span(child),
                Rule::name => item.name = self.name(child),
                Rule::field => item.arguments.push(self.field(child)),
                Rule::throws => {
                    for child in child.children() {
                        match child.rule() {
                            Rule::kw_throws => item.throws_span = Some(self.span(child)),
                            Rule::field => item.throws.push(self.field(child)),
                            _ => {}
                        }
                    }
                }
                Rule::annotations => item.annotations = self.annotations(child),
                Rule::field_type => {
                    let returns = self.field_type(child);
                    item.returns_span = returns.span;
                    item.returns = Some(returns);
                }
                _ => {}
            }
        }
        item
    }

    /// Adds the keyword of a legacy form. The node starts with it.
    fn legacy(&mut self, node: Node<'_>) {
        let text = node.text();
        let word = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let start = self.base + node.start();
        let span = self.compact.span(start, start + word);
        self.legacy.push(Name { text: text[..word].to_owned(), span });
    }

    fn field_type(&mut self, node: Node<'_>) -> Type {
        let mut children = node.children();
        let node = children.next().expect("a type has a kind");
        let span = self.span(node);
        let kind = match node.rule() {
            Rule::base => {
                if node.text() == "byte" {
                    self.legacy(node);
                }
                TypeKind::Base(base_type(node.text()))
            }
            Rule::path => TypeKind::Named(node.text().to_owned()),
            rule => self.container(rule, node.children()),
        };
        let annotations = children.next().map_or_else(Vec::new, |node| self.annotations(node));
        Type { kind, annotations, span }
    }

    fn container(&mut self, rule: Rule, nodes: Nodes<'_>) -> TypeKind {
        let mut types = nodes.filter(|node| node.rule() == Rule::field_type);
        let mut next = || types.next().map(|node| Box::new(self.field_type(node)));
        let first = next().expect("every container has a type");
        match (rule, next()) {
            (Rule::set, _) => TypeKind::Set(first),
            (Rule::map, Some(value)) => TypeKind::Map(first, value),
            _ => TypeKind::List(first),
        }
    }

    fn value(&mut self, node: Node<'_>) -> Value {
        let node = only_child(node);
        let span = self.span(node);
        let kind = match node.rule() {
            Rule::integer => ValueKind::Integer(self.integer(node).value),
            // The grammar has checked the form. A value that is too large for a double is infinite, as in C.
            Rule::double => ValueKind::Double(node.text().parse().unwrap_or(f64::INFINITY)),
            Rule::bare_sign => ValueKind::Double(0.0),
            Rule::literal => ValueKind::Literal(self.literal(node).value),
            Rule::value_list => {
                let values = node.children().filter(|child| child.rule() == Rule::value);
                ValueKind::List(values.map(|child| self.value(child)).collect())
            }
            Rule::value_map => {
                let entries = node.children().filter(|child| child.rule() == Rule::value_entry);
                ValueKind::Map(entries.map(|entry| self.value_entry(entry)).collect())
            }
            _ => ValueKind::Name(node.text().to_owned()),
        };
        Value { kind, span }
    }

    fn value_entry(&mut self, entry: Node<'_>) -> (Value, Value) {
        let mut values = entry.children().filter(|child| child.rule() == Rule::value);
        let mut next = || self.value(values.next().expect("an entry has a key and a value"));
        (next(), next())
    }

    fn annotations(&mut self, node: Node<'_>) -> Vec<Annotation> {
        node.children()
            .filter(|child| child.rule() == Rule::annotation)
            .map(|child| {
                let span = self.span(child);
                let mut item = Annotation { key: Name::default(), value: None, span };
                for child in child.children() {
                    match child.rule() {
                        Rule::key => item.key = self.name(child),
                        Rule::literal => item.value = Some(self.literal(child)),
                        _ => {}
                    }
                }
                item
            })
            .collect()
    }

    fn integer(&mut self, node: Node<'_>) -> Integer {
        let span = self.span(node);
        let value = parse_integer(node.text()).unwrap_or_else(|| {
            let message = format!("`{}` does not fit in 64 bits", node.text());
            let label = "must be from -9223372036854775808 to 9223372036854775807";
            self.errors.push(SyntaxError::new(message, label, span));
            0
        });
        Integer { value, span }
    }

    fn literal(&mut self, node: Node<'_>) -> Literal {
        let span = self.span(node);
        let text = node.text();
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
                    let label = "the escapes are \\r \\n \\t \\\" \\' and \\\\";
                    self.errors.push(SyntaxError::new(message, label, place));
                }
                None => {}
            }
        }
        Literal { value, span }
    }
}

fn only_child(node: Node<'_>) -> Node<'_> {
    node.children().next().expect("this rule matches one other rule")
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

/// The value of an integer, as the Apache compiler reads it: `true` is 1, `false` is 0, and the magnitude of a
/// hexadecimal number must fit in `i64` without its sign.
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
