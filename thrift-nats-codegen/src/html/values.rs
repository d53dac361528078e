//! Values of constants and defaults, as they are written, with links to what they name.

use thrift_parser::syntax::{Value, ValueKind};

use super::Site;
use super::markup::escape;
use crate::ir::{Constant, ItemId, ItemKind};

/// How long a list or map may be before each of its entries has a line of its own.
const WIDTH: usize = 72;

impl Site<'_> {
    /// A value that is written in `file`.
    pub(super) fn value(&self, file: usize, written: &Value, value: &Constant) -> String {
        let mut out = String::new();
        self.write_value(file, written, value, 0, &mut out);
        out
    }

    fn text(&self, file: usize, written: &Value) -> &str {
        &self.texts[file][written.span.range()]
    }

    fn write_value(&self, file: usize, written: &Value, value: &Constant, depth: usize, out: &mut String) {
        match &written.kind {
            ValueKind::Integer(_) | ValueKind::Double(_) | ValueKind::Literal(_) => {
                escape(self.text(file, written), out);
            }
            ValueKind::Name(name) => match self.named(file, name, value) {
                Some(href) => {
                    out.push_str(&format!("<a href=\"{href}\">"));
                    escape(name, out);
                    out.push_str("</a>");
                }
                None => escape(name, out),
            },
            ValueKind::List(elements) => {
                let values: &[Constant] = if let Constant::List(values) = value { values } else { &[] };
                let broken = self.is_long(file, written);
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    separate(at, broken, depth, out);
                    let value = values.get(at).unwrap_or(&Constant::Unknown);
                    self.write_value(file, element, value, depth + 1, out);
                }
                end(elements.is_empty(), broken, depth, out);
                out.push(']');
            }
            ValueKind::Map(entries) => {
                let broken = self.is_long(file, written);
                out.push('{');
                for (at, (key, entry)) in entries.iter().enumerate() {
                    separate(at, broken, depth, out);
                    match value {
                        Constant::Map(values) => {
                            let (key_value, value) = values
                                .get(at)
                                .map_or((&Constant::Unknown, &Constant::Unknown), |(key, value)| {
                                    (key, value)
                                });
                            self.write_value(file, key, key_value, depth + 1, out);
                            out.push_str(": ");
                            self.write_value(file, entry, value, depth + 1, out);
                        }
                        Constant::Struct(id, values) => {
                            let value = self.struct_key(file, *id, key, values, out);
                            out.push_str(": ");
                            self.write_value(file, entry, value, depth + 1, out);
                        }
                        _ => {
                            self.write_value(file, key, &Constant::Unknown, depth + 1, out);
                            out.push_str(": ");
                            self.write_value(file, entry, &Constant::Unknown, depth + 1, out);
                        }
                    }
                }
                end(entries.is_empty(), broken, depth, out);
                out.push('}');
            }
        }
    }

    /// The name of a field, with a link to it, and the value that the field has.
    fn struct_key<'v>(
        &self,
        file: usize,
        id: ItemId,
        key: &Value,
        values: &'v [(usize, Constant)],
        out: &mut String,
    ) -> &'v Constant {
        let found = match (&key.kind, &self.program.item(id).kind) {
            (ValueKind::Literal(name), ItemKind::Struct { fields, .. }) => {
                fields.iter().position(|field| field.name.text == *name).map(|at| (name, at))
            }
            _ => None,
        };
        let Some((name, at)) = found else {
            escape(self.text(file, key), out);
            return &Constant::Unknown;
        };
        out.push_str(&format!("<a href=\"{}\">", self.href(file, id, Some(name))));
        escape(self.text(file, key), out);
        out.push_str("</a>");
        values.iter().find(|(index, _)| *index == at).map_or(&Constant::Unknown, |(_, value)| value)
    }

    /// Where a name in a value leads to.
    fn named(&self, file: usize, name: &str, value: &Constant) -> Option<String> {
        match value {
            Constant::Ref(id) => Some(self.href(file, *id, None)),
            Constant::Enum(id, number) => {
                let ItemKind::Enum(values) = &self.program.item(*id).kind else { return None };
                let last = name.rsplit('.').next().unwrap_or(name);
                let value = values
                    .iter()
                    .find(|value| value.name.text == last && value.number == *number)
                    .or(values.iter().find(|value| value.number == *number))?;
                Some(self.href(file, *id, Some(&value.name.text)))
            }
            // A constant of another type: its value has been made anew.
            _ => self.constant(file, name).map(|id| self.href(file, id, None)),
        }
    }

    fn constant(&self, file: usize, name: &str) -> Option<ItemId> {
        let own = |file: usize, name: &str| self.constants[file].get(name).copied();
        own(file, name).or_else(|| {
            let (stem, name) = name.rsplit_once('.')?;
            let includes = self.program.files[file].includes.iter().map(|id| id.index());
            includes.filter(|id| self.program.files[*id].stem == stem).find_map(|id| own(id, name))
        })
    }

    fn is_long(&self, file: usize, written: &Value) -> bool {
        let text = self.text(file, written);
        text.len() > WIDTH && text.split_whitespace().map(|word| word.len() + 1).sum::<usize>() > WIDTH
    }
}

fn separate(at: usize, broken: bool, depth: usize, out: &mut String) {
    match (at, broken) {
        (0, false) => {}
        (_, false) => out.push_str(", "),
        (_, true) => {
            if at > 0 {
                out.push(',');
            }
            line(depth + 1, out);
        }
    }
}

fn end(empty: bool, broken: bool, depth: usize, out: &mut String) {
    if broken && !empty {
        line(depth, out);
    }
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}
