//! One of the two versions: its program, and the places of its parts in the text.

use thrift_parser::syntax::{self, Definition, Document, Header, Span};

use crate::ir::{Function, Item, ItemId, ItemKind, Program};
use crate::sources::{Place, SourceId, Sources};

/// A version. The places in its program refer to its own files. All places that its methods return refer to the files of
/// both versions.
pub(super) struct Side<'a> {
    pub(super) program: &'a Program,
    /// By file of the program: its number among the files of both versions.
    ids: Vec<SourceId>,
    /// The syntax trees. The program does not have the places of ids, numbers and keywords.
    documents: Vec<Document>,
    sources: &'a Sources,
}

/// One of the lists of fields of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Fields(ItemId),
    /// Of the function at this position.
    Arguments(ItemId, usize),
    Throws(ItemId, usize),
}

impl<'a> Side<'a> {
    pub(super) fn new(program: &'a Program, sources: &'a Sources, ids: Vec<SourceId>) -> Self {
        let documents = ids.iter().map(|id| thrift_parser::parse(&sources.get(*id).text).document).collect();
        Self { program, ids, documents, sources }
    }

    /// A place of the program, among the files of both versions.
    pub(super) fn place(&self, place: Place) -> Place {
        self.at(place.source, place.span)
    }

    fn at(&self, file: SourceId, span: Span) -> Place {
        Place { source: self.ids[file.index()], span }
    }

    pub(super) fn name(&self, id: ItemId) -> Place {
        self.place(self.program.item(id).name.place)
    }

    /// The path of one of the program's files.
    pub(super) fn path(&self, file: usize) -> &'a std::path::Path {
        &self.sources.get(self.ids[file]).path
    }

    /// The text at a place, in one line.
    pub(super) fn text(&self, place: Place) -> String {
        let text = &self.sources.get(self.ids[place.source.index()]).text[place.span.range()];
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A namespace of a file, where it is written.
    pub(super) fn namespace(&self, file: usize, scope: &str) -> Option<Place> {
        let written = self.documents[file].headers.iter().rev().find_map(|header| match header {
            Header::Namespace(namespace) if namespace.scope.text == scope => Some(namespace.name.span),
            Header::Namespace(_) | Header::Include(_) | Header::CppInclude(_) => None,
        });
        written.map(|span| Place { source: self.ids[file], span })
    }

    /// The beginning of a file: its first definition or header.
    pub(super) fn beginning(&self, file: usize) -> Option<Place> {
        let document = &self.documents[file];
        let header = document.headers.first().map(|header| match header {
            Header::Include(include) | Header::CppInclude(include) => include.span,
            Header::Namespace(namespace) => namespace.span,
        });
        let span = header.or_else(|| document.definitions.first().map(|item| item.name().span))?;
        Some(Place { source: self.ids[file], span })
    }

    /// Items are numbered file after file, each in source order.
    fn definition(&self, id: ItemId) -> &Definition {
        let file = self.program.item(id).file.index();
        let first = self.program.files[file].items[0];
        &self.documents[file].definitions[id.index() - first.index()]
    }

    fn written_function(&self, service: ItemId, function: usize) -> Option<&syntax::Function> {
        match self.definition(service) {
            Definition::Service(service) => service.functions.get(function),
            Definition::Typedef(_) | Definition::Const(_) | Definition::Enum(_) | Definition::Struct(_) => {
                None
            }
        }
    }

    fn field(&self, list: List, index: usize) -> Option<(ItemId, &syntax::Field)> {
        let (id, fields) = match list {
            List::Fields(id) => match self.definition(id) {
                Definition::Struct(item) => (id, &item.fields),
                Definition::Typedef(_)
                | Definition::Const(_)
                | Definition::Enum(_)
                | Definition::Service(_) => return None,
            },
            List::Arguments(id, function) => (id, &self.written_function(id, function)?.arguments),
            List::Throws(id, function) => (id, &self.written_function(id, function)?.throws),
        };
        fields.get(index).map(|field| (id, field))
    }

    fn of_field(
        &self,
        list: List,
        index: usize,
        part: impl FnOnce(&syntax::Field) -> Option<Span>,
    ) -> Option<Place> {
        let (id, field) = self.field(list, index)?;
        Some(self.at(self.program.item(id).file, part(field)?))
    }

    /// The place of the id of a field, if it has one.
    pub(super) fn field_id(&self, list: List, index: usize) -> Option<Place> {
        self.of_field(list, index, |field| field.id.map(|id| id.span))
    }

    /// The place of `required` or `optional`.
    pub(super) fn requiredness(&self, list: List, index: usize) -> Option<Place> {
        self.of_field(list, index, |field| field.requiredness.map(|(_, span)| span))
    }

    /// The place of the default of a field.
    pub(super) fn default(&self, list: List, index: usize) -> Option<Place> {
        self.of_field(list, index, |field| field.default.as_ref().map(|value| value.span))
    }

    /// The place of the number of an enum's value.
    pub(super) fn number(&self, id: ItemId, index: usize) -> Option<Place> {
        let Definition::Enum(item) = self.definition(id) else { return None };
        let span = item.values.get(index)?.number?.span;
        Some(self.at(self.program.item(id).file, span))
    }

    /// The place of the value of a constant.
    pub(super) fn value(&self, id: ItemId) -> Option<Place> {
        let Definition::Const(item) = self.definition(id) else { return None };
        Some(self.at(self.program.item(id).file, item.value.span))
    }

    /// The place of the parent of a service.
    pub(super) fn parent(&self, id: ItemId) -> Option<Place> {
        let Definition::Service(item) = self.definition(id) else { return None };
        let span = item.extends.as_ref()?.span;
        Some(self.at(self.program.item(id).file, span))
    }

    /// The place of the return type of a function.
    pub(super) fn returns(&self, service: ItemId, function: usize) -> Option<Place> {
        let span = self.written_function(service, function)?.returns_span;
        Some(self.at(self.program.item(service).file, span))
    }

    /// The place of `oneway`.
    pub(super) fn oneway(&self, service: ItemId, function: usize) -> Option<Place> {
        let span = self.written_function(service, function)?.oneway?;
        Some(self.at(self.program.item(service).file, span))
    }

    /// The functions of a service, its own and then the inherited ones: in which service, and where there.
    pub(super) fn functions(&self, service: ItemId) -> Vec<(ItemId, usize)> {
        let mut found = Vec::new();
        let mut at = Some(service);
        // No service extends itself: the resolver has checked that.
        while let Some(id) = at {
            let ItemKind::Service { extends, functions } = &self.program.item(id).kind else { break };
            found.extend((0..functions.len()).map(|index| (id, index)));
            at = *extends;
        }
        found
    }

    /// The function at a position of a service.
    pub(super) fn function(&self, (service, index): (ItemId, usize)) -> Option<&'a Function> {
        match &self.program.item(service).kind {
            ItemKind::Service { functions, .. } => functions.get(index),
            ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Enum(_) | ItemKind::Struct { .. } => {
                None
            }
        }
    }
}

/// Thrift's word for the kind of an item.
pub(super) fn word(item: &Item) -> &'static str {
    use thrift_parser::syntax::StructKind;
    match &item.kind {
        ItemKind::Typedef(_) => "typedef",
        ItemKind::Const { .. } => "constant",
        ItemKind::Enum(_) => "enum",
        ItemKind::Struct { kind: StructKind::Struct, .. } => "struct",
        ItemKind::Struct { kind: StructKind::Union, .. } => "union",
        ItemKind::Struct { kind: StructKind::Exception, .. } => "exception",
        ItemKind::Service { .. } => "service",
    }
}
