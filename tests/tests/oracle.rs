//! The oracle with all its faults and few calls; `cargo xtask oracle` makes a million.

use std::time::Duration;

use thrift_nats_tests::oracle::{DriveOptions, Fault, drive};

#[tokio::test(flavor = "multi_thread")]
async fn guarantees_hold_under_every_fault() {
    let options = DriveOptions {
        program: env!("CARGO_BIN_EXE_oracle").into(),
        calls: 8000,
        concurrency: 16,
        at_least: Duration::from_secs(3),
        faults: Fault::all(),
        seed: 1,
    };
    let report = drive(options).await.unwrap();
    println!("{report}");
    assert!(report.violations().is_empty(), "{report}");
    assert!(report.answered() > 4000, "{report}");
}
