//! Paired measurements: contestants take turns in one run, so that other load on the machine affects all of them alike.
//!
//! Absolute times vary with the machine and its load. The result is therefore the ratio of two measurements of the same turn,
//! and its spread over the turns shows its precision. Many short turns are better than few long ones, because a disturbed
//! turn is then an outlier outside the middle half.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The samples of a contestant, one per turn: nanoseconds, calls per second, or another unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

/// The ratio of two contestants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median over the turns.
    pub median: f64,
    /// The ratio of the smallest samples. For times, these are of the turns that other load disturbed least.
    pub best: f64,
    /// The lower quartile.
    pub low: f64,
    /// The upper quartile.
    pub high: f64,
}

/// Runs each of `contestants` once per turn and collects their samples. The order rotates.
///
/// # Panics
/// If `turns` is 0.
pub fn take_turns<const N: usize>(turns: usize, contestants: [&mut dyn FnMut() -> f64; N]) -> [Samples; N] {
    assert!(turns > 0, "one turn at least");
    let mut samples = [const { Vec::new() }; N];
    for turn in 0..turns {
        for position in 0..N {
            let who = (turn + position) % N;
            samples[who].push(contestants[who]());
        }
    }
    samples.map(Samples)
}

/// Measures the nanoseconds of one run of `run`, over as many runs as take about `time`; the first turn determines their
/// number. The result of `run` counts as used, so that the compiler removes none of the work.
pub fn per_run<R>(time: Duration, mut run: impl FnMut() -> R) -> impl FnMut() -> f64 {
    let mut runs: Option<u32> = None;
    move || {
        let runs = *runs.get_or_insert_with(|| calibrate(time, &mut run));
        time_of(runs, &mut run).as_secs_f64() * 1e9 / f64::from(runs)
    }
}

fn time_of<R>(runs: u32, run: &mut impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        black_box(run());
    }
    start.elapsed()
}

/// The number of runs that take about `time`.
fn calibrate<R>(time: Duration, run: &mut impl FnMut() -> R) -> u32 {
    let mut runs = 1_u32;
    loop {
        let taken = time_of(runs, run);
        if taken * 4 >= time || runs > u32::MAX / 4 {
            let wanted = f64::from(runs) * time.as_secs_f64() / taken.as_secs_f64().max(1e-9);
            // The cast saturates.
            return (wanted as u32).max(1);
        }
        runs *= 2;
    }
}

impl Samples {
    /// Samples of other measurements, one per turn.
    ///
    /// # Panics
    /// If `samples` is empty.
    #[must_use]
    pub fn new(samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "one sample at least");
        Self(samples)
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The smallest sample. For times, it is the one that other load disturbed least.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest sample.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The quantile `part`; 0.5 is the median.
    fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = part * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        (above - below).mul_add(place.fract(), below)
    }

    /// The median of samples in nanoseconds, as text: `830 ns`, `7.9 µs`.
    #[must_use]
    pub fn ns(&self) -> String {
        nanoseconds(self.median())
    }

    /// The ratio of these samples to the `others`, turn by turn.
    ///
    /// # Panics
    /// If the numbers of turns differ.
    #[must_use]
    pub fn over(&self, others: &Self) -> Ratio {
        assert_eq!(self.0.len(), others.0.len(), "measured in the same turns");
        let ratios = Self(self.0.iter().zip(&others.0).map(|(a, b)| a / b).collect());
        let best = self.min() / others.min();
        Ratio { median: ratios.at(0.5), best, low: ratios.at(0.25), high: ratios.at(0.75) }
    }
}

/// A time as text, with three significant digits.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// `3.41 (3.30–3.52)`: the median and the quartiles.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn order_of_contestants_rotates() {
        let order = RefCell::new(String::new());
        let mut a = || {
            order.borrow_mut().push('a');
            1.0
        };
        let mut b = || {
            order.borrow_mut().push('b');
            2.0
        };
        let [a, b] = take_turns(3, [&mut a, &mut b]);
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!((a.median(), b.min(), b.max()), (1.0, 2.0, 2.0));
    }

    #[test]
    fn ratio_is_computed_turn_by_turn() {
        let (ours, theirs) = (Samples::new(vec![1.0, 10.0, 1.0]), Samples::new(vec![2.0, 30.0, 4.0]));
        assert_eq!(theirs.over(&ours), Ratio { median: 3.0, best: 2.0, low: 2.5, high: 3.5 });
        assert_eq!(theirs.over(&ours).to_string(), "3.00 (2.50–3.50)");
    }

    #[test]
    fn time_has_the_unit_that_fits() {
        let shown = [9.5, 830.0, 7_900.0, 13_333.0, 999_700.0, 2.5e9].map(nanoseconds);
        assert_eq!(shown, ["9.50 ns", "830 ns", "7.90 µs", "13.3 µs", "1.00 ms", "2.50 s"]);
    }

    #[test]
    fn time_of_a_run_is_measured_over_many() {
        let mut count = 0_u64;
        let mut measure = per_run(Duration::from_millis(2), || count += 1);
        assert!(measure() > 0.0);
        drop(measure);
        assert!(count > 1000);
    }
}
