//! Writes files that are generated.

use std::path::Path;

use crate::error::Error;

/// Writes `text` to a file and creates its folder if it does not exist. A file that already holds `text` is not touched, so
/// that cargo and make do not rebuild what depends on it.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<(), Error> {
    write(path, text).map_err(|error| Error::message(format!("cannot write `{}`: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}
