//! Build script, macro and command give the same code: one suite of calls over a real NATS server, for each of them.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod generated;

/// What a build script has generated.
mod build_script {
    use thrift_nats_tests::{shared, tutorial};

    include!("front_ends/suite.rs");
}

/// What the attribute macro generates here.
mod attribute {
    #[thrift_nats_runtime::thrift("../idl/tutorial.thrift")]
    mod api {}

    use api::{shared, tutorial};

    include!("front_ends/suite.rs");
}

/// What the command has written, checked in.
mod command {
    use super::generated::{shared, tutorial};

    include!("front_ends/suite.rs");

    /// `BLESS=1` writes it anew.
    #[test]
    fn the_checked_in_code_is_what_the_idl_gives() {
        let workspace = thrift_nats_tests::workspace_dir();
        let path = workspace.join("tests/tests/generated/mod.rs");
        let generated =
            thrift_nats_codegen::Options::new().generate([workspace.join("idl/tutorial.thrift")]).unwrap();
        if std::env::var_os("BLESS").is_some() {
            generated.write(&path).unwrap();
        }
        let present = std::fs::read_to_string(&path).unwrap();
        assert!(present == generated.code, "out of date: run this test with BLESS=1, and read the diff");
    }
}
