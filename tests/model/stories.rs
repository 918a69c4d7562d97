//! Single events, and each moment at which they can happen.

use pciseize::{cli::Exit, host::Errno};

use crate::{
    kernel::{Arrival, Driver, E1000E, Event, Function, GREEDY, Kernel, MODULE, Mishap, Module, NVME, PCIBACK, PORT, Which, XHCI},
    laws::{self, ask, run},
};

pub const NIC: &str = "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00";
pub const USB: &str = "pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30";
pub const DISK: &str = "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02";
pub const BRIDGE: &str = "pci:v00001B36d0000000Csv00000000sd00000000bc06sc04i00";

/// Three devices are asked for, and the twin of each and a bridge stay with dom0. No driver is there yet.
fn machine() -> Kernel {
    let mut kernel = Kernel::new();
    for (address, modalias) in [
        ("0000:00:04.0", NIC),
        ("0000:00:05.0", USB),
        ("0000:00:06.0", DISK),
        ("0000:00:14.0", NIC),
        ("0000:00:15.0", USB),
        ("0000:00:16.0", DISK),
        ("0000:00:1c.0", BRIDGE),
    ] {
        kernel.functions.insert(address.to_owned(), Function::new(modalias));
    }
    ask(&mut kernel, &ASKED);
    kernel
}

const ASKED: [&str; 3] = ["0000:00:04.0", "0000:00:05.0", "0000:00:06.0"];
const OTHERS: [(&str, Driver); 4] = [("0000:00:14.0", E1000E), ("0000:00:15.0", XHCI), ("0000:00:16.0", NVME), ("0000:00:1c.0", PORT)];

fn arrives(before: usize, driver: Driver) -> Arrival {
    Arrival { before, driver: Some(driver), calls: 0, succeeds: true }
}

fn overrides(kernel: &Kernel) -> Vec<Option<&str>> {
    ASKED.iter().map(|address| kernel.functions[*address].overridden.as_deref()).collect()
}

#[test]
fn an_empty_machine_gives_up_its_devices() {
    let mut kernel = machine();
    kernel.files.insert("/proc/cmdline".to_owned(), "xen-pciback.passthrough=1 quiet xen_pciback.permissive".to_owned());
    let run = run(&mut kernel);
    assert_eq!(run.exit, Exit::AsAsked);
    assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized"; 3]);
    assert_eq!(kernel.parameters.as_deref(), Some("passthrough=1 permissive"));
    // Drivers that come later get the others, and nothing else.
    for driver in [E1000E, XHCI, NVME, PORT] {
        kernel.register(driver);
    }
    for (address, driver) in OTHERS {
        assert_eq!(kernel.driver(address), Some(driver.name));
    }
    assert_eq!(ASKED.map(|address| kernel.driver(address)), [Some(PCIBACK); 3]);
}

#[test]
fn an_old_driver_lets_go() {
    let mut kernel = machine();
    kernel.register(E1000E);
    kernel.register(XHCI);
    let run = run(&mut kernel);
    assert_eq!(run.exit, Exit::AsAsked);
    let report = run.report().expect("a report");
    let origins: Vec<_> = report["devices"].as_array().expect("devices").iter().map(|device| device["origin"].as_str()).collect();
    assert_eq!(origins, [Some("e1000e"), Some("xhci_hcd"), None]);
    assert_eq!(kernel.driver("0000:00:14.0"), Some("e1000e"));
}

#[test]
fn without_the_module_devices_are_held() {
    for module in [Module::Missing, Module::Refused(Errno::EKEYREJECTED)] {
        let mut kernel = machine();
        kernel.module = module;
        kernel.register(E1000E);
        let run = run(&mut kernel);
        assert_eq!(run.exit, Exit::NotAsAsked);
        assert_eq!(ASKED.map(|address| run.outcome(address)), ["held"; 3]);
        assert_eq!(overrides(&kernel), [Some(PCIBACK); 3]);
        // No driver gets them, and a later modprobe of pciback does.
        kernel.register(GREEDY);
        assert_eq!(ASKED.map(|address| kernel.driver(address)), [None; 3]);
        kernel.register_pciback();
        assert_eq!(ASKED.map(|address| kernel.driver(address)), [Some(PCIBACK); 3]);
    }
}

#[test]
fn the_module_is_found_where_distributions_put_it() {
    const FILES: [&str; 4] = [
        MODULE,
        "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.xz",
        "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.zst",
        "/usr/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.gz",
    ];
    for file in FILES {
        let mut kernel = machine();
        kernel.module = Module::File(file);
        assert_eq!(run(&mut kernel).exit, Exit::AsAsked, "{file}");
    }
}

