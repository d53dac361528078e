//! Values: constants and defaults, each converted to its type.
//!
//! This file goes through the definitions. `fitter` converts a value, `named` the names in it, and `text` writes values in errors.

mod fitter;
mod named;
mod text;

use thrift_parser::syntax::{Definition, Value, ValueKind};

use self::fitter::{Fitter, List, Position};
use self::named::Named;
use self::text::Path;
use super::Checker;
use super::circles::{Edge, circles};
use crate::diagnostics::Diagnostic;
use crate::ir::{ItemId, ItemKind};
use crate::sources::{Place, SourceId};

impl Checker<'_> {
    /// Converts the values of all constants and defaults.
    pub(super) fn constants(&mut self) {
        let circular = self.constant_circles();
        let mut fitter = Fitter { checker: self, circular, copies: 0 };
        for index in 0..fitter.checker.scopes.declared().len() {
            let declared = fitter.checker.scopes.declared()[index];
            let id = ItemId::new(index);
            match declared.definition {
                Definition::Const(item) => {
                    let ItemKind::Const { ty, .. } = &fitter.checker.program.item(id).kind else { continue };
                    let ty = ty.clone();
                    let path = Path::root(&item.name.text);
                    let made = fitter.fit(&item.value, declared.file, &ty, &path, Position::default());
                    if let ItemKind::Const { value, .. } = &mut fitter.checker.program.items[index].kind {
                        *value = made;
                    }
                }
                Definition::Struct(item) => {
                    let position = Position { key: fitter.checker.program.keys.contains(&id), hops: 0 };
                    fitter.defaults(
                        declared.file,
                        &item.name.text,
                        &item.fields,
                        (id, List::Fields),
                        position,
                    );
                }
                Definition::Service(item) => {
                    for (number, function) in item.functions.iter().enumerate() {
                        let (name, position) = (&function.name.text, Position::default());
                        let arguments = (id, List::Arguments(number));
                        fitter.defaults(declared.file, name, &function.arguments, arguments, position);
                        let throws = (id, List::Throws(number));
                        fitter.defaults(declared.file, name, &function.throws, throws, position);
                    }
                }
                Definition::Typedef(_) | Definition::Enum(_) => {}
            }
        }
    }

    /// Reports constants whose value needs itself. Returns, by item, whether it is one.
    fn constant_circles(&mut self) -> Vec<bool> {
        let edges: Vec<Vec<Edge>> = self
            .scopes
            .declared()
            .iter()
            .map(|declared| {
                let mut edges = Vec::new();
                if let Definition::Const(item) = declared.definition {
                    self.names_in(&item.value, declared.file, &mut edges);
                }
                edges
            })
            .collect();
        let mut circular = vec![false; edges.len()];
        for circle in circles(&edges) {
            let text = match circle.as_slice() {
                [(id, _)] => format!("constant `{}` stands for itself", self.program.item(*id).name.text),
                _ => {
                    let mut names: Vec<&str> = circle
                        .iter()
                        .take(8)
                        .map(|(id, _)| self.program.item(*id).name.text.as_str())
                        .collect();
                    names.push(if circle.len() > 8 { "…" } else { names[0] });
                    format!("constants stand for each other in a circle: `{}`", names.join("` -> `"))
                }
            };
            let error = Diagnostic::error(circle[0].1, text).label("the circle starts here");
            let notes = circle[1..].iter().take(8);
            self.report(notes.fold(error, |error, (_, place)| error.note(*place, "")));
        }
        // Constants that lead into a circle have no value either. The error shows the circle once.
        let graph = crate::graph::Graph {
            edges: edges.iter().map(|to| to.iter().map(|edge| edge.to.index()).collect()).collect(),
        };
        let component = graph.components();
        let mut sizes = vec![0; edges.len()];
        component.iter().for_each(|component| sizes[*component] += 1);
        for (node, to) in graph.edges.iter().enumerate() {
            circular[node] = sizes[component[node]] > 1 || to.contains(&node);
        }
        circular
    }

    fn names_in(&self, value: &Value, file: SourceId, edges: &mut Vec<Edge>) {
        match &value.kind {
            ValueKind::Name(name) => {
                if let Some(Named::Constant(to)) = self.named(file, name) {
                    edges.push(Edge { to, place: Place { source: file, span: value.span } });
                }
            }
            ValueKind::List(elements) => {
                elements.iter().for_each(|element| self.names_in(element, file, edges))
            }
            ValueKind::Map(entries) => {
                for (key, value) in entries {
                    self.names_in(key, file, edges);
                    self.names_in(value, file, edges);
                }
            }
            ValueKind::Integer(_) | ValueKind::Double(_) | ValueKind::Literal(_) => {}
        }
    }
}
