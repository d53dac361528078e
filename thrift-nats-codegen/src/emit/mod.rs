//! Emits Rust for a program, with `quote!` only. Names and shapes are decided before.

mod attributes;
mod client;
mod constant;
mod docs;
mod enums;
mod exception;
mod function;
mod record;
mod server;
mod types;
mod union;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use proc_macro2::TokenStream;
use quote::quote;
use thrift_parser::syntax::StructKind;

use crate::externs::Externs;
use crate::ir::{Annotation, ItemId, ItemKind, Program};
use crate::layout::{File, Piece};
use crate::naming::{Names, ident};
use crate::options::Options;
use crate::shape::Shapes;

/// The program, and all decisions about it.
pub(crate) struct Emitter<'a> {
    pub(crate) program: &'a Program,
    pub(crate) names: &'a Names,
    pub(crate) shapes: &'a Shapes,
    pub(crate) externs: &'a Externs,
    pub(crate) options: &'a Options,
    /// The path to the runtime.
    rt: TokenStream,
}

/// The amount of work that takes longer than starting a thread.
const WORTH_A_THREAD: usize = 100;

/// A part of an item that is emitted at a time.
#[derive(Clone, Copy)]
enum Part {
    /// The whole of an item that is not a service.
    Whole,
    Server,
    Client,
    /// The arguments and errors of the functions.
    Messages,
}

/// A module, with the modules in it.
#[derive(Default)]
struct Module {
    items: Vec<ItemId>,
    /// The stems of the files with these items.
    files: Vec<String>,
    modules: BTreeMap<String, Self>,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(
        program: &'a Program,
        names: &'a Names,
        shapes: &'a Shapes,
        externs: &'a Externs,
        options: &'a Options,
    ) -> Self {
        let rt = options.runtime.parse().expect("the path has been parsed before");
        Self { program, names, shapes, externs, options, rt }
    }
}