#[test]
fn one_devices_trouble_is_its_own() {
    let steps = [
        "write /sys/bus/pci/devices/0000:00:05.0/driver_override pciseize",
        "write /sys/bus/pci/devices/0000:00:05.0/driver/unbind 0000:00:05.0",
        "write /sys/bus/pci/devices/0000:00:05.0/driver_override pciback",
        "write /sys/bus/pci/drivers/pciback/bind 0000:00:05.0",
        "read /sys/bus/pci/devices/0000:00:05.0/modalias",
        "link /sys/bus/pci/devices/0000:00:05.0/driver",
    ];
    for step in steps {
        let mut kernel = machine();
        for driver in [E1000E, XHCI, NVME] {
            kernel.register(driver);
        }
        kernel.mishaps.push(Mishap { call: Which::Told(step.to_owned()), errno: Errno::EBUSY });
        let run = run(&mut kernel);
        assert!(run.after.trace.iter().any(|told| told.contains(&format!("{step} = error"))), "this never happened: {step}");
        assert_eq!([run.outcome("0000:00:04.0"), run.outcome("0000:00:06.0")], ["seized"; 2], "{step}");
        let report = run.report().expect("a report");
        assert!(report["devices"][1]["warnings"][0].as_str().is_some_and(|warning| warning.ends_with("EBUSY (16)")), "{step}: {report}");
    }
}

#[test]
fn an_initialisation_that_fails_is_told() {
    let mut kernel = machine();
    kernel.functions.get_mut("0000:00:05.0").expect("the USB controller").init_error = Some(Errno::EINVAL);
    let run = run(&mut kernel);
    assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized", "held", "seized"]);
}

/// Seized by the module's own load, a device can be bound and yet unusable. Only `irq_handlers` knows.
#[test]
fn what_was_on_pciback_before_is_left_there() {
    let mut kernel = machine();
    for address in ASKED {
        kernel.functions.get_mut(address).expect("a device").overridden = Some(PCIBACK.to_owned());
    }
    kernel.functions.get_mut("0000:00:05.0").expect("the USB controller").init_error = Some(Errno::EINVAL);
    kernel.register_pciback();
    let run = run(&mut kernel);
    assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized", "unready", "seized"]);
    assert_eq!(run.after.events, []);
}

#[test]
fn the_second_run_changes_nothing() {
    let mut kernel = machine();
    kernel.register(E1000E);
    let first = run(&mut kernel);
    let second = run(&mut kernel);
    assert_eq!((first.exit, second.exit), (Exit::AsAsked, Exit::AsAsked));
    assert_eq!(second.after.events, []);
    assert_eq!(second.after.functions, first.after.functions);
    assert_eq!(second.after.files, first.after.files);
}

/// A driver that takes everything is loaded before each call in turn, with probes that are short or long, and end well or not.
#[test]
fn a_driver_that_comes_at_any_moment_gets_nothing_that_is_held() {
    let calls = run(&mut machine()).after.calls();
    assert!(calls > 30, "only {calls} calls");
    for before in 0..=calls {
        for (calls, succeeds) in [(0, true), (3, true), (3, false), (100, true), (100, false)] {
            let mut kernel = machine();
            kernel.arrivals.push(Arrival { calls, succeeds, ..arrives(before, GREEDY) });
            let run = run(&mut kernel);
            assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized"; 3], "before call {before}");
        }
    }
}

#[test]
fn pciback_that_comes_at_any_moment_is_welcome() {
    let calls = run(&mut machine()).after.calls();
    for before in 0..=calls {
        let mut kernel = machine();
        kernel.arrivals.push(Arrival { before, driver: None, calls: 0, succeeds: true });
        assert_eq!(run(&mut kernel).exit, Exit::AsAsked, "before call {before}");
    }
}

/// Each call in turn fails: on a machine at boot, and on one where pciback has a device already. The laws are the judge.
#[test]
fn any_call_may_fail() {
    let mut at_boot = machine();
    at_boot.register(E1000E);
    let mut later = machine();
    later.functions.get_mut("0000:00:05.0").expect("the USB controller").overridden = Some(PCIBACK.to_owned());
    later.register_pciback();
    for kernel in [at_boot, later] {
        let calls = run(&mut kernel.clone()).after.calls();
        for call in 0..calls {
            for errno in [Errno::EIO, Errno::EBUSY, Errno::ENODEV, Errno::EINVAL] {
                let mut kernel = kernel.clone();
                kernel.mishaps.push(Mishap { call: Which::Number(call), errno });
                kernel.arrivals.push(arrives(call + 1, XHCI));
                run(&mut kernel);
            }
        }
    }
}

#[test]
fn nobody_asks_and_nothing_happens() {
    let mut kernel = machine();
    kernel.files.remove("/etc/xen/pciback.conf");
    let run = run(&mut kernel);
    assert_eq!(run.exit, Exit::AsAsked);
    assert_eq!(run.after.events, []);
}

/// The laws themselves: a kernel in which a held device was probed is found out.
#[test]
fn the_model_honours_an_override() {
    let mut kernel = machine();
    kernel.functions.get_mut("0000:00:04.0").expect("a device").overridden = Some("pciseize".to_owned());
    kernel.register(E1000E);
    assert_eq!(kernel.driver("0000:00:04.0"), None);
    assert_eq!(kernel.driver("0000:00:14.0"), Some("e1000e"));
    assert_eq!(kernel.events, [Event::Probe { address: "0000:00:14.0".to_owned(), driver: "e1000e".to_owned() }]);
    assert!(!kernel.files.contains_key(laws::REPORT));
}
