//! Services: their functions, and those they inherit.

use std::collections::HashMap;

use super::Audit;
use super::version::List;
use crate::diagnostics::{Severity, enumerate};
use crate::ir::{ItemId, ItemKind};

/// A function: its service, and its position there.
type At = (ItemId, usize);

impl Audit<'_> {
    pub(super) fn service(&mut self, old: ItemId, new: ItemId) {
        let name = &self.new_item(new).name.text;
        let mut now: HashMap<&str, At> = HashMap::new();
        for at in self.new.functions(new) {
            if let Some(function) = self.new.function(at) {
                now.entry(function.name.text.as_str()).or_insert(at);
            }
        }
        let mut lost = Vec::new();
        for at in self.old.functions(old) {
            let Some(was) = self.old.function(at) else { continue };
            match now.get(was.name.text.as_str()) {
                Some(found) => self.function(name, at, *found),
                None if at.0 == old => {
                    let text = format!("function `{name}.{}` is removed", was.name.text);
                    let label = (self.new.name(new), "an old client may still call it");
                    let note = (self.old.place(was.name.place), "was defined here");
                    self.find(Severity::Error, text, label, note);
                }
                // Removed from the parent, and reported there.
                None if self.is_removed(at, &was.name.text) => {}
                None => lost.push(format!("`{}`", was.name.text)),
            }
        }
        self.parent(old, new, &lost);
    }

    /// Whether the service that defined a function is still there, without it.
    fn is_removed(&self, (service, _): At, function: &str) -> bool {
        self.matches.new_of(service).is_some_and(|service| {
            let mut functions = self.new.functions(service).into_iter();
            !functions.any(|at| self.new.function(at).is_some_and(|other| other.name.text == function))
        })
    }

    fn parent(&mut self, old: ItemId, new: ItemId, lost: &[String]) {
        let parent = |kind: &ItemKind| match kind {
            ItemKind::Service { extends, .. } => *extends,
            ItemKind::Typedef(_) | ItemKind::Const { .. } | ItemKind::Enum(_) | ItemKind::Struct { .. } => {
                None
            }
        };
        let (was, is) = (parent(&self.old_item(old).kind), parent(&self.new_item(new).kind));
        let name = &self.new_item(new).name.text;
        let new_place = self.new.parent(new).unwrap_or(self.new.name(new));
        let old_place = self.old.parent(old).unwrap_or(self.old.name(old));
        if !lost.is_empty() {
            // There may be hundreds.
            let mut names = lost.to_vec();
            if names.len() > 5 {
                names.truncate(5);
                names.push(format!("{} more", lost.len() - 5));
            }
            let text = format!("service `{name}` loses what it inherited: {}", enumerate(&names));
            let label = (new_place, "an old client may still call them");
            self.find(Severity::Error, text, label, (old_place, "inherited from here"));
            return;
        }
        let Some(was) = was else { return };
        if is.is_some_and(|is| self.matches.are(was, is)) {
            return;
        }
        let was = &self.old_item(was).name.text;
        let text = match is {
            Some(is) => {
                format!(
                    "service `{name}` extends `{}` now, and did extend `{was}`",
                    self.new_item(is).name.text
                )
            }
            None => format!("service `{name}` does not extend `{was}` any more"),
        };
        let label = (new_place, "code that takes it for its old parent does not compile");
        self.find(Severity::Warning, text, label, (old_place, "the old parent"));
    }

    fn function(&mut self, service: &str, old_at: At, new_at: At) {
        if !self.functions.insert((old_at, new_at)) {
            return;
        }
        let (Some(was), Some(is)) = (self.old.function(old_at), self.new.function(new_at)) else { return };
        let name = format!("{service}.{}", is.name.text);
        let places = (self.old.place(was.name.place), self.new.place(is.name.place));
        if was.oneway != is.oneway {
            let (text, label) = if is.oneway {
                ("is oneway now", "an old client waits for an answer")
            } else {
                ("is not oneway any more", "an old client does not wait for the answer")
            };
            let new_place = self.new.oneway(new_at.0, new_at.1).unwrap_or(places.1);
            let old_place = self.old.oneway(old_at.0, old_at.1).unwrap_or(places.0);
            let note = if was.oneway { "was oneway" } else { "was not oneway" };
            let text = format!("function `{name}` {text}");
            self.find(Severity::Error, text, (new_place, label), (old_place, note));
        }
        match (&was.returns, &is.returns) {
            (None, None) => {}
            (Some(old_ty), Some(new_ty)) => {
                self.type_finding(&format!("the result of `{name}`"), old_ty, new_ty);
            }
            (Some(_), None) | (None, Some(_)) => {
                let new_place = self.new.returns(new_at.0, new_at.1).unwrap_or(places.1);
                let old_place = self.old.returns(old_at.0, old_at.1).unwrap_or(places.0);
                let (text, label, note) = if was.returns.is_some() {
                    ("returns nothing now", "an old client misses the result", "returned this")
                } else {
                    ("returns something now", "an old server gives no result", "returned nothing")
                };
                let text = format!("function `{name}` {text}");
                self.find(Severity::Error, text, (new_place, label), (old_place, note));
            }
        }
        let lists = (List::Arguments(old_at.0, old_at.1), List::Arguments(new_at.0, new_at.1));
        self.arguments(&name, places, (lists.0, &was.arguments), (lists.1, &is.arguments));
        let lists = (List::Throws(old_at.0, old_at.1), List::Throws(new_at.0, new_at.1));
        self.throws(&name, places, (lists.0, &was.throws), (lists.1, &is.throws));
    }
}
