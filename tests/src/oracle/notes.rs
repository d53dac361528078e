//! The records of clients and servers: files of lines, which the oracle reads when the processes have exited.
//!
//! A process writes each line at once and in one call, so that it survives the process even if that is killed. Only the
//! last line can be truncated; it is ignored then.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the right reply.
    Answered,
    /// With a typed error that says that the call did not run.
    NotRun(String),
    /// With a typed error that says that the call may have run.
    Unknown(String),
    /// With a wrong reply.
    Wrong(String),
    /// Not by its deadline.
    Hung,
    /// Its future was dropped.
    Dropped,
}

impl Ending {
    fn line(&self) -> (&'static str, &str) {
        match self {
            Self::Answered => ("answered", ""),
            Self::NotRun(kind) => ("not-run", kind),
            Self::Unknown(kind) => ("unknown", kind),
            Self::Wrong(what) => ("wrong", what),
            Self::Hung => ("hung", ""),
            Self::Dropped => ("dropped", ""),
        }
    }

    fn parse(word: &str, rest: &str) -> Option<Self> {
        Some(match word {
            "answered" => Self::Answered,
            "not-run" => Self::NotRun(rest.to_owned()),
            "unknown" => Self::Unknown(rest.to_owned()),
            "wrong" => Self::Wrong(rest.to_owned()),
            "hung" => Self::Hung,
            "dropped" => Self::Dropped,
            _ => return None,
        })
    }
}

/// A call that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) id: u64,
    pub(super) ending: Ending,
    pub(super) took: Duration,
}

/// A file of records.
#[derive(Debug)]
pub(super) struct Notes(File);

impl Notes {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::options().create(true).append(true).open(path)?))
    }

    /// Of a server: this call runs now.
    pub(super) fn runs(&self, id: u64) -> io::Result<()> {
        (&self.0).write_all(format!("{id}\n").as_bytes())
    }

    /// Of a client: this call has ended.
    pub(super) fn ended(&self, ended: &Ended) -> io::Result<()> {
        let (word, rest) = ended.ending.line();
        let rest = rest.replace('\n', " ");
        (&self.0).write_all(format!("{} {word} {} {rest}\n", ended.id, ended.took.as_micros()).as_bytes())
    }
}

/// The records of all files whose names start with the prefix.
pub(super) fn lines(folder: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        if file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix)) {
            let text = fs::read_to_string(file)?;
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            lines.extend(whole.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

/// Parses the line of a client.
pub(super) fn parse_ended(line: &str) -> Option<Ended> {
    let mut words = line.splitn(4, ' ');
    let id = words.next()?.parse().ok()?;
    let word = words.next()?;
    let took = Duration::from_micros(words.next()?.parse().ok()?);
    Some(Ended { id, ending: Ending::parse(word, words.next()?)?, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_a_round_trip_and_a_truncated_line_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(&folder.path().join("ended-1")).unwrap();
        let all = [
            Ending::Answered,
            Ending::NotRun("A b".into()),
            Ending::Unknown("C".into()),
            Ending::Hung,
            Ending::Dropped,
        ];
        let all = all.map(|ending| Ended { id: 7, ending, took: Duration::from_micros(5) });
        for ended in &all {
            notes.ended(ended).unwrap();
        }
        (&notes.0).write_all(b"8 answ").unwrap();
        let found = lines(folder.path(), "ended-").unwrap();
        assert_eq!(found.iter().map(|line| parse_ended(line).unwrap()).collect::<Vec<_>>(), all);
        assert_eq!(lines(folder.path(), "runs-").unwrap(), [""; 0]);
    }
}
