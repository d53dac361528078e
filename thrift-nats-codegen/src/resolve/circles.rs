//! Circles: typedefs of themselves, structs that cannot be complete, and defaults that need themselves.

use std::collections::HashSet;

use thrift_parser::syntax::StructKind;

use super::Checker;
use crate::diagnostics::Diagnostic;
use crate::graph::Graph;
use crate::ir::{Constant, ItemId, ItemKind, Requiredness, Ty, TyKind};
use crate::sources::Place;

/// A reference from one item to another, and its place.
pub(super) struct Edge {
    pub(super) to: ItemId,
    pub(super) place: Place,
}

/// For each circle: its items, and the place where each refers to the next.
pub(super) fn circles(edges: &[Vec<Edge>]) -> Vec<Vec<(ItemId, Place)>> {
    let graph =
        Graph { edges: edges.iter().map(|to| to.iter().map(|edge| edge.to.index()).collect()).collect() };
    let circles = graph.circles().into_iter();
    circles
        .map(|circle| {
            let next = circle.iter().cycle().skip(1);
            let step = |(from, to): (&usize, &usize)| {
                let edge = edges[*from].iter().find(|edge| edge.to.index() == *to);
                (ItemId::new(*from), edge.expect("a circle goes along edges").place)
            };
            circle.iter().zip(next).map(step).collect()
        })
        .collect()
}

/// The most steps of a circle that an error shows.
const SHOWN_STEPS: usize = 8;

/// The most parts of a type with its typedefs written out.
const MOST_PARTS: usize = 1000;

fn parts_of(ty: &Ty, typedefs: &[usize]) -> usize {
    match &ty.kind {
        TyKind::List(element) | TyKind::Set(element) => parts_of(element, typedefs).saturating_add(1),
        TyKind::Map(key, value) => {
            parts_of(key, typedefs).saturating_add(parts_of(value, typedefs)).saturating_add(1)
        }
        TyKind::Item(id) => typedefs[id.index()],
        TyKind::Base(_) | TyKind::Uuid | TyKind::Unknown => 1,
    }
}

