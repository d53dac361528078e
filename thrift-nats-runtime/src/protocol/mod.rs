//! Reading and writing Thrift values, over memory.
