//! Generated machines with generated requests and disturbances, judged by the laws.
//!
//! A scenario has three runs. In the first, drivers and devices come and go, other processes load
//! pciback, calls fail, and processes die or hang. The second is undisturbed and has to finish the
//! job. The third must change nothing.
//!
//! - `make check-model` plays 100,000 scenarios, always the same ones.
//! - `PROPTEST_CASES=1000000 make check-model PROPTEST_RNG_SEED=$RANDOM` plays a million others.
//! - `cargo test` plays some.
//!
//! A failing scenario is shrunk, printed, and kept in `scenarios.regressions` beside this file.
//! Later runs play it first: commit it.

use std::{env, rc::Rc};

use pciseize::{cli::Exit, host::Errno};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
    test_runner::FileFailurePersistence,
};

use crate::{
    dom0::{Arrival, CallMatch, Change, Dom0, End, Ending, Fate, Mishap},
    item::{Item, Wish, wish},
    kernel::{Driver, E1000E, Function, GREEDY, Kernel, MODULE, Module, NOUVEAU, PCIBACK, XHCI},
    laws::{Asked, Broken, Run, start},
    machine::{self, machine},
    plan::{Question, SOURCES},
    teeth::{Mistake, Mistaken},
};

/// The number of scenarios of all tests together, unless `PROPTEST_CASES` is set.
const SCENARIOS: u32 = 3_000;

/// A machine before pciseize starts, the requests, and the disturbances.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub kernel: Kernel,
    pub items: Vec<(usize, Item)>,
    pub fate: Fate,
    /// Whether pciback is unloaded between the first two runs.
    pub unloads: bool,
}

/// The state of a function before the run, and how its initialisation will go.
#[derive(Clone, Debug)]
struct Past {
    overridden: Option<&'static str>,
    is_listed: bool,
    is_gone: bool,
    init_error: Option<Errno>,
    init_failures: usize,
    enabled: u32,
    bind_calls: [usize; 2],
}

fn past() -> impl Strategy<Value = Past> {
    let overridden = prop_oneof![
        6 => Just(None),
        2 => Just(Some(PCIBACK)),
        1 => Just(Some("pciseize")),
        1 => Just(Some("vfio-pci")),
    ];
    let failures = prop_oneof![1 => 1..3_usize, 2 => Just(usize::MAX)];
    (
        overridden,
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        option::weighted(0.15, errno()),
        failures,
        prop_oneof![4 => Just(0), 1 => Just(1_u32)],
        [0..6_usize, 0..12_usize],
    )
        .prop_map(
            |(overridden, is_listed, is_gone, init_error, init_failures, enabled, bind_calls)| {
                Past {
                    overridden,
                    is_listed,
                    is_gone,
                    init_error,
                    init_failures,
                    enabled,
                    bind_calls,
                }
            },
        )
}

/// The errnos with which calls fail.
fn errno() -> impl Strategy<Value = Errno> {
    use Errno as E;
    select(
        &[
            E::EIO,
            E::EBUSY,
            E::ENODEV,
            E::EINVAL,
            E::ENOMEM,
            E::EACCES,
            E::EPERM,
            E::EAGAIN,
            E::EINTR,
            E::ENOSPC,
            E::ENOENT,
            E::EROFS,
        ][..],
    )
}

fn driver() -> impl Strategy<Value = Driver> {
    select(&[E1000E, XHCI, NOUVEAU, GREEDY][..])
}

/// A moment of the run, whatever number its call has.
type Moment = Index;

#[derive(Clone, Debug)]
enum Coming {
    Driver(Driver, usize, bool),
    DriverLeaves(Driver, usize),
    Pciback(usize),
    Goes(Index),
    Comes(Index),
}

fn coming() -> impl Strategy<Value = Coming> {
    prop_oneof![
        4 => (driver(), 0..20_usize, any::<bool>())
            .prop_map(|(driver, calls, succeeds)| Coming::Driver(driver, calls, succeeds)),
        2 => (driver(), 0..30_usize)
            .prop_map(|(driver, calls)| Coming::DriverLeaves(driver, calls)),
        2 => prop_oneof![Just(0), 0..30_usize].prop_map(Coming::Pciback),
        2 => any::<Index>().prop_map(Coming::Goes),
        2 => any::<Index>().prop_map(Coming::Comes),
    ]
}

fn module() -> impl Strategy<Value = Module> {
    prop_oneof![
        6 => Just(Module::File(MODULE)),
        1 => Just(Module::Hidden),
        1 => Just(Module::Missing),
        1 => errno().prop_map(Module::Refused),
    ]
}

fn how() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::Dies),
        Just(Ending::FirstDies),
        any::<bool>().prop_map(|has_effect| Ending::Hangs { has_effect })
    ]
}

