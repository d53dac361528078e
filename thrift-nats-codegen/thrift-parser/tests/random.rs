//! Property tests with random documents, layouts and errors: a document is parsed to the tree it was written from,
//! formatting loses nothing, and no text makes the parser panic.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use support::{check_format, without_spans};
use thrift_parser::syntax::{
    Annotation, BaseType, Const, Definition, Document, Enum, EnumValue, Field, Function, Header, Include,
    Integer, Literal, Name, Namespace, Requiredness, Service, Span, Struct, StructKind, Type, TypeKind,
    Typedef, Value, ValueKind,
};
use thrift_parser::{Parsed, format, parse};

const NOWHERE: Span = Span::new(0, 0);

const KEYWORDS: &[&str] = &[
    "include",
    "cpp_include",
    "namespace",
    "typedef",
    "const",
    "enum",
    "struct",
    "union",
    "exception",
    "service",
    "extends",
    "throws",
    "oneway",
    "async",
    "void",
    "required",
    "optional",
    "bool",
    "byte",
    "i8",
    "i16",
    "i32",
    "i64",
    "double",
    "string",
    "binary",
    "list",
    "set",
    "map",
    "cpp_type",
    "xsd_all",
    "xsd_optional",
    "xsd_nillable",
    "xsd_attrs",
];

// ---- Documents ----

fn word() -> impl Strategy<Value = String> {
    let word = "[A-Za-z_][A-Za-z0-9_]{0,5}".prop_filter("a keyword", |word| !KEYWORDS.contains(&&**word));
    prop_oneof![4 => word, 1 => prop::sample::select(vec!["constant", "i", "i322", "true", "e10", "_", "xsd"]).prop_map(str::to_owned)]
}

fn name() -> impl Strategy<Value = Name> {
    word().prop_map(|text| Name { text, span: NOWHERE })
}

fn field_name() -> impl Strategy<Value = Name> {
    let keyword = prop::sample::select(KEYWORDS).prop_map(str::to_owned);
    prop_oneof![5 => word(), 1 => keyword].prop_map(|text| Name { text, span: NOWHERE })
}

fn path() -> impl Strategy<Value = String> {
    (word(), vec("[A-Za-z0-9_]{1,4}", 0..2))
        .prop_map(|(first, rest)| rest.iter().fold(first, |path, word| path + "." + word))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,6}", "\\PC{0,4}", "[\n\r\t\"'\\\\/*#é]{0,4}"]
}

fn literal() -> impl Strategy<Value = Literal> {
    text().prop_map(|value| Literal { value, span: NOWHERE })
}

fn integer() -> impl Strategy<Value = Integer> {
    let value = prop_oneof![-3..100_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    value.prop_map(|value| Integer { value, span: NOWHERE })
}

fn annotations() -> impl Strategy<Value = Vec<Annotation>> {
    let key = path().prop_map(|text| Name { text, span: NOWHERE });
    let one = (key, prop::option::of(literal()));
    let some = vec(one.prop_map(|(key, value)| Annotation { key, value, span: NOWHERE }), 1..3);
    prop_oneof![3 => Just(Vec::new()), 1 => some]
}

fn ty() -> impl Strategy<Value = Type> {
    use BaseType::{Binary, Bool, Double, I8, I16, I32, I64, String};
    let base = prop::sample::select(vec![Binary, Bool, Double, I8, I16, I32, I64, String]);
    let base = (base.prop_map(TypeKind::Base), annotations());
    let named = (path().prop_map(TypeKind::Named), Just(Vec::new()));
    let make = |(kind, annotations)| Type { kind, annotations, span: NOWHERE };
    prop_oneof![base.prop_map(make), named.prop_map(make)].prop_recursive(3, 8, 2, move |inner| {
        let list = inner.clone().prop_map(|ty| TypeKind::List(Box::new(ty)));
        let set = inner.clone().prop_map(|ty| TypeKind::Set(Box::new(ty)));
        let map =
            (inner.clone(), inner).prop_map(|(key, value)| TypeKind::Map(Box::new(key), Box::new(value)));
        (prop_oneof![list, set, map], annotations()).prop_map(make)
    })
}

fn value() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        integer().prop_map(|integer| ValueKind::Integer(integer.value)),
        any::<f64>().prop_filter("a number", |value| value.is_finite()).prop_map(ValueKind::Double),
        text().prop_map(ValueKind::Literal),
        path().prop_map(ValueKind::Name),
    ];
    kind.prop_map(|kind| Value { kind, span: NOWHERE }).prop_recursive(3, 12, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(ValueKind::List);
        let map = vec((inner.clone(), inner), 0..4).prop_map(ValueKind::Map);
        prop_oneof![list, map].prop_map(|kind| Value { kind, span: NOWHERE })
    })
}

