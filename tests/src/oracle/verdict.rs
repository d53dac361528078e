//! Compares the records of clients and servers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::notes::{Ended, Ending, lines, parse_ended};
use super::plan::{Fault, Function, Plan};

/// The number of violations that are shown.
const SHOWN: usize = 20;

/// The number of times that each fault has happened.
pub(super) type Events = BTreeMap<&'static str, u64>;

/// The results of all calls.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The results by fault.
    phases: Vec<(Fault, Phase)>,
    /// The violated guarantees.
    violations: Vec<Violation>,
}

/// A violated guarantee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the call.
    pub id: u64,
    /// The fault at the time.
    pub fault: Fault,
    /// A description of the violation.
    pub what: String,
}

#[derive(Clone, Debug, Default)]
struct Phase {
    /// The number of calls by how they ended.
    endings: BTreeMap<String, u64>,
    calls: u64,
    answered: u64,
    /// Calls that ran and whose client has recorded nothing.
    unheard: u64,
    /// Idempotent calls that ran more than once.
    run_again: u64,
    longest: Duration,
    /// The duration of the phase.
    took: Duration,
    /// The events.
    events: Events,
}

impl Report {
    /// The violated guarantees.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The number of calls that have ended.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.phases.iter().map(|(_, phase)| phase.calls).sum()
    }

    /// The number of calls that succeeded.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.phases.iter().map(|(_, phase)| phase.answered).sum()
    }

    /// Reads the records of a phase.
    pub(super) fn add(
        &mut self,
        fault: Fault,
        folder: &Path,
        took: Duration,
        events: Events,
    ) -> io::Result<()> {
        let mut runs: HashMap<u64, u32> = HashMap::new();
        for line in lines(folder, "runs-")? {
            *runs.entry(line.parse().map_err(io::Error::other)?).or_default() += 1;
        }
        let mut phase = Phase { took, events, ..Phase::default() };
        let mut seen = runs.clone();
        let mut ended_as = HashMap::new();
        for line in lines(folder, "ended-")? {
            let ended = parse_ended(&line).ok_or_else(|| io::Error::other(format!("a note: {line}")))?;
            seen.remove(&ended.id);
            let runs = runs.get(&ended.id).copied().unwrap_or_default();
            if let Some(what) = violation(fault, &ended, runs) {
                self.violations.push(Violation { id: ended.id, fault, what });
            }
            phase.note(&ended);
            if runs > 1 {
                ended_as.insert(ended.id, ended);
            }
        }
        // Calls of a client that was killed before it could record how they ended.
        phase.unheard = seen.len() as u64;
        for (id, times) in runs.into_iter().filter(|(_, times)| *times > 1) {
            if Plan::of(id).may_be_run_again() {
                phase.run_again += 1;
            } else {
                let function = Plan::of(id).function;
                let what = match ended_as.get(&id) {
                    Some(Ended { ending, took, .. }) => {
                        format!("{function:?} was run {times} times, and ended after {took:?} as {ending:?}")
                    }
                    None => format!("{function:?} was run {times} times"),
                };
                self.violations.push(Violation { id, fault, what });
            }
        }
        self.phases.push((fault, phase));
        Ok(())
    }
}

/// The guarantee that a call has violated, if any.
fn violation(fault: Fault, ended: &Ended, runs: u32) -> Option<String> {
    let plan = Plan::of(ended.id);
    let (function, took) = (plan.function, ended.took);
    match &ended.ending {
        ending if took > fault.bound(plan) && *ending != Ending::Dropped => {
            Some(format!("{function:?} has ended after {took:?}, as {ending:?}"))
        }
        // A oneway call that was sent may or may not have run.
        Ending::Answered if runs == 0 && function != Function::Tell => {
            Some(format!("{function:?} was answered and never run"))
        }
        Ending::Answered => None,
        Ending::NotRun(kind) if runs > 0 => {
            Some(format!("{function:?} ended as not run, with {kind} after {took:?}, and was run"))
        }
        Ending::NotRun(kind) | Ending::Unknown(kind) if fault.must_succeed(plan) => {
            Some(format!("{function:?} failed with {kind} after {took:?}, run {runs} times"))
        }
        Ending::NotRun(_) | Ending::Unknown(_) | Ending::Dropped => None,
        Ending::Wrong(what) => Some(format!("{function:?}: {what}")),
        Ending::Hung => Some(format!("{function:?} has not ended after {took:?}")),
    }
}

