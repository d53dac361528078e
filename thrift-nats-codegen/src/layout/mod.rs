//! Prints Rust tokens as text, formatted like rustfmt does.
//!
//! It knows only the Rust that this crate emits: items, statements, calls, paths and types, and of the operators only `=`,
//! `+`, `!=` and prefixes. It prints the given tokens, and trailing commas; the tests compare its output with its input,
//! token by token.
//!
//! The crate has its own printer because of speed. prettyplease prints all of Rust, and needs a syntax tree of `syn` for
//! it. For 15,700 lines it took 95 ms, and this printer takes 18 ms. Build scripts and the attribute macro run whenever an
//! IDL file changes. `cargo xtask bench idl` measures the generator as a whole.
//!
//! `flat` turns tokens into one text, `tree` finds the brackets in it, `entry` splits lists, and `print` writes lines.

mod entry;
mod flat;
mod print;
mod tree;

use proc_macro2::TokenStream;

use self::entry::{is_tall, split};
use self::flat::Flat;
use self::print::Printer;
use self::tree::List;

/// The text of items.
pub(crate) struct Piece {
    text: String,
    /// Whether the first item and the last have blank lines around them. `None` without items.
    ends: Option<(bool, bool)>,
}

impl Piece {
    /// Lays out items that are nested in `depth` modules.
    pub(crate) fn new(tokens: TokenStream, depth: usize) -> Self {
        let flat = Flat::new(tokens);
        let trees = tree::trees(&flat);
        let mut printer = Printer { text: String::with_capacity(2 * flat.text.len()), start: 0 };
        let mut last = None;
        printer.entries(&trees, 4 * depth, List::Items, &mut last);
        let first = split(&trees, List::Items).first().is_some_and(|entry| is_tall(entry));
        Self { text: printer.text, ends: last.map(|last| (first, last)) }
    }
}

