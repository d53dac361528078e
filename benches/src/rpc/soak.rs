//! Full load for a long time, with sessions that open and close. Checks that memory, subscriptions and tasks do not grow.

use std::time::{Duration, Instant};

use thrift_nats_runtime::Server;
use tokio::runtime::{Handle, Runtime};

use crate::broker::Broker;
use crate::load::drive;
use crate::services::Adder;
use crate::tutorial::{CalculatorClient, CalculatorServer};
use crate::{BoxError, process};

const SUBJECT: &str = "soak";
/// The number of concurrent calls of the permanent load.
const CALLS: usize = 256;
/// The number of concurrent calls of each short-lived client.
const GUESTS: usize = 16;
/// The load before the first reading, so that one-time allocations do not count.
const WARM_UP: Duration = Duration::from_secs(10);
/// The time between two readings.
const BETWEEN: Duration = Duration::from_secs(10);
/// The bound for closed sessions to disappear.
const SETTLE: Duration = Duration::from_secs(30);
/// The permitted growth of resident memory. Over ten minutes it is a tenth of a byte per call.
const SLACK: u64 = 8 << 20;

/// The resources in use when nothing runs.
#[derive(Debug)]
struct Look {
    resident: Option<u64>,
    subscriptions: u64,
    tasks: usize,
}

pub(crate) fn soak(runtime: &Runtime, broker: &Broker, time: Duration) -> Result<(), BoxError> {
    runtime.block_on(async {
        let server = broker.connect().await?;
        let server = Server::builder(&server, SUBJECT).serve(CalculatorServer::new(Adder)).await?;
        let nats = broker.connect().await?;
        run(broker, &nats, WARM_UP).await?;
        let before = settled(broker, None).await?;
        println!("before: {before:?}");
        run(broker, &nats, time).await?;
        let after = settled(broker, Some(&before)).await?;
        println!("after:  {after:?}");
        drop(server);
        if after.subscriptions != before.subscriptions || after.tasks != before.tasks {
            return Err("subscriptions or tasks are not as before".into());
        }
        if let (Some(before), Some(after)) = (before.resident, after.resident)
            && after > before + SLACK
        {
            return Err("memory is not as before".into());
        }
        println!("Memory, subscriptions and tasks are as before.");
        Ok(())
    })
}

/// Runs the full load for `time` and prints the resources in use.
async fn run(broker: &Broker, nats: &async_nats::Client, time: Duration) -> Result<(), BoxError> {
    let client = CalculatorClient::connect(nats, SUBJECT).await?;
    let resident = client.clone();
    let load = tokio::spawn(drive(CALLS, time, move |number| {
        let call = resident.add(number, 1);
        async move {
            let sum = call.await?;
            if sum == number.wrapping_add(1) { Ok(()) } else { Err("a wrong sum".into()) }
        }
    }));
    let guests = tokio::spawn(guests(nats.clone(), time));
    let begun = Instant::now();
    while begun.elapsed() + BETWEEN < time {
        tokio::time::sleep(BETWEEN).await;
        println!("{:>5} s: {:?}", begun.elapsed().as_secs(), look(broker)?);
    }
    let (load, sessions) = (load.await??, guests.await??);
    client.close().await?;
    println!(
        "{} calls, {:.0} per second, and {sessions} sessions that came and went",
        load.calls,
        load.per_second()
    );
    Ok(())
}

/// Short-lived clients, some of which are dropped with calls in flight.
async fn guests(nats: async_nats::Client, time: Duration) -> Result<u64, BoxError> {
    let begun = Instant::now();
    let mut sessions = 0;
    while begun.elapsed() < time {
        let client = CalculatorClient::connect(&nats, SUBJECT).await?;
        let calls: Vec<_> = (0..GUESTS as i32).map(|number| tokio::spawn(client.add(number, 1))).collect();
        calls.iter().take(GUESTS / 2).for_each(|call| call.abort());
        for call in calls {
            // A cancelled call has no result.
            if let Ok(reply) = call.await {
                reply?;
            }
        }
        sessions += 1;
        if sessions % 2 == 0 {
            client.close().await?;
        }
    }
    Ok(sessions)
}

fn look(broker: &Broker) -> Result<Look, BoxError> {
    Ok(Look {
        resident: process::resident(std::process::id()),
        subscriptions: broker.subscriptions()?,
        tasks: Handle::current().metrics().num_alive_tasks(),
    })
}

/// The resources in use after closed sessions have disappeared, or after the bound.
async fn settled(broker: &Broker, expected: Option<&Look>) -> Result<Look, BoxError> {
    let until = Instant::now() + SETTLE;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let look = look(broker)?;
        let there = expected.is_none_or(|expected| {
            (look.subscriptions, look.tasks) == (expected.subscriptions, expected.tasks)
        });
        if there || Instant::now() > until {
            return Ok(look);
        }
    }
}
