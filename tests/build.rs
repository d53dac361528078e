//! Generates the services of the tests.

#[cfg(not(feature = "service"))]
fn main() {}

#[cfg(feature = "service")]
fn main() -> Result<(), thrift_nats_codegen::Error> {
    thrift_nats_codegen::compile(["../idl/probe.thrift", "../idl/tutorial.thrift"])
}
