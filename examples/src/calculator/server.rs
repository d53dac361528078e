//! Implements the service: a calculator that logs its results.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use thrift_nats_runtime::{Context, Error, ServeError, Server};

use crate::Common;
use crate::shared::{SharedService, SharedStruct};
use crate::tutorial::{
    Calculator, CalculatorCalculateError, CalculatorServer, InvalidOperation, Operation, Work,
};

/// Serves the calculator. The server is listening when this returns.
pub(crate) async fn start(nats: &async_nats::Client, common: &Common) -> Result<Server, ServeError> {
    Server::builder(nats, &common.subject)
        .heartbeat((!common.heartbeat.is_zero()).then_some(common.heartbeat))
        .serve(CalculatorServer::new(Handler::default()))
        .await
}

#[derive(Debug, Default)]
struct Handler {
    log: Mutex<BTreeMap<i32, SharedStruct>>,
}

impl SharedService for Handler {
    async fn get_struct(&self, _cx: &Context, key: i32) -> Result<SharedStruct, Error> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(log.get(&key).cloned().unwrap_or_default())
    }
}

impl Calculator for Handler {
    async fn ping(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }

    async fn add(&self, _cx: &Context, num1: i32, num2: i32) -> Result<i32, Error> {
        Ok(num1.wrapping_add(num2))
    }

    async fn calculate(&self, _cx: &Context, logid: i32, w: Work) -> Result<i32, CalculatorCalculateError> {
        let Work { num1, num2, op, .. } = w;
        let invalid = |why: &str| InvalidOperation { what_op: op.0, why: why.to_owned() };
        let result = match op {
            Operation::ADD => num1.checked_add(num2),
            Operation::SUBTRACT => num1.checked_sub(num2),
            Operation::MULTIPLY => num1.checked_mul(num2),
            Operation::DIVIDE if num2 == 0 => return Err(invalid("cannot divide by zero").into()),
            Operation::DIVIDE => num1.checked_div(num2),
            // Enums are open: a newer client may know more of them.
            Operation(_) => return Err(invalid("unknown operation").into()),
        };
        let result = result.ok_or_else(|| invalid("the result does not fit in i32"))?;
        let entry = SharedStruct { key: logid, value: result.to_string() };
        self.log.lock().unwrap_or_else(PoisonError::into_inner).insert(logid, entry);
        Ok(result)
    }

    async fn zip(&self, _cx: &Context) -> Result<(), Error> {
        Ok(())
    }
}
