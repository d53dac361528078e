//! Rust's names for everything in a program: case, keywords and clashes.
//!
//! A name that has Rust's case already is kept; others are converted. If several names become the same one, the name that
//! is written in that form keeps it, and the others get a `_` at the end, in source order. A warning shows both places.

use std::collections::{BTreeMap, HashMap, HashSet};

use heck::{ToShoutySnakeCase, ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};
use thrift_parser::syntax::StructKind;

use crate::diagnostics::Diagnostic;
use crate::ir::{Annotation, Field, ItemId, ItemKind, Name, Program, TyKind};
use crate::sources::Place;

/// Rust's names for a program.
#[derive(Debug)]
pub(crate) struct Names {
    /// By file: the module its items are in.
    modules: Vec<ModulePath>,
    /// By item.
    items: Vec<ItemNames>,
}

/// The names of modules, from the outside in.
pub(crate) type ModulePath = Vec<String>;

/// Rust's names for an item.
#[derive(Debug, Default)]
pub(crate) struct ItemNames {
    pub(crate) name: String,
    /// Of fields, variants, enum values or functions, by their position.
    pub(crate) members: Vec<String>,
    /// Of a service.
    pub(crate) service: Option<ServiceNames>,
}

/// The names that are generated for a service besides its trait.
#[derive(Debug)]
pub(crate) struct ServiceNames {
    pub(crate) client: String,
    pub(crate) server: String,
    /// The type parameter for a handler. It must not hide a type of the module.
    pub(crate) handler: String,
    pub(crate) functions: Vec<FunctionNames>,
}

/// The names that are generated for a function besides its method.
#[derive(Clone, Debug)]
pub(crate) struct FunctionNames {
    /// The method of the client, which has further methods with reserved names.
    pub(crate) client_method: String,
    /// The parameters of the trait's method.
    pub(crate) parameters: Vec<String>,
    /// The variables of the dispatch.
    pub(crate) bindings: Vec<String>,
    /// The parameters of the client's method, and the fields of the struct of arguments.
    pub(crate) fields: Vec<String>,
    /// The struct of arguments. Used only if there are too many for a tuple.
    pub(crate) arguments: String,
    /// The error enum and its variants. Not used if the function throws nothing.
    pub(crate) error: String,
    pub(crate) variants: Vec<String>,
}

impl Names {
    pub(crate) fn module(&self, program: &Program, item: ItemId) -> &ModulePath {
        &self.modules[program.item(item).file.index()]
    }

    pub(crate) fn module_of_file(&self, file: usize) -> &ModulePath {
        &self.modules[file]
    }

    pub(crate) fn item(&self, item: ItemId) -> &ItemNames {
        &self.items[item.index()]
    }

    /// Names everything; the warnings and errors are about names that meet.
    pub(crate) fn new(program: &Program, keeps_unknown: bool, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let modules = modules(program);
        let mut items: Vec<ItemNames> = program.items.iter().map(|_| ItemNames::default()).collect();
        let mut by_module: BTreeMap<&ModulePath, Vec<ItemId>> = BTreeMap::new();
        for (file, module) in program.files.iter().zip(&modules) {
            by_module.entry(module).or_default().extend(&file.items);
        }
        let mut taken: HashMap<&ModulePath, HashSet<String>> = HashMap::new();
        for (module, members) in &by_module {
            let mut room = Room::new(&TYPE_RESERVED);
            let is_const = |id: &&ItemId| matches!(program.item(**id).kind, ItemKind::Const { .. });
            let (constants, types): (Vec<&ItemId>, Vec<&ItemId>) = members.iter().partition(is_const);
            let of = |ids: &[&ItemId], case| {
                let wanted = |id: &&ItemId| {
                    Wanted::of(&program.item(**id).name, &program.item(**id).annotations, case)
                };
                ids.iter().map(wanted).collect::<Vec<_>>()
            };
            for (id, name) in types.iter().zip(room.name(&of(&types, upper_camel), diagnostics)) {
                items[id.index()].name = name;
            }
            // Constants live beside the constructors of enums.
            for (id, name) in constants.iter().zip(room.name(&of(&constants, shouty), diagnostics)) {
                items[id.index()].name = name;
            }
            taken.insert(module, room.into_taken());
        }
        for (index, item) in program.items.iter().enumerate() {
            items[index].members = match &item.kind {
                ItemKind::Enum(values) => {
                    let wanted =
                        values.iter().map(|value| Wanted::of(&value.name, &value.annotations, shouty));
                    Room::new(&["VALUES"]).name(&wanted.collect::<Vec<_>>(), diagnostics)
                }
                ItemKind::Struct { kind, fields } => {
                    let (case, reserved): (Case, &[&str]) = match kind {
                        StructKind::Union => (upper_camel, &["Unknown", "Self"]),
                        StructKind::Struct | StructKind::Exception if keeps_unknown => {
                            (snake, &["unknown_fields"])
                        }
                        StructKind::Struct | StructKind::Exception => (snake, &[]),
                    };
                    let wanted = fields.iter().map(|field| Wanted::of(&field.name, &field.annotations, case));
                    Room::new(reserved).name(&wanted.collect::<Vec<_>>(), diagnostics)
                }
                ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Service { .. } => Vec::new(),
            };
        }
        for id in parents_first(program) {
            let module = &modules[program.item(id).file.index()];
            let taken = taken.get_mut(module).expect("every module has been gone through");
            let (members, service) = service_names(program, id, &items, taken, diagnostics);
            items[id.index()].members = members;
            items[id.index()].service = Some(service);
        }
        Self { modules, items }
    }
}

