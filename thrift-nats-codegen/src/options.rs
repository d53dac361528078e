//! The options of build scripts, the macro and the command. The operations are in `generate`.

use std::path::PathBuf;

use crate::attributes::{Rule, Rules};
use crate::diagnostics::FrontEnd;
use crate::error::Error;

/// Options of the generated code. Build scripts, the attribute macro and the command share these options.
///
/// ```no_run
/// fn main() -> Result<(), thrift_nats_codegen::Error> {
///     thrift_nats_codegen::Options::new().include("idl/common").server(false).compile(["idl/orders.thrift"])
/// }
/// ```
///
/// | option | default |
/// | --- | --- |
/// | [`include`](Self::include) | none: only the including file's folder is searched |
/// | [`out_dir`](Self::out_dir) | the variable `OUT_DIR`, which cargo sets for build scripts |
/// | [`file_name`](Self::file_name) | `thrift.rs` |
/// | [`client`](Self::client), [`server`](Self::server) | both are generated |
/// | [`containers`](Self::containers) | B-trees |
/// | [`strings`](Self::strings) | `String` |
/// | [`type_attribute`](Self::type_attribute), [`field_attribute`](Self::field_attribute) | none |
/// | [`serde`](Self::serde) | no |
/// | [`extern_file`](Self::extern_file) | none: everything is generated |
/// | [`keep_unknown_fields`](Self::keep_unknown_fields) | they are skipped |
/// | [`comments`](Self::comments) | the IDL's comments become documentation |
/// | [`deny_warnings`](Self::deny_warnings) | warnings are only shown |
/// | [`threads`](Self::threads) | several, where there is much to do |
/// | [`runtime`](Self::runtime) | `::thrift_nats_runtime` |
#[derive(Clone, Debug)]
#[must_use = "it does nothing until `compile` or `generate` is called"]
pub struct Options {
    pub(crate) include_paths: Vec<PathBuf>,
    pub(crate) out_dir: Option<PathBuf>,
    pub(crate) file_name: PathBuf,
    pub(crate) client: bool,
    pub(crate) server: bool,
    pub(crate) containers: Containers,
    pub(crate) strings: Strings,
    pub(crate) attributes: Rules,
    pub(crate) serde: bool,
    pub(crate) externs: Vec<ExternFile>,
    pub(crate) keep_unknown_fields: bool,
    pub(crate) comments: bool,
    pub(crate) deny_warnings: bool,
    pub(crate) threads: bool,
    pub(crate) front_end: FrontEnd,
    /// A path, as was checked.
    pub(crate) runtime: String,
}

/// The Rust types of sets and maps. The IDL can choose it for a single type: `(rust.type = "hash")`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Containers {
    /// `BTreeSet` and `BTreeMap`.
    #[default]
    BTree,
    /// `HashSet` and `HashMap`. Within keys they are B-trees, because a hash container cannot be hashed.
    Hash,
}

/// The Rust type of strings. The IDL can choose it for a single type: `(rust.type = "shared")`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strings {
    /// `String`.
    #[default]
    Owned,
    /// `FastStr` of the crate `faststr`: a short text lies inline, one of more than 4 KiB is a slice of the message it came
    /// in, and cloning is cheap. The runtime needs its feature `faststr`.
    Shared,
}

/// A file whose code is elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ExternFile {
    pub(crate) file: PathBuf,
    pub(crate) path: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            include_paths: Vec::new(),
            out_dir: None,
            file_name: PathBuf::from("thrift.rs"),
            client: true,
            server: true,
            containers: Containers::BTree,
            strings: Strings::Owned,
            attributes: Rules::default(),
            serde: false,
            externs: Vec::new(),
            keep_unknown_fields: false,
            comments: true,
            deny_warnings: false,
            threads: true,
            front_end: FrontEnd::Rust,
            runtime: "::thrift_nats_runtime".to_owned(),
        }
    }
}

impl Options {
    /// All options at their defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder to search for included files, after the including file's own; may be given several times.
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Self {
        self.include_paths.push(folder.into());
        self
    }

    /// The folder that [`compile`](Self::compile) writes to.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// The name of the file that [`compile`](Self::compile) writes. It may be in a subfolder, but not outside of the
    /// one that is written to.
    pub fn file_name(mut self, name: impl Into<PathBuf>) -> Self {
        self.file_name = name.into();
        self
    }

