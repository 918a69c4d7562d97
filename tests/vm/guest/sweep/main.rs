//! The fault sweep, the part that runs in a dom0: every system call of a `pciseize seize` fails in
//! turn, and the process is killed at every call in turn. See `tests/vm/sweep.rs`.
//!
//! `sweep quick|full PART ADDRESS=DRIVER…` writes one line for every point to the standard
//! output, and one line for every broken rule.
//!
//! | file | is for |
//! | --- | --- |
//! | `trace` | runs the program under ptrace, and breaks one call |
//! | `call` | which calls there are, and how each can fail |
//! | `machine` | the devices and the module: prepared before each point, checked after it |
//! | `judge` | the rules that must hold after every point |

mod call;
mod judge;
mod machine;
mod trace;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use call::{Call, Fault};
use judge::Verdict;
use machine::{Device, State};
use trace::{Break, End, Run};

/// The number of points between two lines on the console.
const SHOWN: usize = 10;

/// The setting `timeout` while calls are broken: this many durations of the control, rounded up to
/// seconds, but at least the minimum below. Many points wait for the timeout, so it is short.
const TIMEOUT_OF_CONTROL: u32 = 4;
const LEAST_TIMEOUT: u64 = 3;

/// The control has no timeout, in effect: it may take as long as this machine needs.
const NO_TIMEOUT: u64 = 3600;

/// A run hangs if it lasts longer than this many durations of the control, plus the timeout.
const HANGS: u32 = 20;

fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let is_full = words.next().context("quick or full?")? == "full";
    let part = words.next().context("which calls?")?;
    let devices = words
        .map(|word| Device::parse(&word))
        .collect::<Result<Vec<_>>>()?;
    ensure!(!devices.is_empty(), "no devices");
    machine::quiet()?;

    let begin = Instant::now();
    let mut sweep = Sweep {
        devices: &devices,
        is_full,
        part: &part,
        limit: Duration::MAX,
        points: 0,
        in_children: 0,
        missed: 0,
        violations: 0,
        taken: 0,
        refused: 0,
        kinds: BTreeMap::new(),
    };
    let states: &[State] = if is_full {
        &State::ALL
    } else {
        &State::ALL[..2]
    };
    for (number, &state) in states.iter().enumerate() {
        sweep.state(state, number)?;
    }
    for (kind, count) in &sweep.kinds {
        println!("kind {count} {kind}");
    }
    println!(
        "end points={} in_children={} missed={} violations={} taken={} refused={} seconds={}",
        sweep.points,
        sweep.in_children,
        sweep.missed,
        sweep.violations,
        sweep.taken,
        sweep.refused,
        begin.elapsed().as_secs()
    );
    Ok(())
}

/// How often the calls are listed at most, until two runs in turn have the same.
const LISTS: usize = 10;

/// How often a call is tried to be broken. A wait may end sooner than in the run that listed the
/// calls, and then the call is not made.
const TRIES: usize = 3;

struct Sweep<'d> {
    devices: &'d [Device],
    /// Break every call in every way that it can fail.
    is_full: bool,
    /// Break only the calls whose text contains this.
    part: &'d str,
    /// A run that lasts longer hangs.
    limit: Duration,
    points: usize,
    in_children: usize,
    /// Points whose call the broken run never made.
    missed: usize,
    violations: usize,
    /// How often a driver of dom0 took a free device when it was offered.
    taken: usize,
    /// How often a driver did not take an offered device because the device was held.
    refused: usize,
    /// The number of points by kind: process, call, fault.
    kinds: BTreeMap<String, usize>,
}