/// The kernel, and the drivers that it has loaded when pciseize starts.
#[derive(Clone, Debug)]
struct Start {
    drivers: Vec<Driver>,
    /// pciback's place in the order of the drivers, and the duration of its load.
    pciback: Option<(Index, usize)>,
    module: Module,
    locks_overrides: bool,
    has_overrides: bool,
    hides_bind_errors: bool,
    parameters: Option<bool>,
    unloads: bool,
}

fn beginning() -> impl Strategy<Value = Start> {
    let pciback = option::weighted(
        0.4,
        (any::<Index>(), prop_oneof![5 => Just(0), 1 => 0..60_usize]),
    );
    (
        vec(driver(), 0..4),
        pciback,
        module(),
        any::<bool>(),
        prop::bool::weighted(0.95),
        prop::bool::weighted(0.2),
        option::weighted(0.2, any::<bool>()),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(
                drivers,
                pciback,
                module,
                locks_overrides,
                has_overrides,
                hides_bind_errors,
                parameters,
                unloads,
            )| {
                Start {
                    drivers,
                    pciback,
                    module,
                    locks_overrides,
                    has_overrides,
                    hides_bind_errors,
                    parameters,
                    unloads,
                }
            },
        )
}

/// The disturbances, each with its moment.
#[derive(Clone, Debug)]
struct Trouble {
    arrivals: Vec<(Moment, Coming)>,
    mishaps: Vec<(Moment, Errno, bool)>,
    ends: Vec<(Moment, Ending)>,
    schedule: Vec<u8>,
    is_alone: bool,
}

/// Generates up to so many changes, failing calls and process ends.
fn trouble(arrivals: usize, mishaps: usize, ends: usize) -> impl Strategy<Value = Trouble> {
    let moment = any::<Moment>;
    let arrivals = vec((moment(), coming()), 0..=arrivals);
    let mishaps = vec((moment(), errno(), any::<bool>()), 0..=mishaps);
    let ends = vec((moment(), how()), 0..=ends);
    (
        arrivals,
        mishaps,
        ends,
        vec(any::<u8>(), 0..40),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(arrivals, mishaps, ends, schedule, is_alone)| Trouble {
            arrivals,
            mishaps,
            ends,
            schedule,
            is_alone,
        })
}

/// Items, each with the number of its source. One in five is a keep. Embedded items are left to the
/// tests in `tests/language/`.
fn wishes() -> impl Strategy<Value = Vec<(usize, Wish)>> {
    vec((1..SOURCES.len(), wish(prop::bool::weighted(0.2))), 0..7)
}

/// A scenario with at most so many disturbances; see [`trouble`].
pub fn scenario(arrivals: usize, mishaps: usize, ends: usize) -> impl Strategy<Value = Scenario> {
    (
        machine(),
        vec(past(), 14),
        wishes(),
        beginning(),
        trouble(arrivals, mishaps, ends),
    )
        .prop_map(|(functions, pasts, wishes, start, trouble)| {
            let items: Vec<(usize, Item)> = wishes
                .iter()
                .map(|(source, wish)| (*source, wish.item(&functions)))
                .collect();
            let kernel = kernel(&functions, &pasts, &items, &start);
            let fate = fate(&functions, &items, trouble);
            Scenario {
                kernel,
                items,
                fate,
                unloads: start.unloads,
            }
        })
}

fn kernel(
    functions: &[machine::Function],
    pasts: &[Past],
    items: &[(usize, Item)],
    start: &Start,
) -> Kernel {
    let mut kernel = Kernel::new();
    (kernel.module, kernel.locks_overrides) = (start.module, start.locks_overrides);
    kernel.has_overrides = start.has_overrides;
    kernel.hides_bind_errors = start.hides_bind_errors;
    for (function, past) in functions.iter().zip(pasts) {
        let mut known = Function::new(function.modalias().trim_end());
        let above = function
            .link
            .strip_prefix("../../../devices/")
            .and_then(|link| link.strip_suffix(&function.address));
        known.above = above
            .expect("a link of a function")
            .trim_end_matches('/')
            .to_owned();
        (known.overridden, known.init_error, known.init_failures) = (
            past.overridden
                .filter(|_| start.has_overrides)
                .map(str::to_owned),
            past.init_error,
            past.init_failures,
        );
        (known.enabled, known.bind_calls) = (past.enabled, past.bind_calls);
        if past.is_gone && is_leaf(functions, function) {
            known.overridden = None;
            kernel.gone.insert(function.address.clone(), known);
        } else {
            kernel.functions.insert(function.address.clone(), known);
        }
        if past.is_listed && start.pciback.is_some() {
            kernel.slots.push(function.address.clone());
        }
    }
    for (source, text) in Question::new(functions, items).texts {
        *kernel.files.entry(source.to_owned()).or_default() += &text;
    }
    if let Some(refuses) = start.parameters {
        *kernel.files.entry("/proc/cmdline".to_owned()).or_default() +=
            " xen-pciback.passthrough=1";
        kernel.refuses_parameters = refuses;
    }
    let pciback = start
        .pciback
        .map(|(at, calls)| (at.index(start.drivers.len() + 1), calls));
    for at in 0..=start.drivers.len() {
        if let Some((_, calls)) = pciback.filter(|(behind, _)| *behind == at) {
            kernel.register_pciback_slowly(calls);
        }
        start
            .drivers
            .get(at)
            .into_iter()
            .for_each(|driver| kernel.register(*driver));
    }
    kernel
}

