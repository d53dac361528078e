//! The formatter: prints a document in one style and keeps every comment.
//!
//! The [`reader`] turns the parse tree and the comments into a [`layout`]; the [`printer`] decides where its lines break.

mod layout;
mod printer;
mod reader;

use crate::compact_source::CompactSource;
use crate::parse::parse;
use crate::parsed::Parsed;
use crate::syntax_error::SyntaxError;

/// Formats the text of a `.thrift` file.
///
/// The result has the same meaning as `source` and contains every comment. Formatting it again changes nothing.
///
/// - The indentation is two spaces a level. Lines end in `\n`, including the last one; a byte order mark is removed.
/// - Each field, function and enum value is on its own line and ends with a `,`, whatever separator it had. A `typedef`
///   or `const` ends without a separator.
/// - One empty line separates definitions; definitions of a single line may follow one another directly. Elsewhere,
///   several empty lines become one.
/// - Arguments, `throws` and annotations are on one line if they fit into 100 columns and contain no comment, otherwise
///   each is on its own line. The same holds for enums, lists and maps, unless the source has a line break after the
///   opening bracket.
/// - Literals, numbers, names and legacy forms are not changed.
/// - A comment stays before, after or within the code it is written at. The lines of a block comment move with its
///   first line.
///
/// Time and memory are linear in the length of `source`.
///
/// ```
/// let source = "struct Point{1:i32 x;2:i32 y} // in pixels";
/// let text = "struct Point {\n  1: i32 x,\n  2: i32 y,\n} // in pixels\n";
/// assert_eq!(thrift_parser::format(source).as_deref(), Ok(text));
/// ```
///
/// # Errors
///
/// The errors of [`parse`], if there are any. A document with errors is not formatted.
pub fn format(source: &str) -> Result<String, Vec<SyntaxError>> {
    let Parsed { errors, .. } = parse(source);
    if !errors.is_empty() {
        return Err(errors);
    }
    let compact = CompactSource::new(source).map_err(|error| vec![error])?;
    Ok(printer::print(&reader::read(source, &compact)))
}
