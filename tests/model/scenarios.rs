//! Generated machines with generated mishaps. The laws are the judge.
//!
//! A scenario that fails is shrunk, shown, and kept in `scenarios.regressions` beside this file, to be played first from then on: commit it.

use std::env;

use pciseize::host::Errno;
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::FileFailurePersistence};

use crate::{
    kernel::{Arrival, Driver, E1000E, Function, GREEDY, Kernel, MODULE, Mishap, Module, NVME, PCIBACK, PORT, Which, XHCI},
    laws::{ask, run},
    stories::{BRIDGE, DISK, NIC, USB},
};

/// How many scenarios are played. `PROPTEST_CASES` in the environment plays another number.
const SCENARIOS: u32 = 2_000;

/// About as many calls as a run makes.
const CALLS: usize = 100;

/// One function of a machine.
#[derive(Clone, Debug)]
struct Spec {
    modalias: &'static str,
    is_there: bool,
    is_asked: bool,
    overridden: Option<&'static str>,
    init_error: Option<Errno>,
}

fn spec() -> impl Strategy<Value = Spec> {
    let overridden = prop_oneof![6 => Just(None), 2 => Just(Some(PCIBACK)), 1 => Just(Some("pciseize")), 1 => Just(Some("vfio-pci"))];
    (select(&[NIC, USB, DISK, BRIDGE][..]), prop::bool::weighted(0.9), prop::bool::weighted(0.6), overridden, option::weighted(0.15, errno()))
        .prop_map(|(modalias, is_there, is_asked, overridden, init_error)| Spec { modalias, is_there, is_asked, overridden, init_error })
}

/// What calls fail with. `ENOENT` is not among them: of a file it means that there is none, and that is no failure.
fn errno() -> impl Strategy<Value = Errno> {
    select(&[Errno::EIO, Errno::EBUSY, Errno::ENODEV, Errno::EINVAL, Errno::ENOMEM, Errno::EACCES, Errno::EAGAIN][..])
}

fn driver() -> impl Strategy<Value = Driver> {
    select(&[E1000E, XHCI, NVME, PORT, GREEDY][..])
}

fn arrival() -> impl Strategy<Value = Arrival> {
    (0..CALLS, option::weighted(0.8, driver()), 0..20_usize, any::<bool>()).prop_map(|(before, driver, calls, succeeds)| Arrival {
        before,
        driver,
        calls,
        succeeds,
    })
}

fn mishap() -> impl Strategy<Value = Mishap> {
    (0..CALLS, errno()).prop_map(|(call, errno)| Mishap { call: Which::Number(call), errno })
}

fn module() -> impl Strategy<Value = Module> {
    prop_oneof![4 => Just(Module::File(MODULE)), 1 => Just(Module::Missing), 1 => errno().prop_map(Module::Refused)]
}

/// A machine before pciseize comes.
fn machine() -> impl Strategy<Value = Kernel> {
    let happenings = (vec(arrival(), 0..4), prop_oneof![Just(Vec::new()).boxed(), vec(mishap(), 1..4).boxed()]);
    (vec(spec(), 1..8), vec(driver(), 0..4), any::<bool>(), module(), happenings).prop_map(|(specs, drivers, has_pciback, module, (arrivals, mishaps))| {
        let mut kernel = Kernel::new();
        (kernel.module, kernel.arrivals, kernel.mishaps) = (module, arrivals, mishaps);
        let mut asked = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            let address = format!("0000:00:{number:02x}.0");
            if spec.is_there {
                let mut function = Function::new(spec.modalias);
                (function.overridden, function.init_error) = (spec.overridden.map(str::to_owned), spec.init_error);
                kernel.functions.insert(address.clone(), function);
            }
            if spec.is_asked {
                asked.push(address);
            }
        }
        ask(&mut kernel, &asked.iter().map(String::as_str).collect::<Vec<_>>());
        drivers.into_iter().for_each(|driver| kernel.register(driver));
        if has_pciback {
            kernel.register_pciback();
        }
        kernel
    })
}

fn config() -> ProptestConfig {
    let cases = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(SCENARIOS);
    ProptestConfig { cases, failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_laws_hold(mut kernel in machine()) {
        run(&mut kernel);
        // And once more, on what the first run left, with all that had failed now working.
        kernel.mishaps.clear();
        kernel.arrivals.clear();
        run(&mut kernel);
    }
}
