//! Tests with IDL files of public projects. They are not part of this repository: set `THRIFT_IDL_CORPUS`, or place them in
//! `../shared/idl-corpus` relative to the workspace. Without them the tests print that they are skipped, and pass.

mod support;

use std::path::{Path, PathBuf};

use support::check_format;

/// Files that Apache accepts and this parser rejects on purpose.
const REJECTED: &[(&str, &str)] = &[(
    "enum_dotted_value.thrift",
    "Apache checks the names of enum values for dots only where they have no number; nothing can refer to such a value",
)];

/// Errors that the grammar does not cover. The checker of the generator reports them.
const NOT_SYNTAX: &[&str] = &["leg_slist.thrift"];

/// The folder of the corpus, if there is one.
fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/idl-corpus");
    let path = std::env::var_os("THRIFT_IDL_CORPUS").map_or(beside, PathBuf::from);
    if !path.is_dir() {
        println!("skipped: no IDL corpus at {} (set THRIFT_IDL_CORPUS)", path.display());
        return None;
    }
    Some(path)
}

/// The text of a file. A file that is not UTF-8 is read as Latin-1.
fn read(path: &Path) -> String {
    String::from_utf8(std::fs::read(path).expect("a corpus file is readable"))
        .unwrap_or_else(|error| error.into_bytes().iter().map(|byte| char::from(*byte)).collect())
}

fn line_and_column(source: &str, offset: u32) -> (usize, usize) {
    let before = &source[..offset as usize];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("a corpus table is UTF-8");
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Every file that Apache accepts, except those that this parser rejects on purpose.
fn accepted_files(corpus: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (folder, columns) in [("real", [3, 5]), ("oddities", [1, 3])] {
        for row in table(&corpus.join(folder).join("VERDICTS.tsv")) {
            let is_accepted = columns.iter().any(|column| matches!(row[*column].as_str(), "yes" | "accepts"));
            let is_rejected = REJECTED.iter().any(|(file, _)| folder == "oddities" && *file == row[0]);
            if is_accepted && !is_rejected {
                files.push(corpus.join(folder).join(&row[0]));
            }
        }
    }
    files
}

#[test]
fn every_file_that_apache_accepts_parses() {
    let Some(corpus) = corpus() else { return };
    let files = accepted_files(&corpus);
    let mut failures = Vec::new();
    for file in &files {
        let source = read(file);
        if let Some(error) = thrift_parser::parse(&source).errors.first() {
            let (line, column) = line_and_column(&source, error.span.start);
            failures.push(format!("{}:{line}:{column}: {}", file.display(), error.message));
        }
    }
    assert!(failures.is_empty(), "{} of {} rejected:\n{}", failures.len(), files.len(), failures.join("\n"));
}

#[test]
fn formatting_keeps_the_meaning_of_every_file_that_apache_accepts() {
    let Some(corpus) = corpus() else { return };
    let files = accepted_files(&corpus);
    let mut failures = Vec::new();
    for file in &files {
        if let Err(what) = check_format(&read(file)) {
            failures.push(format!("{}: {what}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), files.len(), failures.join("\n"));
}

#[test]
fn every_lexical_and_syntactic_error_is_reported_at_its_place() {
    let Some(corpus) = corpus() else { return };
    let mut failures = Vec::new();
    for row in table(&corpus.join("invalid/EXPECTED.tsv")) {
        if !matches!(row[1].as_str(), "lex" | "syntax" | "legacy") || NOT_SYNTAX.contains(&row[0].as_str()) {
            continue;
        }
        let source = read(&corpus.join("invalid").join(&row[0]));
        let found = thrift_parser::parse(&source).errors.first().map(|error| {
            let (line, column) = line_and_column(&source, error.span.start);
            (line, column, error.message.clone())
        });
        let expected = (row[3].parse::<usize>().unwrap(), row[4].parse::<usize>().unwrap());
        if found.as_ref().map(|(line, column, _)| (*line, *column)) != Some(expected) {
            failures.push(format!("{} expected {expected:?}, found {found:?}", row[0]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
