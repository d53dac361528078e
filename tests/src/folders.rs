//! The folders of the workspace and of its build output.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in a folder of the workspace")
}

/// The folder cargo builds into.
///
/// It is the first of: `CARGO_TARGET_DIR` (from the workspace, if relative); the folder that holds the running program
/// and that cargo has tagged as its own, which covers `--target-dir` and `build.target-dir`; `target` in the workspace.
#[must_use]
pub fn target_dir() -> PathBuf {
    let program = env::current_exe().ok();
    choose(env::var_os("CARGO_TARGET_DIR").map(PathBuf::from), program.as_deref())
}

fn choose(variable: Option<PathBuf>, program: Option<&Path>) -> PathBuf {
    if let Some(folder) = variable.filter(|folder| !folder.as_os_str().is_empty()) {
        return workspace_dir().join(folder);
    }
    // https://bford.info/cachedir/: cargo writes this tag into each target folder that it makes.
    program
        .and_then(|program| program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()))
        .map_or_else(|| workspace_dir().join("target"), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_comes_first_and_is_relative_to_the_workspace() {
        let absolute = workspace_dir().join("elsewhere");
        assert_eq!(choose(Some(absolute.clone()), None), absolute);
        assert_eq!(choose(Some("out".into()), None), workspace_dir().join("out"));
    }

    #[test]
    fn without_the_variable_the_tag_of_cargo_marks_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("CACHEDIR.TAG"), "").unwrap();
        let program = folder.path().join("debug/deps/test");
        assert_eq!(choose(None, Some(&program)), folder.path());
        assert_eq!(choose(Some(PathBuf::new()), Some(&program)), folder.path());
    }

    #[test]
    fn without_either_it_is_the_target_of_the_workspace() {
        assert_eq!(choose(None, None), workspace_dir().join("target"));
    }
}
