//! Services: their parents and functions.

use std::collections::HashMap;

use thrift_parser::syntax::{self, Definition, StructKind};

use super::Checker;
use super::definitions::{FieldList, annotations_of, dotted, name};
use super::scope::Kind;
use crate::diagnostics::Diagnostic;
use crate::graph::Graph;
use crate::ir::{Function, ItemId, ItemKind, TyKind};
use crate::sources::{Place, SourceId};

/// The longest chain of services that extend each other.
const MOST_PARENTS: usize = 100;

fn parent_of(kind: &ItemKind) -> Option<ItemId> {
    match kind {
        ItemKind::Service { extends, .. } => *extends,
        ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Enum(_) | ItemKind::Struct { .. } => None,
    }
}

impl Checker<'_> {
    pub(super) fn service(
        &mut self,
        file: SourceId,
        id: ItemId,
        service: &syntax::Service,
    ) -> (Option<ItemId>, Vec<Function>) {
        let extends = service.extends.as_ref().and_then(|parent| self.parent(file, id, parent));
        let mut names = HashMap::new();
        let mut functions = Vec::with_capacity(service.functions.len());
        for function in &service.functions {
            let place = Place { source: file, span: function.name.span };
            if let Some(error) = dotted(file, &function.name, "function") {
                self.report(error);
            }
            if let Some(first) = names.insert(function.name.text.as_str(), place) {
                let text = format!("function `{}.{}` is defined twice", service.name, function.name);
                self.report(
                    Diagnostic::error(place, text)
                        .label("defined again here")
                        .note(first, "first defined here"),
                );
                names.insert(function.name.text.as_str(), first);
            }
            functions.push(self.function(file, function));
        }
        (extends, functions)
    }

    fn parent(&mut self, file: SourceId, id: ItemId, parent: &syntax::Name) -> Option<ItemId> {
        let Some(found) = self.scopes.find(file, Kind::Service, &parent.text) else {
            self.diagnostics.extend(self.scopes.unknown(file, Kind::Service, &parent.text, parent.span));
            return None;
        };
        let declared = self.scopes.item(found);
        // As in Apache's compiler; so no service extends itself in a circle.
        if declared.file == file && found >= id {
            let place = Place { source: file, span: parent.span };
            let text = format!("service `{parent}` is defined after the service that extends it");
            let error = Diagnostic::error(place, text).label("not defined yet");
            self.report(if found == id {
                error.help("a service cannot extend itself")
            } else {
                error.note(declared.place(), "defined here").help(format!("move `{parent}` up"))
            });
            return None;
        }
        Some(found)
    }

    fn function(&mut self, file: SourceId, function: &syntax::Function) -> Function {
        let returns = function.returns.as_ref().map(|ty| self.ty(file, ty));
        let arguments = self.fields(file, &function.arguments, FieldList::Arguments);
        let throws = self.fields(file, &function.throws, FieldList::Throws);
        if let Some(oneway) = function.oneway {
            let oneway = Place { source: file, span: oneway };
            if function.returns.is_some() {
                let place = Place { source: file, span: function.returns_span };
                self.report(
                    Diagnostic::error(
                        place,
                        format!("oneway function `{}` cannot return anything", function.name),
                    )
                    .label("the client does not wait for a result")
                    .note(oneway, "oneway")
                    .help("write `void`, or remove `oneway`"),
                );
            }
            if let Some(throws) = function.throws_span {
                let place = Place { source: file, span: throws };
                self.report(
                    Diagnostic::error(place, format!("oneway function `{}` cannot throw", function.name))
                        .label("the client does not wait for an exception")
                        .note(oneway, "oneway")
                        .help("remove `throws`, or remove `oneway`"),
                );
            }
        }
        Function {
            name: name(file, &function.name),
            doc: function.doc.as_ref().map(|doc| doc.text.clone()),
            annotations: annotations_of(file, &function.annotations),
            oneway: function.oneway.is_some(),
            returns,
            arguments,
            throws,
        }
    }

    /// Separates services that extend each other in a circle. That needs files that include each other, which is reported already.
    /// Reports chains that are too long for rustc: each client has all functions that it inherits.
    pub(super) fn extends_chains(&mut self) {
        let edges = self.each(|item| parent_of(&item.kind).map(ItemId::index).into_iter().collect());
        for index in (Graph { edges }).circles().into_iter().flatten() {
            self.takes_apart(ItemId::new(index));
        }
        let mut lengths: Vec<Option<usize>> = self.each(|_| None);
        for id in self.program.ids() {
            let mut chain = Vec::new();
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| lengths[id.index()].is_none()) {
                chain.push(id);
                next = parent_of(&self.program.item(id).kind);
            }
            let mut length = next.and_then(|id| lengths[id.index()]).unwrap_or_default();
            for id in chain.into_iter().rev() {
                length += 1;
                if length > MOST_PARENTS + 1 {
                    self.report_long_chain(id);
                    self.takes_apart(id);
                    length = 1;
                }
                lengths[id.index()] = Some(length);
            }
        }
    }

    fn takes_apart(&mut self, id: ItemId) {
        if let ItemKind::Service { extends, .. } = &mut self.program.items[id.index()].kind {
            *extends = None;
        }
    }

    fn report_long_chain(&mut self, id: ItemId) {
        let declared = self.scopes.item(id);
        let Definition::Service(service) = declared.definition else { return };
        let span = service.extends.as_ref().unwrap_or(&service.name).span;
        let text = format!("service `{}` has more than {MOST_PARENTS} services above it", service.name);
        let place = Place { source: declared.file, span };
        self.report(Diagnostic::error(place, text).label("one too many"));
    }

    /// The checks that need every type: the exceptions of functions, and inherited functions.
    pub(super) fn services(&mut self) {
        let mut found = Vec::new();
        for (_, item) in self.items() {
            let ItemKind::Service { extends, functions } = &item.kind else { continue };
            for thrown in functions.iter().flat_map(|function| &function.throws) {
                let behind = self.program.behind(&thrown.ty);
                let is_exception = match behind.kind {
                    TyKind::Unknown => true,
                    TyKind::Item(id) => {
                        matches!(
                            self.program.item(id).kind,
                            ItemKind::Struct { kind: StructKind::Exception, .. }
                        )
                    }
                    _ => false,
                };
                if !is_exception {
                    let error = Diagnostic::error(thrown.ty.place, "only exceptions can be thrown")
                        .label("not an exception");
                    let defined = match behind.kind {
                        TyKind::Item(id) => Some(self.program.item(id).name.place),
                        _ => None,
                    };
                    found.push(match defined {
                        Some(place) => error.note(place, "defined here").help("define it as an `exception`"),
                        None => error,
                    });
                }
            }
            let mut own: HashMap<&str, Vec<&Function>> = HashMap::new();
            for function in functions.iter().filter(|_| extends.is_some()) {
                own.entry(&function.name.text).or_default().push(function);
            }
            let mut ancestor = *extends;
            while let Some(id) = ancestor {
                let ItemKind::Service { extends, functions: inherited } = &self.program.item(id).kind else {
                    break;
                };
                for first in inherited {
                    for function in own.get(first.name.text.as_str()).into_iter().flatten() {
                        let parent = &self.program.item(id).name.text;
                        let text =
                            format!("function `{}` is inherited from `{parent}` already", function.name.text);
                        found.push(
                            Diagnostic::error(function.name.place, text)
                                .label("defined again here")
                                .note(first.name.place, "first defined here"),
                        );
                    }
                }
                ancestor = *extends;
            }
        }
        self.diagnostics.append(&mut found);
    }
}
