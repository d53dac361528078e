//! The page of one file: its definitions in source order.

use std::fmt::Write;

use thrift_parser::syntax::{self, BaseType, CommentKind, Definition, Header};

use super::markup::{comment, escape, escaped};
use super::{Site, keyword};
use crate::ir::{Annotation, EnumValue, Field, Function, Item, ItemId, ItemKind, Requiredness, Ty, TyKind};

pub(super) struct Page<'s, 'a> {
    site: &'s Site<'a>,
    file: usize,
    out: String,
}

/// Writing to a `String` cannot fail.
macro_rules! put {
    ($page:expr, $($format:tt)*) => {{
        let _ = write!($page.out, $($format)*);
    }};
}

impl<'s, 'a> Page<'s, 'a> {
    pub(super) const fn new(site: &'s Site<'a>, file: usize) -> Self {
        Self { site, file, out: String::new() }
    }

    pub(super) fn content(mut self) -> String {
        self.head();
        let site = self.site;
        site.contents(self.file, false, &mut self.out);
        let items = site.program.files[self.file].items.iter();
        for (id, written) in items.zip(&site.documents[self.file].definitions) {
            self.definition(*id, written);
        }
        self.out
    }

    /// What is said of the file as a whole.
    fn head(&mut self) {
        let site = self.site;
        if let Some(text) = self.file_comment() {
            self.comment(Some(&text));
        }
        let file = &site.program.files[self.file];
        let mut includes: Vec<String> = Vec::new();
        for id in file.includes.iter().map(|id| id.index()) {
            let link = format!("<a href=\"{}\">{}</a>", site.names[id], escaped(&site.titles[id]));
            if !includes.contains(&link) {
                includes.push(link);
            }
        }
        if !includes.is_empty() {
            put!(self, "<p><b>Includes</b>: {}</p>\n", includes.join(", "));
        }
        if !file.namespaces.is_empty() {
            let names = file.namespaces.iter();
            let shown =
                names.map(|(scope, name)| format!("<code>{} {}</code>", escaped(scope), escaped(name)));
            put!(self, "<p><b>Namespaces</b>: {}</p>\n", shown.collect::<Vec<_>>().join(", "));
        }
    }

    /// The comment before the first header; one before a definition is the definition's.
    fn file_comment(&self) -> Option<String> {
        let document = &self.site.documents[self.file];
        let first = match document.headers.first()? {
            Header::Include(header) | Header::CppInclude(header) => header.span,
            Header::Namespace(header) => header.span,
        };
        let mut before = document.comments.iter().take_while(|comment| comment.span.end <= first.start);
        let found = before.find(|comment| comment.kind == CommentKind::Doc)?;
        // The parser knows how to take a comment out of its frame: as one of a definition.
        let text = format!("{}\nstruct File {{}}", &self.site.texts[self.file][found.span.range()]);
        let parsed = thrift_parser::parse(&text).document;
        parsed.definitions.into_iter().next().and_then(|definition| match definition {
            Definition::Struct(item) => item.doc.map(|doc| doc.text),
            Definition::Typedef(_) | Definition::Const(_) | Definition::Enum(_) | Definition::Service(_) => {
                None
            }
        })
    }

    fn definition(&mut self, id: ItemId, written: &Definition) {
        let site = self.site;
        let item = site.program.item(id);
        let anchor = site.anchor(id);
        put!(
            self,
            "<section id=\"{anchor}\">\n<h2><span class=\"kind\">{}</span> {}",
            keyword(item),
            escaped(&item.name.text)
        );
        if let ItemKind::Service { extends: Some(parent), .. } = &item.kind {
            self.out.push_str(" <span class=\"kind\">extends</span> ");
            self.item_link(*parent);
        }
        put!(self, "<a class=\"anchor\" href=\"#{anchor}\" aria-label=\"link to this\">#</a></h2>\n");
        self.about(&item.annotations, item.doc.as_deref());
        match (&item.kind, written) {
            (ItemKind::Typedef(ty), _) => {
                self.out.push_str("<pre><code>typedef ");
                self.ty(ty);
                put!(self, " {}</code></pre>\n", escaped(&item.name.text));
            }
            (ItemKind::Const { ty, value }, Definition::Const(written)) => {
                self.out.push_str("<pre><code>const ");
                self.ty(ty);
                put!(self, " {} = ", escaped(&item.name.text));
                self.out.push_str(&site.value(self.file, &written.value, value));
                self.out.push_str("</code></pre>\n");
            }
            (ItemKind::Enum(values), _) => self.values(&anchor, values),
            (ItemKind::Struct { fields, .. }, Definition::Struct(written)) => {
                self.fields(Some(&anchor), fields, &written.fields, true);
            }
            (ItemKind::Service { extends, functions }, Definition::Service(written)) => {
                self.functions(&anchor, functions, &written.functions);
                self.inherited(*extends);
            }
            // Items are numbered as definitions are.
            (ItemKind::Const { .. } | ItemKind::Struct { .. } | ItemKind::Service { .. }, _) => {}
        }
        self.out.push_str("</section>\n");
    }