/// A file that is laid out piece by piece, so that the tokens of a piece can be dropped before the next is made.
pub(crate) struct File {
    printer: Printer,
    /// For the file and each open module: whether the last item has blank lines around it. `None` before the first item.
    open: Vec<Option<bool>>,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { printer: Printer { text: String::new(), start: 0 }, open: vec![None] }
    }

    fn indent(&self) -> usize {
        4 * self.depth()
    }

    /// Items in the module that is open.
    pub(crate) fn items(&mut self, piece: &Piece) {
        let Some((first, last)) = piece.ends else { return };
        let before = self.open.last_mut().expect("the file itself is never closed").replace(last);
        let text = &mut self.printer.text;
        if !text.is_empty() {
            text.push('\n');
        }
        if before.is_some_and(|before| before || first) {
            text.push('\n');
        }
        text.push_str(&piece.text);
    }

    /// Number of open modules.
    pub(crate) fn depth(&self) -> usize {
        self.open.len() - 1
    }

    /// Opens a module: `header` is the code before its brace.
    pub(crate) fn open(&mut self, header: TokenStream) {
        let indent = self.indent();
        let last = self.open.last_mut().expect("the file itself is never closed");
        if last.replace(true).is_some() {
            self.printer.text.push('\n');
        }
        let flat = Flat::new(header);
        self.printer.entry(&tree::trees(&flat), indent);
        self.printer.text.push_str(" {");
        self.open.push(None);
    }

    /// Closes the module that is open.
    pub(crate) fn close(&mut self) {
        self.open.pop();
        let indent = self.indent();
        self.printer.line(indent);
        self.printer.text.push('}');
    }

    pub(crate) fn text(self) -> String {
        self.printer.text
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proc_macro2::TokenTree;
    use quote::quote;

    use super::*;
    use crate::options::{Containers, Options};

    fn layout(tokens: TokenStream) -> String {
        let mut file = File::new();
        file.items(&Piece::new(tokens, 0));
        file.text()
    }

    #[test]
    fn code_that_fits_stays_on_a_line_except_bodies() {
        let text = layout(quote! {
            #[doc = " A point."]
            #[derive(Clone, Debug)]
            pub struct Point { pub x: i32, pub y: ::std::vec::Vec<(i32, &'static str)> }
            impl<T: Some> ::a::B for Point {
                const X: &'static [Self] = &[Self { x: -1 }];
                fn get(&mut self, other: &Point) -> Result<(), Error> {
                    let mut value = vec![1, (2, 3).0];
                    if !value.is_empty() { return Err(Error::new("a", *other)); }
                    match self.x { 1 => value.one()?, 2 => { value.two() } 3 => {} Self::X(_) => Self { ..other } }
                }
            }
            ::a::b!(Point, "x");
        });
        let wanted = "\
/// A point.
#[derive(Clone, Debug)]
pub struct Point {
    pub x: i32,
    pub y: ::std::vec::Vec<(i32, &'static str)>,
}

impl<T: Some> ::a::B for Point {
    const X: &'static [Self] = &[Self { x: -1 }];

    fn get(&mut self, other: &Point) -> Result<(), Error> {
        let mut value = vec![1, (2, 3).0];
        if !value.is_empty() {
            return Err(Error::new(\"a\", *other));
        }
        match self.x {
            1 => value.one()?,
            2 => {
                value.two()
            }
            3 => {}
            Self::X(_) => Self { ..other },
        }
    }
}

::a::b!(Point, \"x\");";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_line_that_does_not_fit_is_broken_at_its_last_bracket() {
        let text = layout(quote! {
            fn long(&self, first: ::some::rather::long::path::to::AType, second: ::another::rather::long::path) -> Out {
                self.client.call("a rather long literal", |field| match field.id { 1 => field.read(), _ => field.skip() })
            }
        });
        let wanted = "\
fn long(
    &self,
    first: ::some::rather::long::path::to::AType,
    second: ::another::rather::long::path,
) -> Out {
    self.client.call(
        \"a rather long literal\",
        |field| match field.id {
            1 => field.read(),
            _ => field.skip(),
        },
    )
}";
        assert_eq!(text, wanted);
    }

    /// The tokens, without the commas that are left out or put in.
    fn tokens(stream: TokenStream, found: &mut Vec<String>) {
        for token in stream {
            match token {
                TokenTree::Group(group) => {
                    found.push(format!("{:?}", group.delimiter()));
                    tokens(group.stream(), found);
                    found.push("end".to_owned());
                }
                TokenTree::Punct(punct) if punct.as_char() == ',' => {}
                other => found.push(other.to_string()),
            }
        }
    }

    #[track_caller]
    fn assert_is_its_tokens(options: &Options, path: &Path) {
        crate::generate::emit(options, &[path.to_owned()], |emitter| {
            let text = emitter.program();
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let trailing = text.lines().find(|line| line.ends_with(' ') && !line.contains("///"));
            assert_eq!(trailing, None, "{}", path.display());
            for id in emitter.program.ids() {
                let code = emitter.item(id);
                let (mut before, mut after) = (Vec::new(), Vec::new());
                tokens(code.clone(), &mut before);
                tokens(layout(code).parse().unwrap(), &mut after);
                let differs = before.iter().zip(&after).position(|(one, other)| one != other);
                let around = |tokens: &[String], at: usize| tokens[at.saturating_sub(8)..=at].join(" ");
                let shown = differs.map(|at| (around(&before, at), around(&after, at)));
                assert!(differs.is_none() && before.len() == after.len(), "{}: {shown:?}", path.display());
            }
        });
    }

    #[test]
    fn the_text_is_the_tokens_that_came() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../idl");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert_is_its_tokens(&Options::new(), &path);
            assert_is_its_tokens(
                &Options::new().containers(Containers::Hash).serde(true).client(false),
                &path,
            );
        }
    }

    #[test]
    fn the_text_of_the_corpus_is_the_tokens_that_came() {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/idl-corpus");
        let corpus = std::env::var_os("THRIFT_IDL_CORPUS").map_or(beside, PathBuf::from);
        if !corpus.is_dir() {
            println!("skipped: no IDL corpus at {} (set THRIFT_IDL_CORPUS)", corpus.display());
            return;
        }
        let (mut folders, mut files) = (vec![corpus], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "thrift") {
                    assert_is_its_tokens(&Options::new(), &path);
                    files += 1;
                }
            }
        }
        assert!(files > 500);
    }
}