fn field() -> impl Strategy<Value = Field> {
    let requiredness = prop::sample::select(vec![Requiredness::Required, Requiredness::Optional]);
    (
        prop::option::of(integer()),
        prop::option::of(requiredness.prop_map(|requiredness| (requiredness, NOWHERE))),
        ty(),
        any::<bool>(),
        field_name(),
        prop::option::of(value()),
        annotations(),
    )
        .prop_map(|(id, requiredness, ty, reference, name, default, annotations)| Field {
            doc: None,
            id,
            requiredness,
            ty,
            reference,
            name,
            default,
            annotations,
            span: NOWHERE,
        })
}

fn function() -> impl Strategy<Value = Function> {
    let fields = || vec(field(), 0..3);
    (any::<bool>(), prop::option::of(ty()), name(), fields(), prop::option::of(fields()), annotations())
        .prop_map(|(oneway, returns, name, arguments, throws, annotations)| Function {
            doc: None,
            oneway: oneway.then_some(NOWHERE),
            returns,
            returns_span: NOWHERE,
            name,
            arguments,
            throws_span: throws.is_some().then_some(NOWHERE),
            throws: throws.unwrap_or_default(),
            annotations,
            span: NOWHERE,
        })
}

fn definition() -> impl Strategy<Value = Definition> {
    let kind = prop::sample::select(vec![StructKind::Struct, StructKind::Union, StructKind::Exception]);
    let enum_value = (name(), prop::option::of(integer()), annotations());
    let enum_value = enum_value.prop_map(|(name, number, annotations)| EnumValue {
        doc: None,
        name,
        number,
        annotations,
        span: NOWHERE,
    });
    let parent = path().prop_map(|text| Name { text, span: NOWHERE });
    let (doc, span) = (None, NOWHERE);
    Union::new([
        (ty(), name(), annotations())
            .prop_map(move |(ty, name, annotations)| {
                Definition::Typedef(Typedef { doc: doc.clone(), ty, name, annotations, span })
            })
            .boxed(),
        (ty(), name(), value())
            .prop_map(move |(ty, name, value)| Definition::Const(Const { doc: None, ty, name, value, span }))
            .boxed(),
        (name(), vec(enum_value, 0..4), annotations())
            .prop_map(move |(name, values, annotations)| {
                Definition::Enum(Enum { doc: None, name, values, annotations, span })
            })
            .boxed(),
        (kind, name(), vec(field(), 0..4), annotations())
            .prop_map(move |(kind, name, fields, annotations)| {
                Definition::Struct(Struct { kind, doc: None, name, fields, annotations, span })
            })
            .boxed(),
        (name(), prop::option::of(parent), vec(function(), 0..3), annotations())
            .prop_map(move |(name, extends, functions, annotations)| {
                Definition::Service(Service { doc: None, name, extends, functions, annotations, span })
            })
            .boxed(),
    ])
}

fn header() -> impl Strategy<Value = Header> {
    let include = || literal().prop_map(|path| Include { path, span: NOWHERE });
    let named = |text: String| Name { text, span: NOWHERE };
    let scoped = (path(), path(), annotations());
    let scope = prop_oneof![3 => scoped, 1 => path().prop_map(|name| ("*".to_owned(), name, Vec::new()))];
    prop_oneof![
        include().prop_map(Header::Include),
        include().prop_map(Header::CppInclude),
        scope.prop_map(move |(scope, name, annotations)| Header::Namespace(Namespace {
            scope: named(scope),
            name: named(name),
            annotations,
            span: NOWHERE,
        })),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    (vec(header(), 0..3), vec(definition(), 0..4)).prop_map(|(headers, definitions)| Document {
        headers,
        definitions,
        comments: Vec::new(),
        legacy: Vec::new(),
    })
}

// ---- Layouts ----

/// Writes a document with random white space and comments between its tokens.
struct Writer<'l> {
    text: String,
    /// Random numbers for choices, repeated.
    choices: std::iter::Cycle<std::slice::Iter<'l, u8>>,
    between: &'l [&'l str],
}

