//! Makes the calls of the tutorial and prints their results.

use std::time::Duration;

use thrift_nats_runtime::Client;

use crate::tutorial::{CalculatorCalculateError, CalculatorClient, Operation, Work};
use crate::{BoxError, Format};

pub(crate) async fn run(nats: &async_nats::Client, subject: &str, format: Format) -> Result<(), BoxError> {
    let Format { protocol, transport } = format;
    let client = Client::builder(nats, subject).protocol(protocol).transport(transport).connect().await?;
    let calculator = CalculatorClient::new(client);

    calculator.ping().await?;
    println!("ping()");

    let sum = calculator.add(1, 1).await?;
    println!("1+1={sum}");

    let work = Work { num1: 1, num2: 0, op: Operation::DIVIDE, ..Work::default() };
    match calculator.calculate(1, &work).timeout(Duration::from_secs(2)).await {
        Ok(quotient) => return Err(format!("1/0={quotient}?").into()),
        Err(CalculatorCalculateError::InvalidOperation(invalid)) => println!("1/0: {invalid}"),
        Err(CalculatorCalculateError::Rpc(error)) => return Err(error.into()),
    }

    let work = Work { num1: 15, num2: 10, op: Operation::SUBTRACT, ..Work::default() };
    let difference = calculator.calculate(1, &work).await?;
    println!("15-10={difference}");

    let log = calculator.get_struct(1).await?;
    println!("Check log: {}", log.value);

    calculator.zip().await?;
    calculator.close().await?;
    Ok(())
}
