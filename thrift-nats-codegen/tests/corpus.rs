//! The checker against IDL files of public projects, which lie beside the project: `THRIFT_IDL_CORPUS`, or
//! `../shared/idl-corpus` from the workspace. Without them these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::fs;
use std::path::{Path, PathBuf};

use thrift_nats_codegen::{Options, Severity};

/// Files that Apache's compiler accepts and this one rejects on purpose: the end of the path, a part of the error, and the
/// reason.
const REFUSED: &[(&str, &str, &str)] = &[
    ("oddities/enum_dotted_value.thrift", "expected a name", "nothing can refer to an enum value with a dot"),
    ("oddities/union_required.thrift", "a union cannot require", "no value could ever have two fields"),
    ("oddities/oneway_non_void.thrift", "cannot return anything", "the result would go nowhere"),
    (
        "Thrift.Compile.Tests/optional_required_default.thrift",
        "contains itself without a way out",
        "no value of it could ever be complete",
    ),
    (
        "fixtures/thrift/calculator.thrift",
        "unknown type `shared.SHARED_INT`",
        "a typedef of a constant, which is not a type",
    ),
];

/// Mistakes that are found a line or token beside the place that is noted for them.
const ELSEWHERE: &[&str] = &["inc_broken_file/main.thrift"];

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/idl-corpus");
    let path = std::env::var_os("THRIFT_IDL_CORPUS").map_or(beside, PathBuf::from);
    let found = path.canonicalize().ok().filter(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: no IDL corpus at {} (set THRIFT_IDL_CORPUS)", path.display());
    }
    found
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The errors of a file, each with its place.
fn errors(path: &Path) -> Vec<(String, String)> {
    let report = Options::new().check([path]).unwrap();
    let errors = report.iter().filter(|finding| finding.severity() == Severity::Error);
    errors
        .map(|finding| {
            let at = finding.location().expect("every error has a place");
            (format!("{}:{}:{}", at.path.display(), at.line, at.column), finding.message().to_owned())
        })
        .collect()
}

#[test]
fn every_file_that_apache_accepts_is_accepted() {
    let Some(corpus) = corpus() else { return };
    let (mut files, mut failures, mut refused) = (0, Vec::new(), 0);
    for (folder, columns) in [("real", [3, 5]), ("oddities", [1, 3])] {
        for row in table(&corpus.join(folder).join("VERDICTS.tsv")) {
            if !columns.iter().any(|column| matches!(row[*column].as_str(), "yes" | "accepts")) {
                continue;
            }
            files += 1;
            let path = corpus.join(folder).join(&row[0]);
            let known = REFUSED.iter().find(|(end, ..)| path.ends_with(end));
            let mut errors = errors(&path);
            // Some include what the corpus does not have.
            errors.retain(|(_, message)| !message.starts_with("cannot find `"));
            match (errors.as_slice(), known) {
                ([], None) => {}
                ([], Some((end, ..))) => failures.push(format!("{end} is not refused any more")),
                ([(_, message), ..], Some((end, said, _))) => {
                    refused += 1;
                    if !message.contains(said) {
                        failures.push(format!("{end}: {message}"));
                    }
                }
                ([(place, message), ..], None) => failures.push(format!("{place}: {message}")),
            }
        }
    }
    assert!(failures.is_empty(), "of {files} files:\n{}", failures.join("\n"));
    println!("{files} files, {refused} refused on purpose");
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let Some(corpus) = corpus() else { return };
    let invalid = corpus.join("invalid");
    let (mut files, mut failures) = (0, Vec::new());
    for row in table(&invalid.join("EXPECTED.tsv")).into_iter().filter(|row| row[1] != "policy") {
        files += 1;
        let expected = invalid.join(&row[2]).display().to_string();
        match errors(&invalid.join(&row[0])).first() {
            None => failures.push(format!("{}: not refused", row[0])),
            Some((place, _)) if *place == expected || ELSEWHERE.contains(&row[0].as_str()) => {}
            Some((place, message)) => {
                failures.push(format!("{}: {place}: {message}, not {expected}", row[0]))
            }
        }
    }
    assert!(failures.is_empty(), "{} of {files}:\n{}", failures.len(), failures.join("\n"));
    assert!(ELSEWHERE.len() * 20 < files, "at least 95% are at their place");
}