impl Writer<'_> {
    fn choose(&mut self, count: usize) -> usize {
        usize::from(*self.choices.next().expect("there are choices")) % count
    }

    fn token(&mut self, token: &str) {
        let between = self.between[self.choose(self.between.len())];
        self.text.push_str(between);
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-');
        if between.is_empty() && self.text.ends_with(is_word) && token.starts_with(is_word) {
            self.text.push(' ');
        }
        self.text.push_str(token);
    }

    fn tokens<const N: usize>(&mut self, tokens: [&str; N]) {
        tokens.iter().for_each(|token| self.token(token));
    }

    fn separator(&mut self) {
        match self.choose(3) {
            0 => self.token(","),
            1 => self.token(";"),
            _ => {}
        }
    }

    fn literal(&mut self, value: &str) {
        let quote = if self.choose(2) == 0 { '"' } else { '\'' };
        let mut text = String::from(quote);
        for char in value.chars() {
            match char {
                '\n' => text.push_str("\\n"),
                '\\' => text.push_str("\\\\"),
                '\r' if self.choose(2) == 0 => text.push_str("\\r"),
                '\t' if self.choose(2) == 0 => text.push_str("\\t"),
                '"' | '\'' if char == quote || self.choose(2) == 0 => text.extend(['\\', char]),
                char => text.push(char),
            }
        }
        text.push(quote);
        self.token(&text);
    }

    fn integer(&mut self, value: i64) {
        let text = match self.choose(4) {
            0 if value >= 0 => format!("0x{value:x}"),
            1 if value >= 0 => format!("0x0{value:X}"),
            2 if value >= 0 => format!("+{value}"),
            3 if value >= 0 => format!("00{value}"),
            _ => value.to_string(),
        };
        self.token(&text);
    }

    fn annotations(&mut self, annotations: &[Annotation]) {
        if annotations.is_empty() && self.choose(8) > 0 {
            return;
        }
        self.token("(");
        for annotation in annotations {
            self.token(&annotation.key.text);
            if let Some(value) = &annotation.value {
                self.token("=");
                self.literal(&value.value);
            }
            self.separator();
        }
        self.token(")");
    }

    fn cpp_type(&mut self) {
        if self.choose(8) == 0 {
            self.token("cpp_type");
            self.literal("std::list");
        }
    }

    fn ty(&mut self, ty: &Type) {
        match &ty.kind {
            TypeKind::Base(base) => {
                let name = match base {
                    BaseType::I8 if self.choose(2) == 0 => "byte".to_owned(),
                    base => format!("{base:?}").to_lowercase(),
                };
                self.token(&name);
            }
            TypeKind::Named(name) => return self.token(name),
            TypeKind::List(inner) => {
                self.token("list");
                self.cpp_type();
                self.token("<");
                self.ty(inner);
                self.token(">");
                self.cpp_type();
            }
            TypeKind::Set(inner) => {
                self.token("set");
                self.cpp_type();
                self.token("<");
                self.ty(inner);
                self.token(">");
            }
            TypeKind::Map(key, value) => {
                self.token("map");
                self.cpp_type();
                self.token("<");
                self.ty(key);
                self.token(",");
                self.ty(value);
                self.token(">");
            }
        }
        self.annotations(&ty.annotations);
    }

    fn value(&mut self, value: &Value) {
        match &value.kind {
            ValueKind::Integer(value) => self.integer(*value),
            ValueKind::Double(value) => self.token(&format!("{value:?}")),
            ValueKind::Literal(value) => self.literal(value),
            ValueKind::Name(name) => self.token(name),
            ValueKind::List(values) => {
                self.token("[");
                for value in values {
                    self.value(value);
                    self.separator();
                }
                self.token("]");
            }
            ValueKind::Map(entries) => {
                self.token("{");
                for (key, value) in entries {
                    self.value(key);
                    self.token(":");
                    self.value(value);
                    self.separator();
                }
                self.token("}");
            }
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            if let Some(id) = field.id {
                self.integer(id.value);
                self.token(":");
            }
            match field.requiredness {
                Some((Requiredness::Required, _)) => self.token("required"),
                Some((Requiredness::Optional, _)) => self.token("optional"),
                None => {}
            }
            self.ty(&field.ty);
            if field.reference {
                self.token("&");
            }
            self.token(&field.name.text);
            if let Some(value) = &field.default {
                self.token("=");
                self.value(value);
            }
            match self.choose(16) {
                0 => self.token("xsd_nillable"),
                1 => self.tokens(["xsd_optional", "xsd_attrs", "{", "1", ":", "i32", "x", ",", "}"]),
                _ => {}
            }
            self.annotations(&field.annotations);
            self.separator();
        }
    }

    fn function(&mut self, function: &Function) {
        if function.oneway.is_some() {
            let word = if self.choose(2) == 0 { "oneway" } else { "async" };
            self.token(word);
        }
        match &function.returns {
            Some(ty) => self.ty(ty),
            None => self.token("void"),
        }
        self.tokens([&function.name.text, "("]);
        self.fields(&function.arguments);
        self.token(")");
        if function.throws_span.is_some() {
            self.tokens(["throws", "("]);
            self.fields(&function.throws);
            self.token(")");
        }
        self.annotations(&function.annotations);
        self.separator();
    }

    fn definition(&mut self, definition: &Definition) {
        match definition {
            Definition::Typedef(item) => {
                self.token("typedef");
                self.ty(&item.ty);
                self.token(&item.name.text);
                self.annotations(&item.annotations);
                self.separator();
            }
            Definition::Const(item) => {
                self.token("const");
                self.ty(&item.ty);
                self.tokens([&item.name.text, "="]);
                self.value(&item.value);
                self.separator();
            }
            Definition::Enum(item) => {
                self.tokens(["enum", &item.name.text, "{"]);
                for value in &item.values {
                    self.token(&value.name.text);
                    if let Some(number) = value.number {
                        self.token("=");
                        self.integer(number.value);
                    }
                    self.annotations(&value.annotations);
                    self.separator();
                }
                self.token("}");
                self.annotations(&item.annotations);
            }
            Definition::Struct(item) => {
                self.tokens([&*format!("{:?}", item.kind).to_lowercase(), &item.name.text]);
                if self.choose(8) == 0 {
                    self.token("xsd_all");
                }
                self.token("{");
                self.fields(&item.fields);
                self.token("}");
                self.annotations(&item.annotations);
            }
            Definition::Service(item) => {
                self.tokens(["service", &item.name.text]);
                if let Some(parent) = &item.extends {
                    self.tokens(["extends", &parent.text]);
                }
                self.token("{");
                item.functions.iter().for_each(|function| self.function(function));
                self.token("}");
                self.annotations(&item.annotations);
            }
        }
    }

    fn document(&mut self, document: &Document) {
        for header in &document.headers {
            match header {
                Header::Include(include) => {
                    self.token("include");
                    self.literal(&include.path.value);
                }
                Header::CppInclude(include) => {
                    self.token("cpp_include");
                    self.literal(&include.path.value);
                }
                Header::Namespace(namespace) => {
                    self.tokens(["namespace", &namespace.scope.text, &namespace.name.text]);
                    if namespace.scope.text != "*" {
                        self.annotations(&namespace.annotations);
                    }
                }
            }
        }
        document.definitions.iter().for_each(|definition| self.definition(definition));
        let end = self.choose(self.between.len());
        self.text.push_str(self.between[end]);
    }
}

