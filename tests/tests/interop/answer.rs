//! Commands and their results, in either language.

use serde_json::{Value, json};
use thrift_nats_runtime::Error;
use thrift_nats_tests::tutorial::CalculatorCalculateError;

/// A command. The fields are those of the commands of the Go peer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Ping,
    /// Makes `times` calls, one after the other.
    Add {
        num1: i32,
        num2: i32,
        times: i32,
    },
    Calculate {
        logid: i32,
        num1: i32,
        num2: i32,
        op: i32,
        comment: Option<String>,
    },
    GetStruct {
        key: i32,
    },
    Zip,
    /// A oneway function in a message of the kind of a call, as Apache's Go client sends it since 0.11.
    ZipAsCall,
    Unknown,
    /// Closes the client.
    Close,
    /// Waits until the session of a client in Rust has ended. A client in Go reports it.
    UntilEnded,
    /// Stops the heartbeats of the client.
    Mute,
}

impl Command {
    /// The line for the Go peer.
    pub(crate) fn line(&self) -> Value {
        match self {
            Self::Ping => json!({ "do": "ping" }),
            Self::Add { num1, num2, times } => {
                json!({ "do": "add", "num1": num1, "num2": num2, "times": times })
            }
            Self::Calculate { logid, num1, num2, op, comment } => json!({
                "do": "calculate", "key": logid, "num1": num1, "num2": num2, "op": op, "comment": comment,
            }),
            Self::GetStruct { key } => json!({ "do": "getStruct", "key": key }),
            Self::Zip => json!({ "do": "zip" }),
            Self::ZipAsCall => json!({ "do": "zipAsCall" }),
            Self::Unknown => json!({ "do": "unknown" }),
            Self::Close => json!({ "do": "close" }),
            Self::UntilEnded => unreachable!("the Go peer says so by itself"),
            Self::Mute => json!({ "do": "mute" }),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Success; `true` for a `void` function.
    Ok(Value),
    /// The declared exception of `calculate`.
    Ouch { what_op: i64, why: String },
    /// A TApplicationException of this kind.
    Application { kind: i64, message: String },
    /// Any other error, usually the end of the session.
    Failed(String),
}

impl Answer {
    pub(crate) fn done() -> Self {
        Self::Ok(Value::Bool(true))
    }

    pub(crate) fn number(number: i32) -> Self {
        Self::Ok(number.into())
    }

    pub(crate) fn entry(key: i32, value: &str) -> Self {
        Self::Ok(json!({ "key": key, "value": value }))
    }

    pub(crate) fn is_application(&self, expected: i64) -> bool {
        matches!(self, Self::Application { kind, .. } if *kind == expected)
    }

    /// Parses a line of the Go peer.
    pub(crate) fn parse(line: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        if let Some(ouch) = line.get("ouch") {
            return Self::Ouch { what_op: ouch["whatOp"].as_i64().unwrap(), why: text(&ouch["why"]) };
        }
        if let Some(application) = line.get("application") {
            let kind = application["kind"].as_i64().unwrap();
            return Self::Application { kind, message: text(&application["message"]) };
        }
        match line.get("error") {
            Some(error) => Self::Failed(text(error)),
            None => Self::Ok(line["ok"].clone()),
        }
    }
}

impl<T: Into<Value>> From<Result<T, Error>> for Answer {
    fn from(result: Result<T, Error>) -> Self {
        match result {
            Ok(value) => Self::Ok(value.into()),
            Err(Error::Application(exception)) => {
                Self::Application { kind: exception.kind.0.into(), message: exception.message }
            }
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl From<Result<i32, CalculatorCalculateError>> for Answer {
    fn from(result: Result<i32, CalculatorCalculateError>) -> Self {
        match result {
            Ok(value) => Self::number(value),
            Err(CalculatorCalculateError::InvalidOperation(ouch)) => {
                Self::Ouch { what_op: ouch.what_op.into(), why: ouch.why }
            }
            Err(CalculatorCalculateError::Rpc(error)) => Err::<Value, _>(error).into(),
        }
    }
}