impl Checker<'_> {
    fn circle_error(&self, circle: &[(ItemId, Place)], what: &str, label: &str) -> Diagnostic {
        let name = |id: ItemId| self.program.item(id).name.text.as_str();
        let (first, place) = circle[0];
        let text = match circle.len() {
            1 => format!("{what} `{}` {label}", name(first)),
            len => {
                let names: Vec<&str> = circle.iter().take(SHOWN_STEPS).map(|(id, _)| name(*id)).collect();
                let rest = if len > SHOWN_STEPS { "` -> … -> `" } else { "` -> `" };
                format!("{what} `{}` {label}: `{}{rest}{}`", name(first), names.join("` -> `"), name(first))
            }
        };
        let error = Diagnostic::error(place, text).label("the circle starts here");
        circle[1..].iter().take(SHOWN_STEPS).fold(error, |error, (_, place)| error.note(*place, ""))
    }

    pub(super) fn typedef_circles(&mut self) {
        let edges: Vec<Vec<Edge>> = self.each(|item| match &item.kind {
            ItemKind::Typedef(ty) => {
                let mut edges = Vec::new();
                self.typedefs_in(ty, &mut edges);
                edges
            }
            _ => Vec::new(),
        });
        for circle in circles(&edges) {
            let error = self.circle_error(&circle, "typedef", "stands for itself");
            self.report(error);
            for (id, _) in circle {
                if let ItemKind::Typedef(ty) = &mut self.program.items[id.index()].kind {
                    ty.kind = TyKind::Unknown;
                }
            }
        }
    }

    /// Reports typedefs of immense types: two dozen lines can stand for a type with millions of parts. After this check,
    /// going through a type takes bounded time.
    pub(super) fn immense_typedefs(&mut self) {
        let edges = self.each(|item| match &item.kind {
            ItemKind::Typedef(ty) => {
                let mut edges = Vec::new();
                self.typedefs_in(ty, &mut edges);
                edges.iter().map(|edge| edge.to.index()).collect()
            }
            _ => Vec::new(),
        });
        let component = Graph { edges }.components();
        let mut order: Vec<usize> = (0..component.len()).collect();
        // A component has a larger number than all components it leads to.
        order.sort_by_key(|index| component[*index]);
        let mut parts = vec![1_usize; component.len()];
        for index in order {
            let ItemKind::Typedef(ty) = &self.program.items[index].kind else { continue };
            parts[index] = parts_of(ty, &parts);
            if parts[index] > MOST_PARTS {
                let item = &self.program.items[index];
                let text =
                    format!("typedef `{}` stands for a type of more than {MOST_PARTS} parts", item.name.text);
                let error = Diagnostic::error(ty.place, text).label("too large when written out");
                self.report(error.help("make a `struct` of a part of it"));
                // Reported once: every typedef that uses it is too large, too.
                if let ItemKind::Typedef(ty) = &mut self.program.items[index].kind {
                    ty.kind = TyKind::Unknown;
                }
                parts[index] = 1;
            }
        }
    }

    fn typedefs_in(&self, ty: &Ty, edges: &mut Vec<Edge>) {
        match &ty.kind {
            TyKind::Item(id) if matches!(self.program.item(*id).kind, ItemKind::Typedef(_)) => {
                edges.push(Edge { to: *id, place: ty.place });
            }
            TyKind::Item(_) | TyKind::Base(_) | TyKind::Uuid | TyKind::Unknown => {}
            TyKind::List(element) | TyKind::Set(element) => self.typedefs_in(element, edges),
            TyKind::Map(key, value) => {
                self.typedefs_in(key, edges);
                self.typedefs_in(value, edges);
            }
        }
    }

    /// Reports structs that contain themselves by required fields: no value of them could be complete.
    pub(super) fn infinite_structs(&mut self) {
        let edges: Vec<Vec<Edge>> = self.each(|item| match &item.kind {
            ItemKind::Struct { kind: StructKind::Struct | StructKind::Exception, fields } => {
                let required = fields.iter().filter(|field| field.requiredness == Requiredness::Required);
                let edge = |ty: &Ty| match self.program.behind(ty).kind {
                    TyKind::Item(to) => Some(Edge { to, place: ty.place }),
                    _ => None,
                };
                required.filter_map(|field| edge(&field.ty)).collect()
            }
            _ => Vec::new(),
        });
        for circle in circles(&edges) {
            let error = self.circle_error(&circle, "struct", "contains itself without a way out");
            self.report(error.help("make a field of the circle `optional`"));
        }
    }

    /// Reports constants and defaults whose value needs itself.
    pub(super) fn default_circles(&mut self) {
        let edges: Vec<Vec<Edge>> = self.each(|item| {
            let mut edges = Vec::new();
            match &item.kind {
                ItemKind::Const { value, ty } => self.needs(value, ty.place, &mut edges),
                ItemKind::Struct { fields, .. } => {
                    for field in fields {
                        if let Some(default) = &field.default {
                            self.needs(default, field.name.place, &mut edges);
                        }
                    }
                }
                ItemKind::Typedef(_) | ItemKind::Enum(_) | ItemKind::Service { .. } => {}
            }
            edges
        });
        for circle in circles(&edges) {
            let error = self.circle_error(&circle, "value of", "needs itself");
            self.report(error.help("write one of the values out, or leave a default away"));
        }
    }

    /// The constants and structs whose values `constant` needs.
    fn needs(&self, constant: &Constant, place: Place, edges: &mut Vec<Edge>) {
        match constant {
            Constant::Ref(to) => edges.push(Edge { to: *to, place }),
            Constant::List(elements) => elements.iter().for_each(|element| self.needs(element, place, edges)),
            Constant::Map(entries) => {
                for (key, value) in entries {
                    self.needs(key, place, edges);
                    self.needs(value, place, edges);
                }
            }
            Constant::Struct(id, given) => {
                for (_, value) in given {
                    self.needs(value, place, edges);
                }
                let ItemKind::Struct { kind, fields } = &self.program.item(*id).kind else { return };
                // Missing fields come from the default of the whole struct.
                if *kind != StructKind::Union && given.len() < fields.len() {
                    edges.push(Edge { to: *id, place });
                }
            }
            Constant::Bool(_)
            | Constant::Int(_)
            | Constant::Double(_)
            | Constant::String(_)
            | Constant::Binary(_)
            | Constant::Uuid(_)
            | Constant::Enum(..)
            | Constant::Unknown => {}
        }
    }

    /// The structs and unions within `ty`, at any depth.
    pub(super) fn structs_in(&self, ty: &Ty, found: &mut HashSet<ItemId>) {
        let mut work = vec![ty];
        while let Some(ty) = work.pop() {
            match &self.program.behind(ty).kind {
                TyKind::List(element) | TyKind::Set(element) => work.push(element),
                TyKind::Map(key, value) => work.extend([&**key, &**value]),
                TyKind::Item(id) => {
                    if let ItemKind::Struct { fields, .. } = &self.program.item(*id).kind
                        && found.insert(*id)
                    {
                        work.extend(fields.iter().map(|field| &field.ty));
                    }
                }
                TyKind::Base(_) | TyKind::Uuid | TyKind::Unknown => {}
            }
        }
    }
}