/// Names that generated code uses bare, in patterns and expressions.
const TYPE_RESERVED: [&str; 5] = ["Some", "None", "Ok", "Err", "Self"];

/// The client's own methods, and the trait methods that a function must not clash with: it would hide `clone` and `as_ref`, and
/// would be hidden by `into` and `try_into`, which every type has and which take `self` by value.
const CLIENT_RESERVED: [&str; 8] =
    ["connect", "new", "in_process", "close", "clone", "as_ref", "into", "try_into"];

fn service_names(
    program: &Program,
    id: ItemId,
    items: &[ItemNames],
    taken: &mut HashSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<String>, ServiceNames) {
    let ItemKind::Service { extends, functions } = &program.item(id).kind else {
        unreachable!("only services are asked for");
    };
    // An underscore that made the name unique would be in the middle.
    let name = items[id.index()].name.trim_end_matches('_');
    let mut room = Room::new(&[]);
    // Of the client, which has all functions and further methods.
    let mut client_methods = Room::new(&CLIENT_RESERVED).into_taken();
    let mut ancestor = *extends;
    while let Some(parent) = ancestor {
        room.taken.extend(items[parent.index()].members.iter().cloned());
        let inherited = items[parent.index()].service.iter().flat_map(|names| &names.functions);
        client_methods.extend(inherited.map(|names| names.client_method.clone()));
        let ItemKind::Service { extends, .. } = &program.item(parent).kind else { break };
        ancestor = *extends;
    }
    let wanted: Vec<Wanted> =
        functions.iter().map(|function| Wanted::of(&function.name, &function.annotations, snake)).collect();
    let members = room.name(&wanted, diagnostics);
    let mut claim = |wanted: String| {
        let name = free(wanted, taken);
        taken.insert(name.clone());
        name
    };
    let (client, server) = (claim(format!("{name}Client")), claim(format!("{name}Server")));
    let functions = functions.iter().zip(&members).map(|(function, method)| {
        let camel = method.to_upper_camel_case();
        let wanted = |case, fields: &[Field]| {
            fields.iter().map(|field| Wanted::of(&field.name, &field.annotations, case)).collect::<Vec<_>>()
        };
        FunctionNames {
            client_method: {
                let name = free(method.clone(), &client_methods);
                client_methods.insert(name.clone());
                name
            },
            parameters: Room::new(&["cx"]).name(&wanted(snake, &function.arguments), &mut Vec::new()),
            bindings: Room::new(&["handler", "request"])
                .name(&wanted(snake, &function.arguments), &mut Vec::new()),
            fields: Room::new(&[]).name(&wanted(snake, &function.arguments), diagnostics),
            arguments: claim(format!("{name}{camel}Args")),
            error: claim(format!("{name}{camel}Error")),
            variants: Room::new(&["Rpc", "Self"])
                .name(&wanted_variants(program, &function.throws, items), diagnostics),
        }
    });
    let functions = functions.collect();
    let handler = free("H".to_owned(), taken);
    (members, ServiceNames { client, server, handler, functions })
}

