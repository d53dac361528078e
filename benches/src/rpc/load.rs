//! A load: concurrent callers that each make one call after the other, for a time.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::BoxError;

/// The result of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// The number of calls, all with the right result.
    pub(crate) calls: u64,
    pub(crate) time: Duration,
}

impl Load {
    pub(crate) fn per_second(self) -> f64 {
        self.calls as f64 / self.time.as_secs_f64()
    }
}

/// Runs `callers` tasks that make calls for `time`. `call` gets a different number for each call.
pub(crate) async fn drive<F>(
    callers: usize,
    time: Duration,
    call: impl Fn(i32) -> F + Clone + Send + 'static,
) -> Result<Load, BoxError>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let begun = Instant::now();
    let end = begun + time;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let call = call.clone();
        tasks.spawn(async move {
            let mut calls = 0_u64;
            while Instant::now() < end {
                call((caller as i32) << 20 | (calls as i32 & 0xf_ffff)).await?;
                calls += 1;
            }
            Ok::<_, BoxError>(calls)
        });
    }
    let mut calls = 0;
    while let Some(task) = tasks.join_next().await {
        calls += task??;
    }
    Ok(Load { calls, time: begun.elapsed() })
}
