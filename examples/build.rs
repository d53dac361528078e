//! Generates the types, clients and service traits of the examples.

fn main() -> Result<(), thrift_nats_codegen::Error> {
    thrift_nats_codegen::compile(["../idl/tutorial.thrift"])
}