    /// Whether something is deprecated, its other annotations, and its comment.
    fn about(&mut self, annotations: &[Annotation], doc: Option<&str>) {
        for annotation in annotations.iter().filter(|annotation| annotation.key == "deprecated") {
            self.out.push_str("<p class=\"deprecated\">Deprecated");
            if !matches!(annotation.value.as_str(), "" | "1" | "true") {
                put!(self, ": {}", escaped(&annotation.value));
            }
            self.out.push_str("</p>\n");
        }
        self.comment(doc);
        let others: Vec<String> = annotations
            .iter()
            .filter(|annotation| annotation.key != "deprecated")
            .map(|annotation| format!("{} = {:?}", annotation.key, annotation.value))
            .collect();
        if !others.is_empty() {
            put!(self, "<p class=\"kind\"><code>({})</code></p>\n", escaped(&others.join(", ")));
        }
    }

    fn comment(&mut self, doc: Option<&str>) {
        if let Some(text) = doc.filter(|_| self.site.comments) {
            comment(text, &mut self.out);
        }
    }

    fn values(&mut self, anchor: &str, values: &[EnumValue]) {
        self.table(&["Number", "Name", "Description"]);
        for value in values {
            let name = escaped(&value.name.text);
            put!(
                self,
                "<tr id=\"{anchor}.{name}\"><td>{}</td><td><code>{name}</code></td><td>",
                value.number
            );
            self.about(&value.annotations, value.doc.as_deref());
            self.out.push_str("</td></tr>\n");
        }
        self.out.push_str("</table></div>\n");
    }

    fn table(&mut self, columns: &[&str]) {
        self.out.push_str("<div class=\"scroll\"><table>\n<tr>");
        for column in columns {
            put!(self, "<th>{column}</th>");
        }
        self.out.push_str("</tr>\n");
    }

    /// Fields, arguments or exceptions. Those without an anchor are no place to link to.
    fn fields(
        &mut self,
        anchor: Option<&str>,
        fields: &[Field],
        written: &[syntax::Field],
        requiredness: bool,
    ) {
        if fields.is_empty() {
            self.out.push_str("<p class=\"kind\">No fields.</p>\n");
            return;
        }
        self.table(if requiredness {
            &["Id", "Requiredness", "Type", "Name", "Default", "Description"]
        } else {
            &["Id", "Type", "Name", "Default", "Description"]
        });
        for (field, written) in fields.iter().zip(written) {
            let name = escaped(&field.name.text);
            match anchor {
                Some(anchor) => put!(self, "<tr id=\"{anchor}.{name}\"><td>{}</td>", field.id),
                None => put!(self, "<tr><td>{}</td>", field.id),
            }
            if requiredness {
                let word = match (field.requiredness, &written.requiredness) {
                    (Requiredness::Required, _) => "required",
                    // The fields of a union are optional without the word.
                    (Requiredness::Optional, Some(_)) => "optional",
                    (Requiredness::Optional, None) | (Requiredness::Default, _) => "",
                };
                put!(self, "<td>{word}</td>");
            }
            self.out.push_str("<td><code>");
            self.ty(&field.ty);
            if field.reference {
                self.out.push_str(" &amp;");
            }
            put!(self, "</code></td><td><code>{name}</code></td><td>");
            if let (Some(value), Some(written)) = (&field.default, &written.default) {
                let value = self.site.value(self.file, written, value);
                put!(self, "<code>{value}</code>");
            }
            self.out.push_str("</td><td>");
            self.about(&field.annotations, field.doc.as_deref());
            self.out.push_str("</td></tr>\n");
        }
        self.out.push_str("</table></div>\n");
    }

