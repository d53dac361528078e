//! The measured files.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the main workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder for generated files, next to the program.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let folder = env::current_exe()?.with_file_name("bench-idl");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// `hive_metastore.thrift`, if the corpus was found.
pub(crate) fn hive() -> Option<PathBuf> {
    let beside = || workspace().join("../shared/idl-corpus");
    let corpus = env::var_os("THRIFT_IDL_CORPUS").map_or_else(beside, PathBuf::from);
    let path = corpus.join("real/cloudera+impyla/impala/thrift/hive_metastore.thrift");
    path.canonicalize().ok()
}

/// An IDL file of about this many lines: structs with fields of all kinds, enums and services.
pub(crate) fn synthetic(folder: &Path, lines: usize) -> io::Result<(PathBuf, String)> {
    let mut text = String::new();
    for number in 0..lines / 20 {
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "/** Structure {number}. */\n\
             struct Record{number} {{\n\
             \x20 1: required i64 id,\n\
             \x20 2: optional string name,\n\
             \x20 3: list<i32> numbers,\n\
             \x20 4: map<string, list<double>> table,\n\
             \x20 5: Kind{number} kind = Kind{number}.FIRST,\n\
             \x20 6: optional Record{} other,\n\
             }}\n\
             \n\
             enum Kind{number} {{\n\
             \x20 FIRST = 1,\n\
             \x20 SECOND,\n\
             }}\n\
             \n\
             service Service{number} {{\n\
             \x20 Record{number} get(1: i64 id),\n\
             \x20 void put(1: Record{number} record),\n\
             }}\n\
             \n",
            number / 2
        );
    }
    let path = folder.join(format!("made{lines}.thrift"));
    fs::write(&path, &text)?;
    Ok((path, text))
}