    /// Whether to generate clients.
    pub const fn client(mut self, generate: bool) -> Self {
        self.client = generate;
        self
    }

    /// Whether to generate the traits of services and what serves them.
    pub const fn server(mut self, generate: bool) -> Self {
        self.server = generate;
        self
    }

    /// The Rust types of sets and maps.
    pub const fn containers(mut self, containers: Containers) -> Self {
        self.containers = containers;
        self
    }

    /// The Rust type of strings.
    pub const fn strings(mut self, strings: Strings) -> Self {
        self.strings = strings;
        self
    }

    /// An attribute for the enums, structs, unions and exceptions that `pattern` matches: `Order`, `orders.Order`,
    /// `orders.*`, in the IDL's names, with `*` for any part of a name. A pattern that matches nothing is an error when
    /// code is generated.
    ///
    /// # Errors
    /// If `attribute` is not of the form `#[…]`.
    pub fn type_attribute(mut self, pattern: &str, attribute: &str) -> Result<Self, Error> {
        self.attributes.types.push(Rule::new(pattern, attribute).map_err(Error::message)?);
        Ok(self)
    }

    /// An attribute for the fields and variants that `pattern` matches: `Order.price`, `orders.Order.*`, `*.price`. As
    /// [`type_attribute`](Self::type_attribute).
    ///
    /// # Errors
    /// If `attribute` is not of the form `#[…]`.
    pub fn field_attribute(mut self, pattern: &str, attribute: &str) -> Result<Self, Error> {
        self.attributes.fields.push(Rule::new(pattern, attribute).map_err(Error::message)?);
        Ok(self)
    }

    /// Whether types implement serde's `Serialize` and `Deserialize`, with the IDL's names; fields that are missing have
    /// their defaults. The runtime needs its feature `serde`.
    pub const fn serde(mut self, derive: bool) -> Self {
        self.serde = derive;
        self
    }

    /// The code of `file`, which is included here, is in the module `path` of another crate, as in
    /// `extern_file("shared.thrift", "::other_crate::shared")`: types and services are shared with it. `file` is the end
    /// of a path; it is an error when code is generated if nothing is included by it, or if it is what code is generated
    /// from.
    ///
    /// # Errors
    /// If `path` is not a path.
    pub fn extern_file(mut self, file: impl Into<PathBuf>, path: &str) -> Result<Self, Error> {
        syn::parse_str::<syn::Path>(path)
            .map_err(|error| Error::message(format!("`{path}` is not the path of a module: {error}")))?;
        self.externs.push(ExternFile { file: file.into(), path: path.to_owned() });
        Ok(self)
    }

    /// Whether structs, unions and exceptions keep the fields that they do not know, and those that come with another type
    /// than their own, and write them back: in `unknown_fields`, and in the variant `Unknown` of unions. So a service
    /// passes on what a newer peer has added.
    pub const fn keep_unknown_fields(mut self, keep: bool) -> Self {
        self.keep_unknown_fields = keep;
        self
    }

    /// Whether the IDL's comments become documentation.
    pub const fn comments(mut self, keep: bool) -> Self {
        self.comments = keep;
        self
    }

    /// Whether a warning is as bad as an error.
    pub const fn deny_warnings(mut self, deny: bool) -> Self {
        self.deny_warnings = deny;
        self
    }

    /// Whether several threads may work on a large program. Not within a procedural macro: there tokens belong to the
    /// compiler, and to one thread.
    pub const fn threads(mut self, several: bool) -> Self {
        self.threads = several;
        self
    }

    /// The front end, for the hints of diagnostics.
    #[doc(hidden)]
    pub const fn front_end(mut self, front_end: FrontEnd) -> Self {
        self.front_end = front_end;
        self
    }

    /// The path of the runtime crate, where it is not `::thrift_nats_runtime`: re-exported by another crate, say.
    ///
    /// # Errors
    /// If `path` is not a path.
    pub fn runtime(mut self, path: &str) -> Result<Self, Error> {
        syn::parse_str::<syn::Path>(path).map_err(|error| {
            Error::message(format!("`{path}` is not the path of a crate or module: {error}"))
        })?;
        path.clone_into(&mut self.runtime);
        Ok(self)
    }
}