impl Phase {
    fn note(&mut self, ended: &Ended) {
        self.calls += 1;
        self.answered += u64::from(ended.ending == Ending::Answered);
        self.longest = self.longest.max(ended.took);
        let name = match &ended.ending {
            Ending::Answered => return,
            Ending::NotRun(kind) => format!("not run: {kind}"),
            Ending::Unknown(kind) => format!("unknown: {kind}"),
            Ending::Wrong(_) => "wrong".to_owned(),
            Ending::Hung => "hung".to_owned(),
            Ending::Dropped => "dropped".to_owned(),
        };
        *self.endings.entry(name).or_default() += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:22} {:>9} {:>9} {:>8} {:>8} {:>9} {:>7} {:>9}",
            "while", "calls", "answered", "failed", "unheard", "run again", "longest", "calls/s"
        )?;
        for (fault, phase) in &self.phases {
            writeln!(
                f,
                "{fault:22} {:>9} {:>9} {:>8} {:>8} {:>9} {:>6.2}s {:>9.0}",
                phase.calls,
                phase.answered,
                phase.calls - phase.answered,
                phase.unheard,
                phase.run_again,
                phase.longest.as_secs_f64(),
                phase.calls as f64 / phase.took.as_secs_f64()
            )?;
            for (event, times) in phase.events.iter().filter(|(_, times)| **times > 0) {
                writeln!(f, "{:24}{times:>8} {event}", "")?;
            }
            for (ending, times) in &phase.endings {
                writeln!(f, "{:24}{times:>8} {ending}", "")?;
            }
        }
        writeln!(
            f,
            "{} calls, {} answered, {} violations",
            self.calls(),
            self.answered(),
            self.violations.len()
        )?;
        for Violation { id, fault, what } in self.violations.iter().take(SHOWN) {
            writeln!(f, "  call {id}, {fault}: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::notes::Notes;
    use super::super::plan::{FLOOD, LARGE, LINGER, UNTOUCHED};
    use super::*;

    /// The number of a call of this function, with these bits.
    fn id(function: Function, bits: u64) -> u64 {
        (0..).map(|id| id | bits).find(|id| Plan::of(*id).function == function).unwrap()
    }

    /// The verdict on the ending of a call of this function, after a number of runs.
    fn verdict(fault: Fault, function: Function, ending: Ending, runs: u32) -> Vec<Violation> {
        verdict_on(fault, Ended { id: id(function, 0), ending, took: Duration::ZERO }, runs)
    }

    fn verdict_on(fault: Fault, call: Ended, runs: u32) -> Vec<Violation> {
        let folder = tempfile::tempdir().unwrap();
        let (ended, run) = (folder.path().join("ended-1"), folder.path().join("runs-1"));
        Notes::open(&ended).unwrap().ended(&call).unwrap();
        let notes = Notes::open(&run).unwrap();
        (0..runs).for_each(|_| notes.runs(call.id).unwrap());
        let mut report = Report::default();
        report.add(fault, folder.path(), Duration::from_secs(1), Events::default()).unwrap();
        assert_eq!(report.calls(), 1);
        report.violations
    }

    #[test]
    fn calls_that_a_fault_does_not_concern_must_succeed() {
        for (fault, function, bits, may_fail) in [
            (Fault::ClientsPaused, Function::Once, 0, true),
            (Fault::ClientsPaused, Function::Once, UNTOUCHED, false),
            (Fault::ClientKilled, Function::Once, UNTOUCHED, false),
            (Fault::ServersPaused, Function::Once, 0, true),
            (Fault::ServersPaused, Function::Again, 0, false),
            (Fault::Flood, Function::Once, FLOOD, true),
            (Fault::Flood, Function::Once, 0, false),
            (Fault::LargeMessages, Function::Once, LARGE, false),
            (Fault::CancelStorm, Function::Linger, LINGER, true),
            (Fault::CancelStorm, Function::Once, 0, false),
        ] {
            let (id, ending) = (id(function, bits), Ending::Unknown("SessionEnded".into()));
            let violations = verdict_on(fault, Ended { id, ending, took: Duration::ZERO }, 0);
            assert_eq!(violations.is_empty(), may_fail, "{fault} {function:?} {bits}: {violations:?}");
        }
    }

    #[test]
    fn late_end_is_a_violation_whatever_it_is() {
        let late = |fault, ending| {
            let id = id(Function::Once, 0);
            let took = Fault::None.bound(Plan::of(id)) + Duration::from_millis(1);
            verdict_on(fault, Ended { id, ending, took }, 1).len()
        };
        assert_eq!(late(Fault::ServerKilled, Ending::Answered), 1);
        assert_eq!(late(Fault::ServerKilled, Ending::Unknown("SessionEnded".into())), 1);
        assert_eq!(late(Fault::ClientsPaused, Ending::Answered), 0, "the pause is added");
        assert_eq!(late(Fault::CancelStorm, Ending::Dropped), 0);
    }

    #[test]
    fn guarantees_that_hold_are_not_violations() {
        let not_run = || Ending::NotRun("NoServer".into());
        let unknown = || Ending::Unknown("SessionEnded".into());
        assert_eq!(verdict(Fault::None, Function::Once, Ending::Answered, 1), []);
        assert_eq!(verdict(Fault::ServerKilled, Function::Again, Ending::Answered, 2), []);
        assert_eq!(verdict(Fault::ServerKilled, Function::Once, not_run(), 0), []);
        assert_eq!(verdict(Fault::ServerKilled, Function::Once, unknown(), 0), []);
        assert_eq!(verdict(Fault::ServerKilled, Function::Once, unknown(), 1), []);
        assert_eq!(verdict(Fault::ServerKilled, Function::Tell, Ending::Answered, 0), []);
    }

    #[test]
    fn every_violated_guarantee_is_reported() {
        let not_run = || Ending::NotRun("NoServer".into());
        for (fault, function, ending, runs) in [
            (Fault::ServerKilled, Function::Once, Ending::Answered, 2),
            (Fault::ServerKilled, Function::Tell, Ending::Answered, 2),
            (Fault::ServerKilled, Function::Once, Ending::Answered, 0),
            (Fault::ServerKilled, Function::Once, not_run(), 1),
            (Fault::ServerKilled, Function::Again, not_run(), 1),
            (Fault::ServerKilled, Function::Once, Ending::Hung, 1),
            (Fault::ServerKilled, Function::Once, Ending::Wrong("sum".into()), 1),
            (Fault::RollingRestart, Function::Once, not_run(), 0),
            (Fault::RollingRestart, Function::Once, Ending::Unknown("x".into()), 1),
        ] {
            let violations = verdict(fault, function, ending.clone(), runs);
            assert_eq!(violations.len(), 1, "{fault} {function:?} {ending:?} {runs}: {violations:?}");
        }
    }
}