fn write(document: &Document, choices: &[u8], between: &[&str]) -> String {
    let mut writer = Writer { text: String::new(), choices: choices.iter().cycle(), between };
    writer.document(document);
    writer.text
}

/// No doc comments: these would become part of the tree.
const UNDOCUMENTED: &[&str] =
    &["", " ", "", " ", "\n", "\r\n\t", " // a\n", "# é\n\n", "/* b */", " /*\n * c\n */ ", "/**/"];

const DOCUMENTED: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    " ",
    "\n",
    "\n\n\n",
    " // a\n",
    "\n// b\n",
    "# c\r\n  // d\n\n",
    "/* e */",
    " /* f */\n",
    "\n/* g\n h */\n",
    " /** i */ ",
    "\n  /**\n   * j\n   *   k\n   */\n",
    "/** l\n   m\n  n */",
    "\n\t/** o\n\t\tp */",
    "/** q */ // r\n",
    "// s\n\n/***/ /** t\n\n u */ ",
];

proptest! {
    #[test]
    fn a_document_is_parsed_to_the_tree_it_was_written_from(document in document(), choices in vec(any::<u8>(), 1..200)) {
        let source = write(&document, &choices, UNDOCUMENTED);
        let Parsed { document: mut parsed, errors, .. } = parse(&source);
        prop_assert_eq!(errors, [], "{}", source);
        parsed.comments.clear();
        parsed.legacy.clear();
        prop_assert_eq!(without_spans(&parsed), without_spans(&document), "{}", source);
    }

    #[test]
    fn formatting_a_document_loses_nothing(document in document(), choices in vec(any::<u8>(), 1..400)) {
        let source = write(&document, &choices, DOCUMENTED);
        if let Err(what) = check_format(&source) {
            prop_assert!(false, "{}:\n{}\nas:\n{}", what, source, format(&source).unwrap_or_default());
        }
    }
}

