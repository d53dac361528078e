//! The files of a run: their paths, their texts, and places in them.

use std::path::{Path, PathBuf};

use thrift_parser::syntax::Span;

/// A file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceId(u32);

impl SourceId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A range of text in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) source: SourceId,
    pub(crate) span: Span,
}

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As it was given, or the including file's folder with the include's path.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The offset of each line's first byte.
    lines: Vec<u32>,
}

impl Source {
    pub(crate) fn new(path: PathBuf, text: String) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at as u32 + 1)).collect();
        Self { path, text, lines }
    }

    /// The number of the line that `offset` is on, from 0.
    pub(crate) fn line(&self, offset: u32) -> usize {
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    /// The offset of the first byte of a line. After the last line, the end of the text.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line).map_or(self.text.len(), |start| *start as usize)
    }

    /// Line and column of `offset`, both from 1; columns count characters.
    pub(crate) fn position(&self, offset: u32) -> (usize, usize) {
        let line = self.line(offset);
        let before = &self.text[self.line_start(line)..offset as usize];
        (line + 1, before.chars().count() + 1)
    }
}

/// All files of a run, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    pub(crate) fn add(&mut self, source: Source) -> SourceId {
        self.0.push(source);
        SourceId(self.0.len() as u32 - 1)
    }

    pub(crate) fn get(&self, id: SourceId) -> &Source {
        &self.0[id.index()]
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..self.0.len() as u32).map(SourceId)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|source| source.path.as_path())
    }
}