impl Sweep<'_> {
    /// Sweeps all runs that begin in this state.
    fn state(&mut self, state: State, number: usize) -> Result<()> {
        machine::show(&format!("sweep: from {}", state.name()))?;
        machine::configure(self.devices, NO_TIMEOUT)?;
        let (whole, positions) = self.whole(state)?;
        let timeout = (whole.time * TIMEOUT_OF_CONTROL)
            .as_secs()
            .saturating_add(1)
            .max(LEAST_TIMEOUT);
        machine::configure(self.devices, timeout)?;
        self.limit = (whole.time + Duration::from_secs(timeout)) * HANGS;
        let control = judge::control(&whole, self.devices);
        self.tell(state, None, &whole, &control);

        for (position, call) in positions.into_iter().enumerate() {
            if !call.to_string().contains(self.part) {
                continue;
            }
            let errnos = call.errnos();
            let rotated = errnos
                .get((position + number) % errnos.len().max(1))
                .copied();
            let fails = if self.is_full {
                errnos.to_vec()
            } else {
                rotated.into_iter().collect()
            };
            let mut faults: Vec<_> = fails
                .into_iter()
                .map(Fault::Fails)
                .chain([Fault::Killed])
                .collect();
            if !self.is_full && number > 0 {
                // From the first state, every call was broken in both ways; from the next, in one
                // or the other.
                faults = vec![faults[position % faults.len()]];
            }
            for (turn, fault) in faults.into_iter().enumerate() {
                // At every other point, all devices are offered to dom0's drivers at that very
                // moment.
                let is_rivalled = (position / 2 + turn) % 2 == 1;
                self.point(state, &call, fault, is_rivalled)?;
            }
        }
        Ok(())
    }

    /// Runs it undisturbed, and lists the calls to break. Now and then the children get the devices
    /// in another order; calls that two runs in turn have, in any order, are the usual ones.
    fn whole(&self, state: State) -> Result<(Run, Vec<Call>)> {
        let mut before = None;
        for _ in 0..LISTS {
            machine::prepare(state, self.devices)?;
            let whole = trace::run_whole(self.devices)?;
            let positions = call::positions(&whole.calls, self.is_full);
            let calls: BTreeSet<_> = positions.iter().cloned().collect();
            if before.as_ref() == Some(&calls) {
                return Ok((whole, positions));
            }
            before = Some(calls);
        }
        bail!("{LISTS} runs from {} had other calls each", state.name())
    }

    /// Runs it once with that call broken.
    fn broken(
        &self,
        state: State,
        call: &Call,
        fault: Fault,
        rivalled: &[Device],
    ) -> Result<trace::Run> {
        machine::prepare(state, self.devices)?;
        let broken = Break {
            call,
            fault,
            rivalled,
        };
        trace::run_broken(broken, self.devices, self.limit)
    }

    /// Breaks one call, judges the result, and lets a run without faults finish the job.
    fn point(&mut self, state: State, call: &Call, fault: Fault, is_rivalled: bool) -> Result<()> {
        let rivalled = if is_rivalled { self.devices } else { &[] };
        let mut run = self.broken(state, call, fault, rivalled)?;
        for _ in 1..TRIES {
            if !run.is_broken {
                run = self.broken(state, call, fault, rivalled)?;
            }
        }
        let tried = self.points + self.missed;
        if tried.is_multiple_of(SHOWN) {
            machine::show(&format!("sweep: {tried} points"))?;
        }
        if !run.is_broken {
            // Such points are counted, and few are allowed.
            self.missed += 1;
            println!("missed {} {call} {fault}", state.name());
            return Ok(());
        }
        self.points += 1;
        self.in_children += usize::from(call.process > 0);
        let process = if call.process == 0 { "parent" } else { "child" };
        *self
            .kinds
            .entry(format!("{process} {} {fault}", call.name))
            .or_default() += 1;
        let mut verdict = judge::broken(&run, call, fault, self.devices);
        if is_rivalled {
            verdict.wrong.extend(judge::rivals(&run, self.devices)?);
            let free = || {
                run.rivalries
                    .iter()
                    .filter(|rivalry| rivalry.before.is_none())
            };
            self.taken += free()
                .filter(|rivalry| !rivalry.was_held && rivalry.after.is_some())
                .count();
            self.refused += free()
                .filter(|rivalry| rivalry.was_held && rivalry.after.is_none())
                .count();
        }
        let begin = Instant::now();
        verdict
            .wrong
            .extend(judge::finishing(&trace::run_alone()?, self.devices));
        verdict.finishing = begin.elapsed();
        self.tell(state, Some((call, fault, is_rivalled)), &run, &verdict);
        Ok(())
    }

    /// Writes the lines about a point or about the control.
    fn tell(
        &mut self,
        state: State,
        point: Option<(&Call, Fault, bool)>,
        run: &Run,
        verdict: &Verdict,
    ) {
        let name = match point {
            None => format!("control {} calls={}", state.name(), run.calls.len()),
            Some((call, fault, is_rivalled)) => format!(
                "point {} {call} {fault}{}",
                state.name(),
                if is_rivalled { " rivalled" } else { "" }
            ),
        };
        let end = match run.end {
            End::Exited(status) => format!("status {status}"),
            End::Died(signal) => signal.to_string(),
        };
        println!(
            "{name}: {end}, {}, {}+{} ms",
            verdict.seen,
            run.time.as_millis(),
            verdict.finishing.as_millis()
        );
        if point.is_none() {
            for call in &run.calls {
                println!("  {call}");
            }
        }
        for wrong in &verdict.wrong {
            self.violations += 1;
            println!("wrong {name}: {wrong}; {}", verdict.seen);
            for line in run.said.lines() {
                println!("  said: {line}");
            }
        }
    }
}