    fn functions(&mut self, anchor: &str, functions: &[Function], written: &[syntax::Function]) {
        for (function, written) in functions.iter().zip(written) {
            let id = format!("{anchor}.{}", function.name.text);
            put!(self, "<div class=\"function\" id=\"{id}\">\n<h3 class=\"signature\">");
            self.signature(function);
            put!(self, "<a class=\"anchor\" href=\"#{id}\" aria-label=\"link to this\">#</a></h3>\n");
            self.about(&function.annotations, function.doc.as_deref());
            let told = |field: &Field| {
                field.doc.is_some() || field.default.is_some() || !field.annotations.is_empty()
            };
            // The signature says all of most of them.
            if function.arguments.iter().any(told) {
                self.out.push_str("<p><b>Arguments</b></p>\n");
                self.fields(None, &function.arguments, &written.arguments, false);
            }
            if !function.throws.is_empty() {
                self.out.push_str("<p><b>Throws</b></p>\n");
                self.fields(None, &function.throws, &written.throws, false);
            }
            self.out.push_str("</div>\n");
        }
    }

    fn signature(&mut self, function: &Function) {
        if function.oneway {
            self.out.push_str("oneway ");
        }
        match &function.returns {
            Some(ty) => self.ty(ty),
            None => self.out.push_str("void"),
        }
        put!(self, " {}(", escaped(&function.name.text));
        for (at, argument) in function.arguments.iter().enumerate() {
            put!(self, "{}{}: ", if at == 0 { "" } else { ", " }, argument.id);
            self.ty(&argument.ty);
            put!(self, " {}", escaped(&argument.name.text));
        }
        self.out.push(')');
    }

    /// The functions that a service has from its parents.
    fn inherited(&mut self, mut parent: Option<ItemId>) {
        let site = self.site;
        // Parents do not go round in circles here.
        while let Some(id) = parent {
            let ItemKind::Service { extends, functions } = &site.program.item(id).kind else { return };
            self.out.push_str("<p><b>Inherited</b> from ");
            self.item_link(id);
            for (at, function) in functions.iter().enumerate() {
                let name = &function.name.text;
                let href = site.href(self.file, id, Some(name));
                put!(
                    self,
                    "{}<a href=\"{href}\"><code>{}</code></a>",
                    if at == 0 { ": " } else { ", " },
                    escaped(name)
                );
            }
            self.out.push_str("</p>\n");
            parent = *extends;
        }
    }

    /// The name of a definition as it is written in this file, with a link.
    fn item_link(&mut self, id: ItemId) {
        let site = self.site;
        let item: &Item = site.program.item(id);
        put!(self, "<a href=\"{}\">", site.href(self.file, id, None));
        let file = item.file.index();
        if file != self.file {
            escape(&site.program.files[file].stem, &mut self.out);
            self.out.push('.');
        }
        put!(self, "{}</a>", escaped(&item.name.text));
    }

    fn ty(&mut self, ty: &Ty) {
        match &ty.kind {
            TyKind::Base(base) => self.out.push_str(match base {
                BaseType::Bool => "bool",
                BaseType::I8 => "i8",
                BaseType::I16 => "i16",
                BaseType::I32 => "i32",
                BaseType::I64 => "i64",
                BaseType::Double => "double",
                BaseType::String => "string",
                BaseType::Binary => "binary",
            }),
            TyKind::Uuid => self.out.push_str("uuid"),
            TyKind::List(element) => {
                self.out.push_str("list&lt;");
                self.ty(element);
                self.out.push_str("&gt;");
            }
            TyKind::Set(element) => {
                self.out.push_str("set&lt;");
                self.ty(element);
                self.out.push_str("&gt;");
            }
            TyKind::Map(key, value) => {
                self.out.push_str("map&lt;");
                self.ty(key);
                self.out.push_str(", ");
                self.ty(value);
                self.out.push_str("&gt;");
            }
            TyKind::Item(id) => self.item_link(*id),
            // There is no program with such a type.
            TyKind::Unknown => self.out.push('?'),
        }
    }
}
