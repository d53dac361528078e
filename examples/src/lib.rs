//! What the examples are made of: the modules that the build script has generated from `idl/`.

thrift_nats_runtime::include_thrift!();
