//! Attributes from options: those of the user, and those for serde.

use proc_macro2::TokenStream;
use quote::quote;

use super::Emitter;
use super::record::Member;
use crate::attributes::{Rule, type_path};
use crate::ir::ItemId;

impl Emitter<'_> {
    /// The user's attributes for a type.
    pub(super) fn type_attributes(&self, id: ItemId) -> TokenStream {
        attributes(&self.options.attributes.types, &type_path(self.program, id).unwrap_or_default())
    }

    /// The user's attributes for the field of a type.
    pub(super) fn field_attributes(&self, id: ItemId, field: &str) -> TokenStream {
        let mut path = type_path(self.program, id).unwrap_or_default();
        path.push(field);
        attributes(&self.options.attributes.fields, &path)
    }

    pub(super) fn serde_derives(&self) -> Vec<TokenStream> {
        let rt = &self.rt;
        if !self.options.serde {
            return Vec::new();
        }
        vec![quote! { #rt::__private::serde::Serialize }, quote! { #rt::__private::serde::Deserialize }]
    }

    /// The path of serde. The user's crate need not depend on it.
    fn serde_crate(&self) -> String {
        format!("{}::__private::serde", self.options.runtime)
    }

    pub(super) fn serde_struct(&self) -> Option<TokenStream> {
        let path = self.serde_crate();
        self.options.serde.then(|| quote! { #[serde(crate = #path, default)] })
    }

    /// For enums, which are written as their number, and unions, which are written as their field.
    pub(super) fn serde_enum(&self) -> Option<TokenStream> {
        let path = self.serde_crate();
        self.options.serde.then(|| quote! { #[serde(crate = #path)] })
    }

    pub(super) fn serde_field(&self, member: &Member<'_>) -> Option<TokenStream> {
        let written = &member.field.name.text;
        let renamed = self.serde_name(&member.name.to_string(), written);
        // If there is a default, a missing field means the default. `None` must be written.
        let skipped = (self.options.serde && member.shape.optional && member.field.default.is_none())
            .then(|| quote! { #[serde(skip_serializing_if = "::core::option::Option::is_none")] });
        Some(quote! { #renamed #skipped })
    }

    /// The IDL's name, if Rust's differs.
    pub(super) fn serde_name(&self, name: &str, written: &str) -> Option<TokenStream> {
        let differs = name.trim_start_matches("r#") != written;
        (self.options.serde && differs).then(|| quote! { #[serde(rename = #written)] })
    }
}

fn attributes(rules: &[Rule], path: &[&str]) -> TokenStream {
    let matching = rules.iter().filter(|rule| rule.matches(path));
    matching
        .map(|rule| rule.attribute.parse::<TokenStream>().expect("attributes have been parsed before"))
        .collect()
}