// ---- Errors ----

/// Texts to be damaged.
const SAMPLES: &[&str] = &[
    "// a\nnamespace * a.b (c = \"d\")\ninclude 'x.thrift'\n\ntypedef map<string, list<i32>> (a) T\n",
    "/** doc */\nstruct A {\n  1: required i32 x = 0x1F, # é\n  -2: optional T y (a.b = \"\\n\");\n} (z)\n",
    "const map<string, T> C = {\"a\": [1, -2.5e3, .5], 'b': {}, c.d: true}\n",
    "service S extends b.S {\n  oneway void f(1: i32 a, 2: T b) throws (1: E e)\n  /* x */ i64 g() (h)\n}\n",
    "enum E { A = 1, B; C (d) }\nunion U { 1: i32 a xsd_attrs { 1: i32 b } }\nexception X {}\n",
];

const SCRAPS: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    "[",
    "]",
    ",",
    ";",
    ":",
    "=",
    "*",
    "&",
    "/",
    "/*",
    "*/",
    "/**",
    "//",
    "#",
    "\"",
    "'",
    "\\",
    "\n",
    "\r",
    "\t",
    " ",
    "\u{feff}",
    "é",
    "\u{a0}",
    "\u{2028}",
    "💥",
    "\0",
    "0x",
    "1",
    "-",
    "+",
    ".",
    "1e",
    "99999999999999999999",
    "struct ",
    "struct A {",
    "service ",
    "\nenum ",
    "\nconst ",
    "required ",
    "list<",
    "map<",
    "xsd_attrs {",
    "cpp_type ",
    "throws (",
    "true",
    "a.b",
    "include ",
    "\nnamespace ",
    "@",
    "$",
];

/// Checks the properties that hold for every text.
fn check_bounds(source: &str) -> Result<(), TestCaseError> {
    let parsed = parse(source);
    let spans = format!("{parsed:?}");
    // Every span of the tree and of the errors.
    for span in spans.split("Span { start: ").skip(1) {
        let numbers = span.split_once(" }").and_then(|(span, _)| span.split_once(", end: "));
        let Some((start, end)) = numbers else { continue };
        if let (Ok(start), Ok(end)) = (start.parse::<usize>(), end.parse::<usize>()) {
            prop_assert!(source.get(start..end).is_some(), "{}..{} in {:?}", start, end, source);
        }
    }
    prop_assert!(parsed.errors.is_sorted_by_key(|error| error.span), "{:?}", source);
    for error in &parsed.errors {
        prop_assert!(!error.message.is_empty());
    }
    // Gaps and definitions are in order and do not overlap.
    let mut end = 0;
    for gap in &parsed.gaps {
        prop_assert!(end <= gap.span.start && gap.span.start < gap.span.end, "{:?} in {:?}", gap, source);
        end = gap.span.end;
        let within = |place: Span| gap.span.start <= place.start && place.end <= gap.span.end;
        prop_assert!(gap.names.iter().all(|name| within(name.span)), "{:?} in {:?}", gap, source);
    }
    let mut end = 0;
    for definition in &parsed.document.definitions {
        prop_assert!(end <= definition.span().start, "{:?} in {:?}", definition, source);
        end = definition.span().end;
    }
    match format(source) {
        Ok(_) => {
            prop_assert_eq!(parsed.errors, [], "{:?}", source);
            prop_assert_eq!(parsed.gaps, [], "{:?}", source);
            if let Err(what) = check_format(source) {
                prop_assert!(false, "{}: {:?}", what, source);
            }
        }
        Err(errors) => prop_assert_eq!(errors, parsed.errors),
    }
    Ok(())
}

/// The start of the character at `at`, or the end of the text.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