/// The variants of the error of a function: each is named after its exception. If two entries of the list have
/// exceptions with the same name, the variants are named after the entries.
fn wanted_variants(program: &Program, throws: &[Field], items: &[ItemNames]) -> Vec<Wanted> {
    let exceptions: Vec<Option<&str>> = throws
        .iter()
        .map(|thrown| match program.behind(&thrown.ty).kind {
            TyKind::Item(id) => Some(items[id.index()].name.as_str()),
            _ => None,
        })
        .collect();
    let is_unique = |name: &str| exceptions.iter().filter(|other| **other == Some(name)).count() == 1;
    let is_renamed =
        |thrown: &Field| thrown.annotations.iter().any(|annotation| annotation.key == "rust.name");
    throws
        .iter()
        .zip(&exceptions)
        .map(|(thrown, exception)| match exception {
            Some(name) if is_unique(name) && !is_renamed(thrown) => {
                Wanted { converted: (*name).to_owned(), exact: true, chosen: None, place: thrown.name.place }
            }
            _ => Wanted::of(&thrown.name, &thrown.annotations, upper_camel),
        })
        .collect()
}

/// All services, each after the one that it extends.
fn parents_first(program: &Program) -> Vec<ItemId> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    for id in program.ids() {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            let ItemKind::Service { extends, .. } = &program.item(id).kind else { break };
            if !seen.insert(id) {
                break;
            }
            chain.push(id);
            next = *extends;
        }
        order.extend(chain.into_iter().rev());
    }
    order
}

/// The module of each file: its namespace for Rust, or for all languages, or its file name.
fn modules(program: &Program) -> Vec<ModulePath> {
    let named = |namespace: &str| namespace.split('.').map(module_name).collect::<ModulePath>();
    let mut modules: Vec<Option<ModulePath>> = program
        .files
        .iter()
        .map(|file| file.namespace_for("rs").or_else(|| file.namespace_for("*")).map(named))
        .collect();
    let mut taken: HashSet<ModulePath> = modules.iter().flatten().cloned().collect();
    for (file, module) in program.files.iter().zip(&mut modules) {
        if module.is_none() {
            let mut path = vec![module_name(&file.stem)];
            while !taken.insert(path.clone()) {
                path[0].push('_');
            }
            *module = Some(path);
        }
    }
    modules.into_iter().flatten().collect()
}

/// The types that generated code names without a path.
const PRIMITIVE: [&str; 7] = ["bool", "i8", "i16", "i32", "i64", "f64", "str"];

