//! Large echoes for a long time, many at once, and small calls beside them on the same session. Checks that no call fails,
//! and prints the latency of the small calls and the memory of both processes.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thrift_nats_runtime::Server;
use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::echo::{EchoClient, EchoServer};
use crate::services::Repeat;
use crate::{BoxError, process};

const SUBJECT: &str = "large";
/// The argument that makes this program the server.
pub(crate) const SERVER: &str = "large-server";
/// The number of concurrent echoes, and the length of each.
const ECHOES: usize = 8;
const LEN: usize = 20 << 20;
/// The pause between two small calls.
const PAUSE: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn large(runtime: &Runtime, broker: &Broker, time: Duration) -> Result<(), BoxError> {
    let mut server = Side(
        Command::new(std::env::current_exe()?)
            .args([SERVER, &broker.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut ready = String::new();
    let output = server.0.stdout.take().ok_or("the server has no standard output")?;
    BufReader::new(output).read_line(&mut ready)?;
    let load = runtime.block_on(run(broker, time))?;
    let Load { echoes, mut failed, mut small, took } = load;
    small.sort_unstable();
    let at = |share: usize| small[(small.len() - 1) * share / 1000];
    println!(
        "{echoes} echoes of {} MiB, {ECHOES} at a time, in {:.1} s: {:.0} MB per second each way, {} failed",
        LEN >> 20,
        took.as_secs_f64(),
        (echoes * LEN) as f64 / 1e6 / took.as_secs_f64(),
        failed.len()
    );
    println!(
        "{} small calls beside them: median {:?}, p99 {:?}, longest {:?}",
        small.len(),
        at(500),
        at(990),
        at(1000)
    );
    for (side, id) in [("client", std::process::id()), ("server", server.0.id()), ("NATS", broker.id())] {
        if let Some(peak) = process::peak(id) {
            println!("{side}: {} MiB of memory at most", peak >> 20);
        }
    }
    failed.truncate(3);
    if failed.is_empty() { Ok(()) } else { Err(format!("calls have failed: {failed:?}").into()) }
}

struct Load {
    /// The number of echoes that have returned.
    echoes: usize,
    failed: Vec<String>,
    /// The times of the small calls.
    small: Vec<Duration>,
    took: Duration,
}

async fn run(broker: &Broker, time: Duration) -> Result<Load, BoxError> {
    let client = EchoClient::connect(&broker.connect().await?, SUBJECT).await?;
    let begun = Instant::now();
    let payload = Bytes::from(vec![b'x'; LEN]);
    let mut callers = Vec::new();
    for _ in 0..ECHOES {
        let (client, payload) = (client.clone(), payload.clone());
        callers.push(tokio::spawn(async move {
            let (mut echoes, mut failed) = (0, Vec::new());
            while begun.elapsed() < time {
                match client.echo(&payload).timeout(TIMEOUT).await {
                    Ok(echo) if echo.len() == LEN => echoes += 1,
                    Ok(echo) => failed.push(format!("the echo has {} bytes", echo.len())),
                    Err(error) => failed.push(error.to_string()),
                }
            }
            (echoes, failed)
        }));
    }
    let (mut small, mut failed) = (Vec::new(), Vec::new());
    while begun.elapsed() < time {
        let made = Instant::now();
        match client.echo(&Bytes::new()).timeout(TIMEOUT).await {
            Ok(_) => small.push(made.elapsed()),
            Err(error) => failed.push(error.to_string()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut echoes = 0;
    for caller in callers {
        let (returned, errors) = caller.await?;
        echoes += returned;
        failed.extend(errors);
    }
    if small.is_empty() {
        return Err("no small call has returned".into());
    }
    Ok(Load { echoes, failed, small, took: begun.elapsed() })
}

/// The process of the server. It is killed when this is dropped.
struct Side(Child);

impl Drop for Side {
    fn drop(&mut self) {
        // Both fail only if the process has exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The main function of the process of the server. It exits when its standard input closes.
pub(crate) fn server(url: &str) -> Result<(), BoxError> {
    let runtime = crate::runtime()?;
    runtime.block_on(async {
        let nats = crate::broker::connect(url).await?;
        let server = Server::builder(&nats, SUBJECT).serve(EchoServer::new(Repeat)).await?;
        println!("ready");
        tokio::task::spawn_blocking(|| io::stdin().lines().for_each(drop)).await?;
        drop(server);
        Ok(())
    })
}