proptest! {
    #[test]
    fn random_bytes_are_parsed_to_a_tree_or_errors(bytes in vec(any::<u8>(), 0..200)) {
        check_bounds(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn random_scraps_are_parsed_to_a_tree_or_errors(scraps in vec(prop::sample::select(SCRAPS), 0..60)) {
        check_bounds(&scraps.concat())?;
    }

    #[test]
    fn a_damaged_file_is_parsed_to_a_tree_or_errors(
        samples in vec(prop::sample::select(SAMPLES), 1..4),
        cuts in vec((any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(SCRAPS)), 0..6),
    ) {
        let mut source = samples.concat();
        for (at, len, scrap) in cuts {
            let start = char_boundary(&source, at.index(source.len() + 1));
            let end = char_boundary(&source, start + len);
            source.replace_range(start..end, scrap);
            check_bounds(&source)?;
        }
    }

    #[test]
    fn a_damaged_document_is_parsed_to_a_tree_or_errors(
        document in document(),
        choices in vec(any::<u8>(), 1..100),
        at in any::<prop::sample::Index>(),
        scrap in prop::sample::select(SCRAPS),
    ) {
        let mut source = write(&document, &choices, DOCUMENTED);
        source.insert_str(char_boundary(&source, at.index(source.len() + 1)), scrap);
        check_bounds(&source)?;
    }
}

/// Fields without their id, and whether they are well-formed.
const FIELDS: &[(&str, bool)] = &[
    ("i32 a", true),
    ("optional list<T> a = [1, 'b'] (c = 'd')", true),
    ("map<i32, T> a = {1: b, 2: {3: 'c'}}", true),
    ("void a", false),
    ("list<void> a", false),
    ("map<i32> a", false),
    ("list<i32 a", false),
    ("i32", false),
    ("optional", false),
    ("i32 a = ", false),
    ("i32 a = 5.", false),
    ("i32 a = 'b", false),
    ("i32 a = [1, void]", false),
    ("i32 a = {1: void}", false),
    ("i32 a (b = c)", false),
    ("i32 $a", false),
    ("i32 a b", false),
    ("string required optional a", false),
    ("T<i32> a", false),
    (": i32 a", false),
];

/// Functions, and whether they are well-formed. None leaves a bracket open, because the next function could then be an
/// argument.
const FUNCTIONS: &[(&str, bool)] = &[
    ("void a()", true),
    ("oneway void a(1: i32 b, 2: T c = 5)", true),
    ("list<T> a(1: i32 b) throws (1: X x, 2: Y y) (c = 'd')", true),
    ("void a", false),
    ("void a(1: void b)", false),
    ("void a(1: i32 b) throws", false),
    ("void a() throws (1: void x)", false),
    ("void list()", false),
    ("list<void> a()", false),
    ("oneway a()", false),
];

/// Checks that a definition with these members, each on its own line, has one error for each malformed member.
fn check_members(
    open: &str,
    members: &[(&str, bool)],
    separator: &str,
    write: fn(usize, &str) -> String,
) -> Result<(), TestCaseError> {
    let write = |(index, (text, _)): (usize, &(&str, bool))| write(index + 1, text) + separator + "\n";
    let source = format!(
        "{open}\n{}}}\nstruct Last {{}}\n",
        members.iter().enumerate().map(write).collect::<String>()
    );
    let parsed = parse(&source);
    let malformed = members.iter().filter(|(_, is_well_formed)| !is_well_formed).count();
    prop_assert_eq!(parsed.errors.len(), malformed, "{}{:#?}", source, parsed.errors);
    prop_assert_eq!(parsed.document.definitions.len(), 2, "{}", source);
    let read = match &parsed.document.definitions[0] {
        Definition::Struct(item) => item.fields.len(),
        Definition::Service(item) => item.functions.len(),
        _ => 0,
    };
    // A malformed member may be read in part.
    prop_assert!(read >= members.len() - malformed, "{}{:#?}", source, parsed.document);
    Ok(())
}

proptest! {
    #[test]
    fn every_malformed_field_is_one_error(
        fields in vec(prop::sample::select(FIELDS), 0..12),
        separator in prop::sample::select(&[",", ";"][..]),
    ) {
        check_members("struct First {", &fields, separator, |id, text| format!("  {id}: {text}"))?;
    }

    #[test]
    fn every_malformed_function_is_one_error(
        functions in vec(prop::sample::select(FUNCTIONS), 0..12),
        separator in prop::sample::select(&["", ",", ";"][..]),
    ) {
        check_members("service First {", &functions, separator, |_, text| format!("  {text}"))?;
    }
}