/// Whether the function has no other behind it.
fn is_leaf(functions: &[machine::Function], function: &machine::Function) -> bool {
    !functions.iter().any(|other| {
        other.link.len() > function.link.len() && other.link.starts_with(&function.link)
    })
}

fn fate(functions: &[machine::Function], items: &[(usize, Item)], trouble: Trouble) -> Fate {
    // The approximate number of calls in a run.
    let calls = 50 + 12 * functions.len().min(4 * items.len());
    let leaves: Vec<&machine::Function> = functions
        .iter()
        .filter(|function| is_leaf(functions, function))
        .collect();
    let address = |index: Index| index.get(&leaves).address.clone();
    let what = |coming| match coming {
        Coming::Driver(driver, calls, succeeds) => Change::Driver {
            driver,
            calls,
            succeeds,
        },
        Coming::DriverLeaves(driver, calls) => Change::DriverLeaves { driver, calls },
        Coming::Pciback(calls) => Change::Pciback { calls },
        Coming::Goes(index) => Change::Goes(address(index)),
        Coming::Comes(index) => Change::Comes(address(index)),
    };
    Fate {
        arrivals: trouble
            .arrivals
            .into_iter()
            .map(|(moment, coming)| Arrival {
                before: moment.index(calls),
                what: what(coming),
            })
            .collect(),
        mishaps: (trouble.mishaps.into_iter())
            .map(|(moment, errno, has_effect)| Mishap {
                call: CallMatch::Number(moment.index(calls)),
                errno,
                has_effect,
            })
            .collect(),
        ends: trouble
            .ends
            .into_iter()
            .map(|(moment, how)| End {
                call: moment.index(calls),
                how,
            })
            .collect(),
        schedule: trouble.schedule,
        is_alone: trouble.is_alone,
    }
}

impl Scenario {
    /// Plays the scenario, if wanted with a planted mistake in the seizure.
    ///
    /// # Errors
    /// The first broken law, and the run that broke it.
    pub fn play(&self, mistake: Option<Mistake>, traces: bool) -> Result<(), Box<(Broken, Run)>> {
        let asked = Rc::new(Asked::new(&self.kernel, &self.items));
        let mut dom0 = Dom0::new(self.kernel.clone());
        dom0.trace = traces.then(Vec::new);
        dom0.fate = self.fate.clone();
        let mut last = Exit::NotAsAsked;
        for number in 0..3 {
            let run = match mistake {
                None => start(&mut dom0, Rc::clone(&asked)),
                Some(mistake) => {
                    let mut mistaken = Mistaken::new(dom0, mistake);
                    let run = start(&mut mistaken, Rc::clone(&asked));
                    dom0 = mistaken.into_dom0();
                    run
                }
            };
            let judged = run.judge().and_then(|()| {
                if number == 2 {
                    run.has_changed_nothing(last)
                } else {
                    Ok(())
                }
            });
            if let Err(broken) = judged {
                return Err(Box::new((broken, run)));
            }
            last = run.exit;
            // The following runs are undisturbed.
            dom0.fate = Fate {
                schedule: self.fate.schedule.clone(),
                ..Fate::default()
            };
            dom0.settle();
            if number == 0 && self.unloads {
                dom0.unload_pciback();
            }
        }
        Ok(())
    }

    /// Plays the scenario. If a law is broken, plays it again with a trace for the message.
    fn judge(&self) -> Result<(), TestCaseError> {
        if self.play(None, false).is_ok() {
            return Ok(());
        }
        let broken = self.play(None, true);
        let told = broken.map_or_else(
            |broken| format!("{}\n{}", broken.0, broken.1.story()),
            |()| "not broken with traces on".to_owned(),
        );
        Err(TestCaseError::fail(told))
    }
}

/// Each of the two tests plays half of the cases.
fn config() -> ProptestConfig {
    let cases = env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(SCENARIOS);
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig {
        cases: cases / 2,
        failure_persistence: Some(Box::new(persistence)),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_laws_hold_where_calls_fail(scenario in scenario(3, 3, 0)) {
        scenario.judge()?;
    }

    #[test]
    fn the_laws_hold_where_processes_die_or_hang(scenario in scenario(3, 1, 2)) {
        scenario.judge()?;
    }
}
