//! The output of the generators for `hive_metastore.thrift`: its length, and the time to compile it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use thrift_nats_benches::paired::{Samples, nanoseconds};
use thrift_nats_benches::report::{Report, Table};
use thrift_nats_codegen::Options;
use thrift_parser::syntax::{Definition, Document, Header};

/// A crate with the output of one generator.
pub(crate) struct Output {
    name: &'static str,
    /// The name of the crate.
    package: &'static str,
    folder: PathBuf,
    /// The generated files.
    generated: Vec<PathBuf>,
}

/// A workspace with a crate per generator, with the dependencies locked as in this workspace.
pub(crate) fn generate(hive: &Path, folder: &Path) -> Result<Vec<Output>, Box<dyn Error>> {
    let folder = folder.join("compile");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runtime = here.join("../thrift-nats-runtime").canonicalize()?;
    let mut outputs = Vec::new();
    let mut make = |name,
                    package: &'static str,
                    dependency: &str,
                    root: &str|
     -> Result<PathBuf, Box<dyn Error>> {
        let folder = folder.join(package);
        let source = folder.join("src");
        fs::create_dir_all(&source)?;
        let manifest = format!(
            "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependency}\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::write(source.join("lib.rs"), root)?;
        outputs.push(Output { name, package, folder, generated: Vec::new() });
        Ok(source)
    };

    let dependency =
        format!("thrift-nats-runtime = {{ path = {:?}, default-features = false }}", runtime.display());
    let source = make("thrift-nats-codegen", "ours", &dependency, "include!(\"generated.rs\");\n")?;
    Options::new().generate([hive])?.write(&source.join("generated.rs"))?;

    let source = make("pilota-build", "pilotas", "pilota = \"0.13\"", "include!(\"generated.rs\");\n")?;
    let output = pilota_build::Output::File(source.join("generated.rs"));
    pilota_build::Builder::thrift().ignore_unused(false).compile([hive], output);

    let root = "#![allow(warnings)]\npub mod fb303;\npub mod hive_metastore;\n";
    let source = make("Apache", "apaches", "thrift = \"0.25\"", root)?;
    let apache = Command::new("thrift").args(["-r", "--gen", "rs", "-out"]).arg(&source).arg(hive).status();
    if !apache.is_ok_and(|status| status.success()) {
        outputs.pop();
    }

    for output in &mut outputs {
        let files = fs::read_dir(output.folder.join("src"))?.map(|entry| entry.map(|entry| entry.path()));
        output.generated = files.collect::<Result<_, _>>()?;
        output.generated.retain(|path| !path.ends_with("lib.rs"));
    }
    let members: Vec<_> = outputs.iter().map(|output| output.package).collect();
    let manifest =
        format!("[workspace]\nresolver = \"2\"\nmembers = {members:?}\n\n[profile.dev]\ndebug = false\n");
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(here.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(outputs)
}

/// The lines per field.
pub(crate) fn sizes(report: &mut Report, hive: &Path, outputs: &[Output]) -> Result<(), Box<dyn Error>> {
    report.heading("Size of the generated code");
    let fields = fields(hive)?;
    report.text(&format!(
        "The output for `hive_metastore.thrift` and its includes, with clients and servers, as each generator \
         formats it. The files have {fields} fields, counting those of structs, arguments and declared exceptions."
    ));
    if outputs.len() < 3 {
        report.text(crate::NO_APACHE);
    }
    let mut table = Table::new(["", "lines", "lines per field", "bytes"]);
    for output in outputs {
        let (mut lines, mut bytes) = (0, 0);
        for path in &output.generated {
            let text = fs::read_to_string(path)?;
            lines += text.lines().count();
            bytes += text.len();
        }
        let per_field = format!("{:.1}", lines as f64 / fields as f64);
        table.row([output.name.to_owned(), lines.to_string(), per_field, bytes.to_string()]);
    }
    report.table(&table);
    Ok(())
}

/// The number of fields in a file and its includes.
fn fields(root: &Path) -> Result<usize, Box<dyn Error>> {
    let mut paths = vec![root.to_owned()];
    let (mut next, mut fields) = (0, 0);
    while next < paths.len() {
        let path = paths[next].clone();
        let document = thrift_parser::parse(&fs::read_to_string(&path)?).document;
        fields += fields_of(&document);
        for header in &document.headers {
            let Header::Include(include) = header else { continue };
            let included = path.with_file_name(&include.path.value);
            // Some includes are in other folders of the corpus; these files are in the same one.
            let included = included.file_name().map_or(included.clone(), |name| path.with_file_name(name));
            if !paths.contains(&included) {
                paths.push(included);
            }
        }
        next += 1;
    }
    Ok(fields)
}

fn fields_of(document: &Document) -> usize {
    let of = |definition: &Definition| match definition {
        Definition::Struct(item) => item.fields.len(),
        Definition::Service(item) => {
            item.functions.iter().map(|function| function.arguments.len() + function.throws.len()).sum()
        }
        Definition::Typedef(_) | Definition::Const(_) | Definition::Enum(_) => 0,
    };
    document.definitions.iter().map(of).sum()
}

/// The time to compile each crate, after its dependencies.
pub(crate) fn times(
    report: &mut Report,
    outputs: &[Output],
    folder: &Path,
    turns: usize,
) -> Result<(), Box<dyn Error>> {
    report.heading("Time to compile the generated code");
    report.text(
        "A crate that holds the generated code and nothing else, compiled without optimisation, debug information \
         and incremental compilation. Its dependencies are built before the time is taken.",
    );
    // A row per output, with `check` and `build`.
    let mut samples = vec![[const { Vec::new() }; 2]; outputs.len()];
    for turn in 0..=turns {
        for (output, samples) in outputs.iter().zip(&mut samples) {
            for (what, samples) in ["check", "build"].into_iter().zip(samples) {
                let time = compile(output, what, &folder.join("compile"))?;
                // The first run builds the dependencies.
                if turn > 0 {
                    samples.push(time);
                }
            }
        }
    }
    let samples: Vec<[Samples; 2]> = samples.into_iter().map(|two| two.map(Samples::new)).collect();
    let mut table = Table::new(["", "`cargo check`", "times ours", "`cargo build`", "times ours"]);
    for (output, [check, build]) in outputs.iter().zip(&samples) {
        table.row([
            output.name.to_owned(),
            nanoseconds(check.min()),
            check.over(&samples[0][0]).to_string(),
            nanoseconds(build.min()),
            build.over(&samples[0][1]).to_string(),
        ]);
    }
    report.table(&table);
    Ok(())
}

fn compile(output: &Output, what: &str, folder: &Path) -> Result<f64, Box<dyn Error>> {
    let root = output.folder.join("src/lib.rs");
    // A new modification time makes cargo compile the file again.
    fs::write(&root, fs::read(&root)?)?;
    let start = Instant::now();
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([what, "--quiet", "--package", output.package, "--target-dir"])
        .arg(folder.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTFLAGS", "--cap-lints=allow")
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("`cargo {what}` of the output of {} fails", output.name).into());
    }
    Ok(start.elapsed().as_secs_f64() * 1e9)
}
