//! The services of the benchmarks.

use bytes::Bytes;
use thrift_nats_runtime::{Context, Error};

use crate::echo::Echo;
use crate::shared::{SharedService, SharedStruct};
use crate::tutorial::{Calculator, CalculatorCalculateError, Work};

/// The service of the tutorial.
pub(crate) struct Adder;

impl SharedService for Adder {
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        Ok(SharedStruct { key, value: String::new() })
    }
}

impl Calculator for Adder {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1.wrapping_add(num2))
    }

    async fn calculate(&self, _cx: &Context, _logid: i32, w: Work) -> Result<i32, CalculatorCalculateError> {
        Ok(w.num1)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// Returns its argument.
pub(crate) struct Repeat;

impl Echo for Repeat {
    async fn echo(&self, _cx: &Context, bytes: Bytes) -> Result<Bytes, Error> {
        Ok(bytes)
    }
}
