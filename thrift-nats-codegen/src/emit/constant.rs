//! Values: constants and defaults.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use thrift_parser::syntax::{BaseType, StructKind};

use super::Emitter;
use super::types::Position;
use crate::ir::{Constant, Item, ItemId, ItemKind, Ty, TyKind};
use crate::naming::ident;
use crate::shape::{custom, is_shared};

/// The form of a constant in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `const X: T`.
    Const,
    /// `const X: &str`.
    Str,
    /// `const X: &[u8]`.
    Bytes,
    /// `static X: LazyLock<T>`.
    Lazy,
}

impl Emitter<'_> {
    fn form(&self, ty: &Ty) -> Form {
        if custom(self.program.behind(ty)).is_some() {
            return Form::Lazy;
        }
        match &self.program.behind(ty).kind {
            TyKind::Base(BaseType::String) => Form::Str,
            TyKind::Base(BaseType::Binary) => Form::Bytes,
            TyKind::Base(_) | TyKind::Uuid => Form::Const,
            TyKind::Item(id) if matches!(self.program.item(*id).kind, ItemKind::Enum(_)) => Form::Const,
            TyKind::Item(_) | TyKind::List(_) | TyKind::Set(_) | TyKind::Map(..) | TyKind::Unknown => {
                Form::Lazy
            }
        }
    }

    pub(super) fn constant_item(&self, id: ItemId, item: &Item, ty: &Ty, value: &Constant) -> TokenStream {
        let doc = self.doc(item.doc.as_ref());
        let name = ident(&self.names.item(id).name);
        let typed = self.ty(ty, id, Position::Plain);
        let form = self.form(ty);
        // The same constant of the same form, under another name.
        let plain = match value {
            Constant::Ref(to) if form != Form::Lazy => Some(self.path(*to, &self.names.item(*to).name, id)),
            Constant::String(text) if form == Form::Str => Some(quote! { #text }),
            Constant::Binary(bytes) if form == Form::Bytes => {
                let bytes = Literal::byte_string(bytes);
                Some(quote! { #bytes })
            }
            _ => None,
        };
        let is_default = matches!(value, Constant::Struct(_, given) if given.is_empty());
        let value = plain.unwrap_or_else(|| self.value(value, ty, id, Position::Plain));
        let made = if is_default {
            quote! { <#typed as ::core::default::Default>::default }
        } else {
            quote! { || #value }
        };
        match form {
            Form::Const => quote! { #doc pub const #name: #typed = #value; },
            Form::Str => quote! { #doc pub const #name: &str = #value; },
            Form::Bytes => quote! { #doc pub const #name: &[u8] = #value; },
            Form::Lazy => quote! {
                #doc
                pub static #name: ::std::sync::LazyLock<#typed> = ::std::sync::LazyLock::new(#made);
            },
        }
    }

    /// The value as one of type `ty`, owned.
    pub(super) fn value(&self, value: &Constant, ty: &Ty, at: ItemId, position: Position) -> TokenStream {
        let rt = &self.rt;
        let behind = self.program.behind(ty);
        if custom(behind).is_some() && !matches!(value, Constant::Ref(_)) {
            let plain = Ty { annotations: Vec::new(), ..behind.clone() };
            let value = self.value(value, &plain, at, position);
            return quote! { ::core::convert::From::from(#value) };
        }
        let shared = is_shared(self.options, behind);
        match value {
            Constant::Bool(value) => quote! { #value },
            Constant::Int(number) => integer(*number),
            Constant::Double(number) => {
                let number = double(*number);
                match position {
                    Position::Plain => number,
                    Position::Key => quote! { #rt::OrderedFloat(#number) },
                }
            }
            Constant::String(text) if shared => quote! { #rt::FastStr::from_static_str(#text) },
            Constant::String(text) if text.is_empty() => quote! { ::std::string::String::new() },
            Constant::String(text) => quote! { ::std::string::String::from(#text) },
            Constant::Binary(bytes) => {
                let bytes = Literal::byte_string(bytes);
                quote! { #rt::Bytes::from_static(#bytes) }
            }
            Constant::Uuid(uuid) => {
                let number = grouped_hex(uuid.as_u128());
                quote! { #rt::Uuid::from_u128(#number) }
            }
            Constant::Enum(id, number) => self.enum_value(*id, *number, at),
            Constant::List(elements) => match &behind.kind {
                TyKind::Set(element) => {
                    let elements = elements.iter().map(|value| self.value(value, element, at, Position::Key));
                    container(&self.set_name(behind, position), elements)
                }
                TyKind::List(element) if !elements.is_empty() => {
                    let elements = elements.iter().map(|value| self.value(value, element, at, position));
                    quote! { ::std::vec![#(#elements),*] }
                }
                _ => quote! { ::std::vec::Vec::new() },
            },
            Constant::Map(entries) => {
                let TyKind::Map(key, element) = &behind.kind else {
                    unreachable!("values were made to fit their types")
                };
                let entries = entries.iter().map(|(name, value)| {
                    let name = self.value(name, key, at, Position::Key);
                    let value = self.value(value, element, at, position);
                    quote! { (#name, #value) }
                });
                container(&self.map_name(behind, position), entries)
            }
            Constant::Struct(id, given) => self.struct_value(*id, given, at),
            Constant::Ref(id) => {
                let path = self.path(*id, &self.names.item(*id).name, at);
                match self.form(ty) {
                    Form::Const => path,
                    Form::Str if shared => quote! { #rt::FastStr::from_static_str(#path) },
                    Form::Str => quote! { ::std::string::String::from(#path) },
                    Form::Bytes => quote! { #rt::Bytes::from_static(#path) },
                    Form::Lazy => quote! { ::core::clone::Clone::clone(&*#path) },
                }
            }
            Constant::Unknown => unreachable!("a program with an unknown value is not generated"),
        }
    }

    fn enum_value(&self, id: ItemId, number: i32, at: ItemId) -> TokenStream {
        let ItemKind::Enum(values) = &self.program.item(id).kind else {
            unreachable!("only enums have values")
        };
        let path = self.path(id, &self.names.item(id).name, at);
        match values.iter().position(|value| value.number == number) {
            Some(index) => {
                let name = ident(&self.names.item(id).members[index]);
                quote! { #path::#name }
            }
            None => {
                let number = integer(number.into());
                quote! { #path(#number) }
            }
        }
    }

    fn struct_value(&self, id: ItemId, given: &[(usize, Constant)], at: ItemId) -> TokenStream {
        let ItemKind::Struct { kind, fields } = &self.program.item(id).kind else {
            unreachable!("only structs have fields")
        };
        let path = self.path(id, &self.names.item(id).name, at);
        let position = self.position_in(id);
        let members = &self.names.item(id).members;
        let made = given.iter().map(|(index, value)| {
            let shape = self.shapes.field(id, *index);
            let mut made = self.value(value, &fields[*index].ty, at, position);
            if shape.boxed {
                made = quote! { ::std::boxed::Box::new(#made) };
            }
            if shape.optional && *kind != StructKind::Union {
                made = quote! { Some(#made) };
            }
            (ident(&members[*index]), made)
        });
        if *kind == StructKind::Union {
            let made = made.map(|(name, value)| quote! { #path::#name(#value) });
            return quote! { #(#made)* };
        }
        let made = made.map(|(name, value)| quote! { #name: #value });
        let whole = given.len() == fields.len() && !self.options.keep_unknown_fields;
        let rest = (!whole).then(|| quote! { ..::core::default::Default::default() });
        if given.is_empty() && !whole {
            return quote! { <#path as ::core::default::Default>::default() };
        }
        quote! { #path { #(#made,)* #rest } }
    }
}

fn container(name: &TokenStream, elements: impl ExactSizeIterator<Item = TokenStream>) -> TokenStream {
    if elements.len() == 0 {
        return quote! { #name::new() };
    }
    quote! { #name::from([#(#elements),*]) }
}

/// An integer, with its digits in groups of three.
pub(super) fn integer(number: i64) -> TokenStream {
    let digits = number.unsigned_abs().to_string();
    let literal = literal(&grouped(&digits, 3));
    if number < 0 {
        quote! { -#literal }
    } else {
        quote! { #literal }
    }
}

/// A double, without loss.
fn double(number: f64) -> TokenStream {
    if number.is_infinite() {
        return if number > 0.0 {
            quote! { f64::INFINITY }
        } else {
            quote! { f64::NEG_INFINITY }
        };
    }
    // The shortest text that reads back as the same number.
    let text = format!("{:?}", number.abs());
    let (mantissa, exponent) = text.split_once('e').map_or((text.as_str(), None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let mut grouped_text = grouped(whole, 3);
    if let Some(fraction) = fraction {
        grouped_text.push('.');
        grouped_text.push_str(&grouped_from_left(fraction, 3));
    }
    if let Some(exponent) = exponent {
        if fraction.is_none() {
            grouped_text.push_str(".0");
        }
        grouped_text.push('e');
        grouped_text.push_str(exponent);
    }
    let literal = literal(&grouped_text);
    if number.is_sign_negative() {
        quote! { -#literal }
    } else {
        quote! { #literal }
    }
}

fn grouped_hex(number: u128) -> TokenStream {
    let literal = literal(&format!("0x{}", grouped(&format!("{number:032x}"), 4)));
    quote! { #literal }
}

fn literal(text: &str) -> Literal {
    text.parse().expect("digits and underscores are a literal")
}

/// Digits in groups, from the right. Up to five digits stay together.
fn grouped(digits: &str, size: usize) -> String {
    if digits.len() <= 5 {
        return digits.to_owned();
    }
    let first = digits.len() % size;
    let (head, tail) = digits.split_at(first);
    let head = (!head.is_empty()).then(|| head.to_owned());
    let tail = tail.as_bytes().chunks(size).map(|group| String::from_utf8_lossy(group).into_owned());
    head.into_iter().chain(tail).collect::<Vec<_>>().join("_")
}

fn grouped_from_left(digits: &str, size: usize) -> String {
    if digits.len() <= 5 {
        return digits.to_owned();
    }
    let groups = digits.as_bytes().chunks(size).map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(number: f64) -> f64 {
        let text = double(number).to_string().replace([' ', '_'], "");
        text.parse().unwrap()
    }

    #[test]
    fn doubles_are_written_to_the_last_bit() {
        for number in
            [0.0, -0.0, 0.1, 1e23, 5e-324, f64::MAX, 1.0 / 3.0, 123_456_789.123_456_79, 1e16, -2.5e-7]
        {
            assert_eq!(read_back(number).to_bits(), number.to_bits(), "{}", double(number));
        }
    }

    #[test]
    fn integers_have_their_digits_in_groups() {
        assert_eq!(integer(1_000_000).to_string(), "1_000_000");
        assert_eq!(integer(9853).to_string(), "9853");
        assert_eq!(integer(i64::MIN).to_string().replace(' ', ""), "-9_223_372_036_854_775_808");
    }
}