fn module_name(written: &str) -> String {
    let name = snake(&written.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
    if PRIMITIVE.contains(&name.as_str()) { format!("{name}_") } else { name }
}

type Case = fn(&str) -> String;

fn upper_camel(written: &str) -> String {
    let camel = written.starts_with(|c: char| c.is_ascii_uppercase()) && !written.contains('_');
    possible(if camel { written.to_owned() } else { written.to_upper_camel_case() }, "Unnamed")
}

fn snake(written: &str) -> String {
    let inner = written.trim_matches('_');
    let snake = !inner.contains("__") && !inner.contains(|c: char| c.is_ascii_uppercase());
    possible(if snake { written.to_owned() } else { written.to_snake_case() }, "unnamed")
}

fn shouty(written: &str) -> String {
    let shouty = !written.contains(|c: char| c.is_ascii_lowercase());
    possible(if shouty { written.to_owned() } else { written.to_shouty_snake_case() }, "UNNAMED")
}

/// A name that can become an identifier, perhaps a raw one.
fn possible(name: String, fallback: &str) -> String {
    match name.as_str() {
        "" | "_" => fallback.to_owned(),
        "self" | "Self" | "super" | "crate" => format!("{name}_"),
        _ if name.starts_with(|c: char| c.is_ascii_digit()) => format!("_{name}"),
        _ => name,
    }
}

/// The one place where a name becomes an identifier: keywords become raw ones.
pub(crate) fn ident(name: &str) -> Ident {
    if KEYWORDS.binary_search(&name).is_ok() {
        Ident::new_raw(name, Span::call_site())
    } else {
        Ident::new(name, Span::call_site())
    }
}

/// Rust's keywords, of the edition of 2024 too and reserved ones, but for those that cannot be raw. Sorted.
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// A name to be given.
struct Wanted {
    converted: String,
    /// Whether it was written like that.
    exact: bool,
    /// From `rust.name`.
    chosen: Option<Place>,
    place: Place,
}

impl Wanted {
    fn of(name: &Name, annotations: &[Annotation], case: Case) -> Self {
        if let Some(chosen) = annotations.iter().rev().find(|annotation| annotation.key == "rust.name") {
            let converted = chosen.value.clone();
            return Self { converted, exact: true, chosen: Some(chosen.place), place: name.place };
        }
        let converted = case(&name.text);
        Self { exact: converted == name.text, converted, chosen: None, place: name.place }
    }
}

/// A scope in which names must differ from each other.
struct Room {
    taken: HashSet<String>,
}

impl Room {
    fn new(reserved: &[&str]) -> Self {
        Self { taken: reserved.iter().map(|&name| name.to_owned()).collect() }
    }

    fn into_taken(self) -> HashSet<String> {
        self.taken
    }

    /// A name for each: those that were chosen first, then the exact ones, then the others.
    fn name(&mut self, wanted: &[Wanted], diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
        let mut names = vec![String::new(); wanted.len()];
        let mut owners: HashMap<&str, Place> = HashMap::new();
        // The last name that was given for one: all shorter ones are taken, and are not tried again.
        let mut given: HashMap<&str, String> = HashMap::new();
        let rank = |index: &usize| match &wanted[*index] {
            Wanted { chosen: Some(_), .. } => 0,
            Wanted { exact: true, .. } => 1,
            Wanted { .. } => 2,
        };
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(rank);
        for index in order {
            let want = &wanted[index];
            let owner = owners.get(want.converted.as_str());
            let last = given.get(want.converted.as_str()).unwrap_or(&want.converted);
            let name = free(last.clone(), &self.taken);
            if let Some(place) = want.chosen {
                let usable = usable(&want.converted);
                if !usable || owner.is_some() || self.taken.contains(&want.converted) {
                    let error =
                        Diagnostic::error(place, format!("the name `{}` cannot be given", want.converted));
                    diagnostics.push(match owner {
                        _ if !usable => error.label("not an identifier of Rust"),
                        Some(owner) => error.label("taken already").note(*owner, "by this"),
                        None => error.label("generated code needs it for itself"),
                    });
                }
            } else if let Some(owner) = owner {
                diagnostics.push(
                    Diagnostic::warning(want.place, format!("becomes `{name}` in Rust"))
                        .label(format!("`{}` is taken", want.converted))
                        .note(*owner, "by this")
                        .help("choose a name with `(rust.name = \"…\")`"),
                );
            }
            self.taken.insert(name.clone());
            given.insert(&want.converted, name.clone());
            owners.entry(&want.converted).or_insert(want.place);
            names[index] = name;
        }
        names
    }
}

fn free(mut name: String, taken: &HashSet<String>) -> String {
    while taken.contains(&name) {
        name.push('_');
    }
    name
}

fn usable(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !matches!(name, "_" | "self" | "Self" | "super" | "crate")
        // Generated code says these without a path.
        && !PRIMITIVE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_the_case_of_rust_only_where_they_lack_it() {
        assert_eq!(upper_camel("SharedStruct"), "SharedStruct");
        assert_eq!(upper_camel("HTTPServer"), "HTTPServer");
        assert_eq!(upper_camel("shared_struct"), "SharedStruct");
        assert_eq!(upper_camel("Foo_Bar"), "FooBar");
        assert_eq!(snake("num1"), "num1");
        assert_eq!(snake("whatOp"), "what_op");
        assert_eq!(snake("a_1b"), "a_1b");
        assert_eq!(shouty("INT32CONSTANT"), "INT32CONSTANT");
        assert_eq!(shouty("maxSize"), "MAX_SIZE");
    }

    #[test]
    fn keywords_that_cannot_be_raw_get_an_underscore() {
        assert_eq!(ident(&snake("type")).to_string(), "r#type");
        assert_eq!(ident(&snake("self")).to_string(), "self_");
        assert_eq!(ident(&upper_camel("Self")).to_string(), "Self_");
        assert_eq!(ident(&snake("gen")).to_string(), "r#gen");
        assert_eq!(ident(&snake("_")).to_string(), "unnamed");
    }

    #[test]
    fn every_keyword_is_known() {
        assert!(KEYWORDS.is_sorted());
        for keyword in KEYWORDS {
            // To the parser `gen` is a name, as it is in older editions.
            assert!(syn::parse_str::<Ident>(keyword).is_err() || keyword == "gen", "{keyword}");
        }
    }
}
