//! The formatter: one style for every document, and no comment lost. From what the grammar matched to [layout](layout), and
//! from there to text.

mod layout;
mod printer;
mod reader;

use crate::compact_source::CompactSource;
use crate::parse::{Parsed, check_length, parse};
use crate::syntax_error::SyntaxError;

/// Prints a document in one style. It means the same afterwards, and every comment is in its place.
///
/// - Two blanks for each level; lines end in `\n`, the last one too; a byte order mark goes.
/// - A field, function or enum value has a line of its own and ends with a `,`, whatever it ended with. A `typedef` or
///   `const` ends with nothing.
/// - One empty line between definitions; those of a single line may stand together. Other empty lines stay, one at a time.
/// - Arguments, `throws` and annotations are on one line if they fit into 100 columns and hold no comment, else one on each
///   line. So are enums, lists and maps, if they do not break behind their opening bracket.
/// - Literals, numbers, names and legacy forms stay as they are written.
/// - A comment stays before, behind or within what it stands at; the lines of a block move with its first.
///
/// What it prints it prints the same again. Takes time in proportion to the length of the text.
///
/// ```
/// let source = "struct Point{1:i32 x;2:i32 y} // in pixels";
/// let text = "struct Point {\n  1: i32 x,\n  2: i32 y,\n} // in pixels\n";
/// assert_eq!(thrift_parser::format(source).as_deref(), Ok(text));
/// ```
///
/// # Errors
///
/// What [`parse`] finds wrong: only a document without mistakes is printed.
pub fn format(source: &str) -> Result<String, Vec<SyntaxError>> {
    check_length(source).map_err(|error| vec![error])?;
    let Parsed { errors, .. } = parse(source);
    if !errors.is_empty() {
        return Err(errors);
    }
    let compact = CompactSource::of(source);
    Ok(printer::print(&reader::read(source, &compact)))
}