impl Emitter<'_> {
    /// The modules of the program, as text.
    pub(crate) fn program(&self) -> String {
        let mut file = File::new();
        for (name, module) in &self.modules() {
            self.module(name, module, true, &mut file);
        }
        file.text()
    }

    /// The modules of the program without their items. The program may have errors.
    pub(crate) fn empty_modules(&self) -> String {
        fn empty(modules: &BTreeMap<String, Module>) -> TokenStream {
            let modules = modules.iter().map(|(name, module)| {
                let (name, inner) = (ident(name), empty(&module.modules));
                quote! { pub mod #name { #inner } }
            });
            modules.collect()
        }
        empty(&self.modules()).to_string()
    }

    /// The modules that are generated here, by name.
    fn modules(&self) -> BTreeMap<String, Module> {
        let mut root = Module::default();
        for (index, file) in self.program.files.iter().enumerate() {
            if !self.externs.is_here(index) {
                continue;
            }
            let mut module = &mut root;
            for name in self.names.module_of_file(index) {
                module = module.modules.entry(name.clone()).or_default();
            }
            module.items.extend(&file.items);
            module.files.push(file.stem.clone());
        }
        root.modules
    }

    fn module(&self, name: &str, module: &Module, outermost: bool, file: &mut File) {
        let doc = (!module.files.is_empty()).then(|| {
            let files: Vec<String> = module.files.iter().map(|file| format!("`{file}.thrift`")).collect();
            docs::attributes(&format!("Generated from {}.", crate::diagnostics::enumerate(&files)))
        });
        // Each of these is needed for the corpus of public IDL files, or for the lints of this workspace.
        let lints = outermost.then(|| {
            quote! {
                #[allow(missing_docs, reason = "the IDL has no comment there")]
                #[allow(
                    clippy::doc_lazy_continuation,
                    clippy::doc_markdown,
                    clippy::doc_overindented_list_items,
                    reason = "the comments are the IDL's"
                )]
                #[allow(
                    clippy::disallowed_names,
                    clippy::enum_variant_names,
                    clippy::pub_underscore_fields,
                    clippy::similar_names,
                    clippy::struct_field_names,
                    clippy::upper_case_acronyms,
                    clippy::used_underscore_binding,
                    clippy::used_underscore_items,
                    reason = "the names are the IDL's"
                )]
                #[allow(
                    clippy::large_enum_variant,
                    clippy::struct_excessive_bools,
                    clippy::too_many_arguments,
                    clippy::too_many_lines,
                    clippy::type_complexity,
                    clippy::zero_sized_map_values,
                    reason = "the types and their sizes are the IDL's"
                )]
                #[allow(clippy::approx_constant, reason = "the values are the IDL's")]
                #[allow(dead_code, unreachable_pub, reason = "a crate need not use or export all of the IDL")]
                #[allow(deprecated, reason = "generated code uses items that the IDL deprecates")]
                #[allow(clippy::allow_attributes, reason = "not every IDL causes all of these lints")]
                #[rustfmt::skip]
            }
        });
        let name_ident = ident(name);
        file.open(quote! { #doc #lints pub mod #name_ident });
        for piece in self.pieces(&module.items, file.depth()) {
            file.items(&piece);
        }
        for (name, module) in &module.modules {
            self.module(name, module, false, file);
        }
        file.close();
    }

    /// Emits items and lays them out, in several threads if there is enough work. Each thread lays out a part before it emits the
    /// next, because the tokens of a large program need much memory.
    fn pieces(&self, items: &[ItemId], depth: usize) -> Vec<Piece> {
        let parts: Vec<(ItemId, Part)> =
            items.iter().flat_map(|id| self.parts(*id).iter().map(|part| (*id, *part))).collect();
        let work = parts.iter().map(|(id, part)| self.work(*id, *part));
        let threads = std::thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(work.sum::<usize>() / WORTH_A_THREAD);
        if threads < 2 || !self.options.threads {
            return parts.iter().flat_map(|(id, part)| self.laid_out(*id, *part, depth)).collect();
        }
        // The longest first, so that no thread starts one when the others are done.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|index| Reverse(self.work(parts[*index].0, parts[*index].1)));
        let next = AtomicUsize::new(0);
        let Emitter { program, names, shapes, externs, options, .. } = *self;
        let (parts, order, next) = (&parts, &order, &next);
        let run = move || {
            // Tokens cannot be sent to another thread.
            let emitter = Emitter::new(program, names, shapes, externs, options);
            let mine = std::iter::from_fn(|| order.get(next.fetch_add(1, Ordering::Relaxed)));
            mine.map(|index| (*index, emitter.laid_out(parts[*index].0, parts[*index].1, depth)))
                .collect::<Vec<_>>()
        };
        let mut pieces: Vec<(usize, Vec<Piece>)> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
            let join = |worker: ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            run().into_iter().chain(others.into_iter().flat_map(join)).collect()
        });
        pieces.sort_unstable_by_key(|(index, _)| *index);
        pieces.into_iter().flat_map(|(_, pieces)| pieces).collect()
    }

    fn laid_out(&self, id: ItemId, part: Part, depth: usize) -> Vec<Piece> {
        self.part(id, part).into_iter().map(|tokens| Piece::new(tokens, depth)).collect()
    }

    /// The parts of an item, in order.
    fn parts(&self, id: ItemId) -> &'static [Part] {
        match (&self.program.item(id).kind, self.options.server, self.options.client) {
            (ItemKind::Service { .. }, true, true) => &[Part::Server, Part::Client, Part::Messages],
            (ItemKind::Service { .. }, true, false) => &[Part::Server, Part::Messages],
            (ItemKind::Service { .. }, false, true) => &[Part::Client, Part::Messages],
            (ItemKind::Service { .. }, false, false) => &[Part::Messages],
            _ => &[Part::Whole],
        }
    }

    /// An estimate of the work for a part, in fields of a struct.
    fn work(&self, id: ItemId, part: Part) -> usize {
        match (&self.program.item(id).kind, part) {
            (ItemKind::Typedef(_) | ItemKind::Const { .. }, _) => 1,
            (ItemKind::Enum(values), _) => 1 + values.len() / 2,
            (ItemKind::Struct { fields, .. }, _) => 4 + fields.len(),
            (ItemKind::Service { functions, .. }, Part::Messages) => 2 * functions.len(),
            (ItemKind::Service { functions, .. }, _) => 4 * functions.len(),
        }
    }

    /// A part of an item, definition by definition.
    fn part(&self, id: ItemId, part: Part) -> Vec<TokenStream> {
        let item = self.program.item(id);
        match &item.kind {
            ItemKind::Typedef(ty) => vec![self.typedef(id, item, ty)],
            ItemKind::Const { ty, value } => vec![self.constant_item(id, item, ty, value)],
            ItemKind::Enum(values) => self.enumeration(id, item, values),
            ItemKind::Struct { kind: StructKind::Union, fields } => self.union(id, item, fields),
            ItemKind::Struct { kind: StructKind::Struct, fields } => self.structure(id, item, fields),
            ItemKind::Struct { kind: StructKind::Exception, fields } => {
                let mut definitions = self.structure(id, item, fields);
                definitions.push(self.exception(id, item, fields));
                definitions
            }
            ItemKind::Service { extends, functions } => match part {
                Part::Server => self.server(id, item, *extends, functions),
                Part::Client => self.client(id, item, *extends, functions),
                Part::Messages => self.messages(id, functions),
                Part::Whole => unreachable!("a service is made in parts"),
            },
        }
    }

    /// The code of an item.
    #[cfg(test)]
    pub(crate) fn item(&self, id: ItemId) -> TokenStream {
        self.parts(id).iter().flat_map(|part| self.part(id, *part)).collect()
    }

    /// `#[deprecated]`, if the IDL has the annotation.
    fn deprecated(&self, annotations: &[Annotation]) -> Option<TokenStream> {
        let annotation = annotations.iter().rev().find(|annotation| annotation.key == "deprecated")?;
        Some(match annotation.value.as_str() {
            "" | "1" | "true" => quote! { #[deprecated] },
            note => quote! { #[deprecated(note = #note)] },
        })
    }
}
