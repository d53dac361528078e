//! Values of constants and defaults, as written in the IDL, with links to the constants, enum values and fields they name.

use thrift_parser::syntax::{Value, ValueKind};

use super::code::{Code, Link};
use super::site::Site;
use crate::ir::{Constant, ItemId, ItemKind};

/// A list or map whose text is longer than this has each entry on a separate line.
const WIDTH: usize = 72;

/// Appends a value that is written in `file` to `code`.
pub(super) fn write_value(site: &Site<'_>, file: usize, written: &Value, value: &Constant, code: &mut Code) {
    Writer { site, file, code }.value(written, value, 0);
}

struct Writer<'w, 'a> {
    site: &'w Site<'a>,
    file: usize,
    code: &'w mut Code,
}

impl<'a> Writer<'_, 'a> {
    fn value(&mut self, written: &Value, value: &Constant, depth: usize) {
        match &written.kind {
            ValueKind::Integer(_) | ValueKind::Double(_) | ValueKind::Literal(_) => {
                self.code.text(self.source(written));
            }
            ValueKind::Name(name) => match self.named(name, value) {
                Some(href) => self.code.link(Link { href, text: name.clone() }),
                None => self.code.text(name),
            },
            ValueKind::List(elements) => {
                let values: &[Constant] = if let Constant::List(values) = value { values } else { &[] };
                let broken = self.is_long(written);
                self.code.text("[");
                for (at, element) in elements.iter().enumerate() {
                    self.separate(at, broken, depth);
                    self.value(element, values.get(at).unwrap_or(&Constant::Unknown), depth + 1);
                }
                self.end(elements.is_empty(), broken, depth);
                self.code.text("]");
            }
            ValueKind::Map(entries) => {
                let broken = self.is_long(written);
                self.code.text("{");
                for (at, (key, entry)) in entries.iter().enumerate() {
                    self.separate(at, broken, depth);
                    let entry_value = self.key(at, key, value, depth);
                    self.code.text(": ");
                    self.value(entry, entry_value, depth + 1);
                }
                self.end(entries.is_empty(), broken, depth);
                self.code.text("}");
            }
        }
    }

    /// Writes the key of an entry of a map or a struct, and returns the value of the entry.
    fn key<'v>(&mut self, at: usize, key: &Value, value: &'v Constant, depth: usize) -> &'v Constant {
        let (key_value, entry) = match value {
            Constant::Map(values) => {
                values.get(at).map_or((&Constant::Unknown, &Constant::Unknown), |(key, entry)| (key, entry))
            }
            Constant::Struct(id, values) => return self.struct_key(*id, key, values),
            _ => (&Constant::Unknown, &Constant::Unknown),
        };
        self.value(key, key_value, depth + 1);
        entry
    }

    /// Writes the name of a field with a link to it, and returns the value of the field.
    fn struct_key<'v>(&mut self, id: ItemId, key: &Value, values: &'v [(usize, Constant)]) -> &'v Constant {
        let text = self.source(key);
        let found = match (&key.kind, &self.site.program.item(id).kind) {
            (ValueKind::Literal(name), ItemKind::Struct { fields, .. }) => {
                fields.iter().position(|field| field.name.text == *name).map(|at| (name, at))
            }
            _ => None,
        };
        let Some((name, at)) = found else {
            self.code.text(text);
            return &Constant::Unknown;
        };
        let href = self.site.href(Some(self.file), id, Some(name));
        self.code.link(Link { href, text: text.to_owned() });
        values.iter().find(|(index, _)| *index == at).map_or(&Constant::Unknown, |(_, value)| value)
    }

    /// The address of the definition that a name in a value refers to.
    fn named(&self, name: &str, value: &Constant) -> Option<String> {
        let site = self.site;
        match value {
            Constant::Ref(id) => Some(site.href(Some(self.file), *id, None)),
            Constant::Enum(id, number) => {
                let ItemKind::Enum(values) = &site.program.item(*id).kind else { return None };
                let last = name.rsplit('.').next().unwrap_or(name);
                let value = values
                    .iter()
                    .find(|value| value.name.text == last && value.number == *number)
                    .or(values.iter().find(|value| value.number == *number))?;
                Some(site.href(Some(self.file), *id, Some(&value.name.text)))
            }
            // A constant of another type: the program holds a converted copy of its value, without a reference to it.
            _ => self.constant(name).map(|id| site.href(Some(self.file), id, None)),
        }
    }

    /// The constant of this name, in this file or in an included one.
    fn constant(&self, name: &str) -> Option<ItemId> {
        let site = self.site;
        let find = |file: usize, name: &str| site.constants[file].get(name).copied();
        find(self.file, name).or_else(|| {
            let (stem, name) = name.rsplit_once('.')?;
            let includes = site.program.files[self.file].includes.iter().map(|id| id.index());
            includes.filter(|id| site.program.files[*id].stem == stem).find_map(|id| find(id, name))
        })
    }

    /// The text of a value in the IDL.
    fn source(&self, written: &Value) -> &'a str {
        &self.site.texts[self.file][written.span.range()]
    }

    fn is_long(&self, written: &Value) -> bool {
        let text = self.source(written);
        text.len() > WIDTH && text.split_whitespace().map(|word| word.len() + 1).sum::<usize>() > WIDTH
    }

    fn separate(&mut self, at: usize, broken: bool, depth: usize) {
        match (at, broken) {
            (0, false) => {}
            (_, false) => self.code.text(", "),
            (_, true) => {
                if at > 0 {
                    self.code.text(",");
                }
                self.line(depth + 1);
            }
        }
    }

    fn end(&mut self, empty: bool, broken: bool, depth: usize) {
        if broken && !empty {
            self.line(depth);
        }
    }

    fn line(&mut self, depth: usize) {
        self.code.text("\n");
        for _ in 0..depth {
            self.code.text("  ");
        }
    }
}
