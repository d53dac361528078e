//! Lists the definitions of a `.thrift` file with their lines, and notes fields without an id: the start of a linter.
//!
//! `cargo run -p thrift-nats-parser --example outline -- FILE`

use std::process::ExitCode;

use thrift_parser::syntax::{Definition, Doc, Field, Name, Span, StructKind};

/// The offsets at which the lines of a file start.
struct Lines {
    starts: Vec<u32>,
}

impl Lines {
    fn of(source: &str) -> Self {
        let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(breaks.map(|(at, _)| at as u32 + 1)).collect() }
    }

    /// The number of the line on which a span starts, from 1.
    fn number(&self, span: Span) -> usize {
        self.starts.partition_point(|start| *start <= span.start)
    }
}

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: outline FILE");
        return ExitCode::from(2);
    };
    let source = match std::fs::read_to_string(&path) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let lines = Lines::of(&source);
    let parsed = thrift_parser::parse(&source);
    for error in &parsed.errors {
        eprintln!("{}:{}: {error}", path.display(), lines.number(error.span));
    }
    for definition in &parsed.document.definitions {
        print(&lines, definition);
    }
    if parsed.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(lines: &Lines, definition: &Definition) {
    let (kind, doc) = match definition {
        Definition::Typedef(item) => ("typedef", &item.doc),
        Definition::Const(item) => ("const", &item.doc),
        Definition::Enum(item) => ("enum", &item.doc),
        Definition::Service(item) => ("service", &item.doc),
        Definition::Struct(item) => match item.kind {
            StructKind::Struct => ("struct", &item.doc),
            StructKind::Union => ("union", &item.doc),
            StructKind::Exception => ("exception", &item.doc),
        },
    };
    entry(lines, 0, kind, definition.name(), doc);
    match definition {
        Definition::Typedef(_) | Definition::Const(_) => {}
        Definition::Enum(item) => {
            item.values.iter().for_each(|value| entry(lines, 1, "value", &value.name, &value.doc))
        }
        Definition::Struct(item) => fields(lines, &item.fields),
        Definition::Service(item) => {
            for function in &item.functions {
                entry(lines, 1, "function", &function.name, &function.doc);
                remarks(lines, &function.arguments);
            }
        }
    }
}

fn fields(lines: &Lines, fields: &[Field]) {
    fields.iter().for_each(|field| entry(lines, 1, "field", &field.name, &field.doc));
    remarks(lines, fields);
}

fn entry(lines: &Lines, level: usize, kind: &str, name: &Name, doc: &Option<Doc>) {
    let summary = doc.iter().filter_map(|doc| doc.text.lines().next()).map(|line| format!("  {line}"));
    println!(
        "{:>5}  {:level$}{kind} {name}{}",
        lines.number(name.span),
        "",
        summary.collect::<String>(),
        level = 2 * level
    );
}

/// Prints the notes of the linter.
fn remarks(lines: &Lines, fields: &[Field]) {
    for field in fields.iter().filter(|field| field.id.is_none()) {
        println!(
            "{:>5}    note: `{}` has no id, so its id depends on the order of the fields",
            lines.number(field.span),
            field.name
        );
    }
}