/// Mistakes that Apache accepts without a message are errors or warnings here, at their places.
#[test]
fn mistakes_that_apache_accepts_silently_are_reported() {
    let Some(corpus) = corpus() else { return };
    let invalid = corpus.join("invalid");
    for row in table(&invalid.join("EXPECTED.tsv")).into_iter().filter(|row| row[1] == "policy") {
        let report = Options::new().check([invalid.join(&row[0])]).unwrap();
        let places: Vec<String> = report
            .iter()
            .map(|finding| {
                let at = finding.location().unwrap();
                format!("{}:{}:{}", at.path.display(), at.line, at.column)
            })
            .collect();
        assert!(places.contains(&invalid.join(&row[2]).display().to_string()), "{}: {places:?}", row[0]);
    }
}

/// A text of the corpus, with names that no other text of it has.
fn with_other_names(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut before = ' ';
    let rename = |c: char| {
        let starts = !is_word(before) && c.is_ascii_uppercase();
        before = c;
        if starts { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(rename).collect()
}

/// Line and column of all errors in the text of a file.
fn errors_of(file: &Path, text: &str) -> Vec<(usize, usize)> {
    fs::write(file, text).unwrap();
    let report = Options::new().check([file]).unwrap();
    let errors = report.iter().filter(|finding| finding.severity() == Severity::Error);
    let places = errors.filter_map(|finding| finding.location()).filter(|at| at.path == file);
    places.map(|at| (at.line, at.column)).collect()
}

/// Texts of other languages: if no Thrift definition follows a mistake, there is one error.
const FOREIGN: &[&str] = &[
    "lex_bad_char_at.thrift",
    "hdr_package.thrift",
    "file_proto.thrift",
    "file_json.thrift",
    "file_garbage.thrift",
];

/// Types without a name. A name that is missing in the other file may be theirs.
const NAMELESS: &[&str] = &["syn_struct_no_name.thrift", "enum_no_name.thrift"];

/// Pairs in which the first file affects the second: the second is inside the struct that the first leaves open, or the
/// first may define the name that the second misses.
const TOGETHER: &[(&str, &str)] = &[
    ("syn_struct_unclosed.thrift", "lex_bad_char_at.thrift"),
    ("syn_struct_unclosed.thrift", "hdr_package.thrift"),
    ("syn_struct_unclosed.thrift", "leg_senum.thrift"),
    ("syn_struct_unclosed.thrift", "leg_cpp_namespace.thrift"),
    ("syn_struct_unclosed.thrift", "leg_java_package.thrift"),
    ("syn_struct_unclosed.thrift", "file_garbage.thrift"),
    ("syn_struct_unclosed.thrift", "file_proto.thrift"),
    ("dot_struct_name.thrift", "svc_extends_struct.thrift"),
    ("dot_typedef_name.thrift", "svc_extends_struct.thrift"),
];

/// No mistake hides another, and two make no third.
#[test]
fn the_mistakes_of_two_files_are_all_told_where_they_are_in_one() {
    let Some(corpus) = corpus() else { return };
    let invalid = corpus.join("invalid");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("main.thrift");
    let mut all = Vec::new();
    for row in table(&invalid.join("EXPECTED.tsv")) {
        let path = invalid.join(&row[0]);
        let Ok(mut text) = fs::read_to_string(&path) else { continue };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let places = errors_of(&file, &text);
        all.push((row[0].clone(), text, places));
    }
    let (mut pairs, mut failures) = (0, Vec::new());
    for (first, first_text, first_places) in &all {
        for (second, second_text, second_places) in &all {
            let lines = first_text.lines().count();
            let has_header = second_text
                .lines()
                .any(|line| ["include", "namespace"].iter().any(|word| line.starts_with(word)));
            if has_header {
                continue;
            }
            let text = format!("{first_text}{}", with_other_names(second_text));
            let behind = second_places.iter().map(|(line, column)| (line + lines, *column));
            let wanted: Vec<_> = first_places.iter().copied().chain(behind).collect();
            let found = errors_of(&file, &text);
            pairs += 1;
            // A comment that is not closed extends to the end of the file.
            let is_rest_lost = first == "lex_comment_eof.thrift"
                || FOREIGN.contains(&second.as_str()) && !first_places.is_empty();
            let is_nameless = [first, second].iter().any(|file| NAMELESS.contains(&file.as_str()));
            if found != wanted
                && !(is_rest_lost && found == *first_places)
                && !(is_nameless
                    && found.len() + 1 == wanted.len()
                    && found.iter().all(|at| wanted.contains(at)))
                && !TOGETHER.contains(&(first.as_str(), second.as_str()))
            {
                failures.push(format!("{first} + {second}: {found:?}, not {wanted:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {pairs}:\n{}", failures.len(), failures.join("\n"));
}

/// The places of the words, literals and signs of a text, without comments.
fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let comments = thrift_parser::parse(text).document.comments;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut tokens: Vec<std::ops::Range<usize>> = Vec::new();
    let mut comments = comments.iter().peekable();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let start = at;
        at += first.len_utf8();
        if let Some(comment) = comments.next_if(|comment| comment.span.start as usize == start) {
            at = comment.span.end as usize;
            continue;
        }
        if matches!(first, '"' | '\'') {
            at = text[at..].find(first).map_or(text.len(), |len| at + len + 1);
        } else if is_word(first) {
            at = text[start..].find(|c| !is_word(c)).map_or(text.len(), |len| start + len);
        }
        if !first.is_ascii_whitespace() {
            tokens.push(start..at);
        }
    }
    tokens
}

/// Files of the corpus without one of their tokens, and with another mistake at their end: that is always told, and of the
/// other there is hardly ever more than one error.
#[test]
fn a_token_that_is_missing_is_one_mistake() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut runs, mut several, mut failures) = (0, 0, Vec::new());
    for row in table(&corpus.join("real/VERDICTS.tsv")) {
        let Ok(text) = fs::read_to_string(corpus.join("real").join(&row[0])) else { continue };
        // Its includes cannot be found, and nothing is reported of names from them.
        let file = folder.path().join("main.thrift");
        let count = |text: &str| {
            let text = format!("{text}\nstruct Last {{ 1: i8 number = 300 }}\n");
            fs::write(&file, &text).unwrap();
            let report = Options::new().check([&file]).unwrap();
            let errors = report.iter().filter(|finding| finding.severity() == Severity::Error);
            let errors = errors.filter(|finding| !finding.message().starts_with("cannot find `"));
            let (last, others): (Vec<_>, Vec<_>) =
                errors.partition(|finding| finding.message().starts_with("`Last.number`"));
            (last.len(), others.len())
        };
        let tokens = tokens(&text);
        if count(&text) != (1, 0) || tokens.is_empty() {
            continue;
        }
        for step in 1..4 {
            let token = tokens[tokens.len() * step / 4].clone();
            let broken = format!("{}{}", &text[..token.start], &text[token.end..]);
            if thrift_parser::parse(&broken).errors.is_empty() {
                continue;
            }
            let (last, others) = count(&broken);
            runs += 1;
            several += usize::from(others > 1);
            if last != 1 || others == 0 {
                failures.push(format!("{} without {:?}: {last}, {others}", row[0], &text[token]));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {runs}:\n{}", failures.len(), failures.join("\n"));
    assert!(several * 50 < runs, "{several} of {runs}");
}
