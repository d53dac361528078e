//! Builds the page of one file from the program.

use thrift_parser::syntax::{self, BaseType, CommentKind, Definition, Header};

use super::code::{Code, Link};
use super::contents::groups;
use super::markdown::{self, Html};
use super::search::SearchIndex;
use super::site::{Site, keyword};
use super::values::write_value;
use super::view::{
    About, Body, DefinitionView, FieldRow, FieldTable, FilePage, FunctionView, Inherited, ValueRow,
};
use crate::ir::{Annotation, EnumValue, Field, Function, ItemId, ItemKind, Requiredness, Ty, TyKind};

/// The page of a file.
pub(super) fn file_page<'a>(site: &'a Site<'_>, file: usize, search_index: &'a SearchIndex) -> FilePage<'a> {
    Builder { site, file }.page(search_index)
}

#[derive(Clone, Copy)]
struct Builder<'a> {
    site: &'a Site<'a>,
    file: usize,
}

impl<'a> Builder<'a> {
    fn page(self, search_index: &'a SearchIndex) -> FilePage<'a> {
        let site = self.site;
        let file = &site.program.files[self.file];
        let mut includes: Vec<Link> = Vec::new();
        for link in file.includes.iter().map(|id| site.page_link(id.index())) {
            if !includes.contains(&link) {
                includes.push(link);
            }
        }
        let definitions = file.items.iter().zip(&site.documents[self.file].definitions);
        FilePage {
            title: &site.titles[self.file],
            search_index,
            comment: self.comment(self.file_comment().as_deref()),
            includes,
            namespaces: &file.namespaces,
            contents: groups(site, self.file, Some(self.file)),
            definitions: definitions.map(|(id, written)| self.definition(*id, written)).collect(),
        }
    }

    /// The comment before the first header. A comment before a definition belongs to the definition.
    fn file_comment(self) -> Option<String> {
        let document = &self.site.documents[self.file];
        let first = match document.headers.first()? {
            Header::Include(header) | Header::CppInclude(header) => header.span,
            Header::Namespace(header) => header.span,
        };
        let mut before = document.comments.iter().take_while(|comment| comment.span.end <= first.start);
        let found = before.find(|comment| comment.kind == CommentKind::Doc)?;
        // The parser removes the frame of a comment (`/**`, `*`, `*/`) only from the comment of a definition.
        let text = format!("{}\nstruct File {{}}", &self.site.texts[self.file][found.span.range()]);
        let parsed = thrift_parser::parse(&text).document;
        parsed.definitions.into_iter().next().and_then(|definition| match definition {
            Definition::Struct(item) => item.doc.map(|doc| doc.text),
            Definition::Typedef(_) | Definition::Const(_) | Definition::Enum(_) | Definition::Service(_) => {
                None
            }
        })
    }

    fn definition(self, id: ItemId, written: &Definition) -> DefinitionView<'a> {
        let site = self.site;
        let item = site.program.item(id);
        let anchor = site.anchor(id);
        let name = item.name.text.as_str();
        let mut extends = None;
        let body = match (&item.kind, written) {
            (ItemKind::Typedef(ty), _) => {
                let mut code = Code::default();
                code.text("typedef ");
                self.ty(ty, &mut code);
                code.text(&format!(" {name}"));
                Body::Code(code)
            }
            (ItemKind::Const { ty, value }, written) => {
                let mut code = Code::default();
                code.text("const ");
                self.ty(ty, &mut code);
                code.text(&format!(" {name} = "));
                if let Definition::Const(written) = written {
                    write_value(site, self.file, &written.value, value, &mut code);
                }
                Body::Code(code)
            }
            (ItemKind::Enum(values), _) => {
                Body::Values(values.iter().map(|value| self.value(&anchor, value)).collect())
            }
            (ItemKind::Struct { fields, .. }, written) => {
                let written = if let Definition::Struct(written) = written { &*written.fields } else { &[] };
                Body::Fields(FieldTable {
                    requiredness: true,
                    rows: self.fields(Some(&anchor), fields, written),
                })
            }
            (ItemKind::Service { extends: parent, functions }, written) => {
                extends = parent.map(|parent| site.item_link(self.file, parent));
                let written =
                    if let Definition::Service(written) = written { &*written.functions } else { &[] };
                let functions = functions.iter().zip(written);
                Body::Service {
                    functions: functions
                        .map(|(item, written)| self.function(&anchor, item, written))
                        .collect(),
                    inherited: self.inherited(*parent),
                }
            }
        };
        let about = self.about(&item.annotations, item.doc.as_deref());
        DefinitionView { anchor, keyword: keyword(item), name, extends, about, body }
    }

    fn about(self, annotations: &'a [Annotation], doc: Option<&str>) -> About<'a> {
        let (deprecated, others): (Vec<_>, Vec<_>) =
            annotations.iter().partition(|annotation| annotation.key == "deprecated");
        let reason = |annotation: &'a Annotation| match annotation.value.as_str() {
            // An annotation without a value has the value "1".
            "1" | "true" => "",
            reason => reason,
        };
        let others: Vec<String> = others
            .into_iter()
            .map(|annotation| format!("{} = {:?}", annotation.key, annotation.value))
            .collect();
        About {
            deprecated: deprecated.into_iter().map(reason).collect(),
            comment: self.comment(doc),
            annotations: others.join(", "),
        }
    }

    fn comment(self, doc: Option<&str>) -> Option<Html> {
        doc.filter(|_| self.site.comments).map(markdown::render)
    }

    fn value(self, anchor: &str, value: &'a EnumValue) -> ValueRow<'a> {
        let name = value.name.text.as_str();
        ValueRow {
            anchor: format!("{anchor}.{name}"),
            number: value.number,
            name,
            about: self.about(&value.annotations, value.doc.as_deref()),
        }
    }

    /// The rows of fields, arguments or exceptions. Without the `anchor` of their definition the rows have no anchors.
    fn fields(
        self,
        anchor: Option<&str>,
        fields: &'a [Field],
        written: &[syntax::Field],
    ) -> Vec<FieldRow<'a>> {
        fields.iter().zip(written).map(|(field, written)| self.field(anchor, field, written)).collect()
    }

    fn field(self, anchor: Option<&str>, field: &'a Field, written: &syntax::Field) -> FieldRow<'a> {
        let name = field.name.text.as_str();
        let requiredness = match (field.requiredness, &written.requiredness) {
            (Requiredness::Required, _) => "required",
            // The fields of a union are optional without the word.
            (Requiredness::Optional, Some(_)) => "optional",
            (Requiredness::Optional, None) | (Requiredness::Default, _) => "",
        };
        let mut ty = Code::default();
        self.ty(&field.ty, &mut ty);
        if field.reference {
            ty.text(" &");
        }
        let default = field.default.as_ref().zip(written.default.as_ref()).map(|(value, written)| {
            let mut code = Code::default();
            write_value(self.site, self.file, written, value, &mut code);
            code
        });
        FieldRow {
            anchor: anchor.map(|anchor| format!("{anchor}.{name}")),
            id: field.id,
            requiredness,
            ty,
            name,
            default,
            about: self.about(&field.annotations, field.doc.as_deref()),
        }
    }

    fn function(self, anchor: &str, function: &'a Function, written: &syntax::Function) -> FunctionView<'a> {
        let is_described =
            |field: &Field| field.doc.is_some() || field.default.is_some() || !field.annotations.is_empty();
        let table =
            |fields, written| FieldTable { requiredness: false, rows: self.fields(None, fields, written) };
        let has_table = function.arguments.iter().any(is_described);
        FunctionView {
            anchor: format!("{anchor}.{}", function.name.text),
            signature: self.signature(function),
            about: self.about(&function.annotations, function.doc.as_deref()),
            arguments: has_table.then(|| table(&function.arguments, &written.arguments)),
            throws: (!function.throws.is_empty()).then(|| table(&function.throws, &written.throws)),
        }
    }

    fn signature(self, function: &Function) -> Code {
        let mut code = Code::default();
        if function.oneway {
            code.text("oneway ");
        }
        match &function.returns {
            Some(ty) => self.ty(ty, &mut code),
            None => code.text("void"),
        }
        code.text(&format!(" {}(", function.name.text));
        for (at, argument) in function.arguments.iter().enumerate() {
            code.text(&format!("{}{}: ", if at == 0 { "" } else { ", " }, argument.id));
            self.ty(&argument.ty, &mut code);
            code.text(&format!(" {}", argument.name.text));
        }
        code.text(")");
        code
    }

    /// The functions of each ancestor of a service, the parent first.
    fn inherited(self, mut parent: Option<ItemId>) -> Vec<Inherited> {
        let site = self.site;
        let mut inherited = Vec::new();
        // The program has no cycle of parents: resolving it reports one as an error.
        while let Some(id) = parent {
            let ItemKind::Service { extends, functions } = &site.program.item(id).kind else { break };
            let link = |function: &Function| {
                let text = function.name.text.clone();
                Link { href: site.href(Some(self.file), id, Some(&text)), text }
            };
            inherited.push(Inherited {
                service: site.item_link(self.file, id),
                functions: functions.iter().map(link).collect(),
            });
            parent = *extends;
        }
        inherited
    }

    /// Appends a type with links to what it names.
    fn ty(self, ty: &Ty, code: &mut Code) {
        match &ty.kind {
            TyKind::Base(base) => code.text(match base {
                BaseType::Bool => "bool",
                BaseType::I8 => "i8",
                BaseType::I16 => "i16",
                BaseType::I32 => "i32",
                BaseType::I64 => "i64",
                BaseType::Double => "double",
                BaseType::String => "string",
                BaseType::Binary => "binary",
            }),
            TyKind::Uuid => code.text("uuid"),
            TyKind::List(element) => self.container("list<", &[element], code),
            TyKind::Set(element) => self.container("set<", &[element], code),
            TyKind::Map(key, value) => self.container("map<", &[key, value], code),
            TyKind::Item(id) => code.link(self.site.item_link(self.file, *id)),
            // Only a program with errors has such a type, and it is not documented.
            TyKind::Unknown => code.text("?"),
        }
    }

    fn container(self, start: &str, elements: &[&Ty], code: &mut Code) {
        code.text(start);
        for (at, element) in elements.iter().enumerate() {
            if at > 0 {
                code.text(", ");
            }
            self.ty(element, code);
        }
        code.text(">");
    }
}
