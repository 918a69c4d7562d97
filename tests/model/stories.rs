//! Single events, and each moment at which they can happen.

use pciseize::{cli::Exit, host::Errno};

use crate::{
    dom0::{Arrival, CallMatch, Change, Dom0, End, Ending, Mishap},
    kernel::{
        Cause, Driver, E1000E, Event, Function, GREEDY, Kernel, MODULE, Module, NVME, PCIBACK,
        PORT, XHCI,
    },
    laws::{self, ask, run},
};

pub const NIC: &str = "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00";
pub const USB: &str = "pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30";
pub const DISK: &str = "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02";
pub const BRIDGE: &str = "pci:v00001B36d0000000Csv00000000sd00000000bc06sc04i00";

/// A machine with three requested devices, the twin of each, and a bridge. No driver is loaded.
fn machine() -> Dom0 {
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
        kernel
            .functions
            .insert(address.to_owned(), Function::new(modalias));
    }
    ask(&mut kernel, &ASKED);
    Dom0::new(kernel)
}

const ASKED: [&str; 3] = ["0000:00:04.0", "0000:00:05.0", "0000:00:06.0"];
const OTHERS: [(&str, Driver); 4] = [
    ("0000:00:14.0", E1000E),
    ("0000:00:15.0", XHCI),
    ("0000:00:16.0", NVME),
    ("0000:00:1c.0", PORT),
];

fn arrives(before: usize, driver: Driver) -> Arrival {
    Arrival {
        before,
        what: Change::Driver {
            driver,
            calls: 0,
            succeeds: true,
        },
    }
}

fn overrides(dom0: &Kernel) -> Vec<Option<&str>> {
    ASKED
        .iter()
        .map(|address| dom0.functions[*address].overridden.as_deref())
        .collect()
}

#[test]
fn an_empty_machine_gives_up_its_devices() {
    let mut dom0 = machine();
    dom0.files.insert(
        "/proc/cmdline".to_owned(),
        "xen-pciback.passthrough=1 quiet xen_pciback.permissive".to_owned(),
    );
    let run = run(&mut dom0);
    assert_eq!(run.exit, Exit::AsAsked);
    assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized"; 3]);
    assert_eq!(dom0.parameters.as_deref(), Some("passthrough=1 permissive"));
    // Drivers that load later get the other devices, and only those.
    for driver in [E1000E, XHCI, NVME, PORT] {
        dom0.register(driver);
    }
    for (address, driver) in OTHERS {
        assert_eq!(dom0.driver(address), Some(driver.name));
    }
    assert_eq!(
        ASKED.map(|address| dom0.driver(address)),
        [Some(PCIBACK); 3]
    );
}

#[test]
fn an_old_driver_lets_go() {
    let mut dom0 = machine();
    dom0.register(E1000E);
    dom0.register(XHCI);
    let run = run(&mut dom0);
    assert_eq!(run.exit, Exit::AsAsked);
    let report = run.report().expect("a report");
    let origins: Vec<_> = report["devices"]
        .as_array()
        .expect("devices")
        .iter()
        .map(|device| device["origin"].as_str())
        .collect();
    assert_eq!(origins, [Some("e1000e"), Some("xhci_hcd"), None]);
    assert_eq!(dom0.driver("0000:00:14.0"), Some("e1000e"));
}

#[test]
fn without_the_module_devices_are_held() {
    for module in [Module::Missing, Module::Refused(Errno::EKEYREJECTED)] {
        let mut dom0 = machine();
        dom0.module = module;
        dom0.register(E1000E);
        let run = run(&mut dom0);
        assert_eq!(run.exit, Exit::NotAsAsked);
        assert_eq!(ASKED.map(|address| run.outcome(address)), ["held"; 3]);
        assert_eq!(overrides(&dom0), [Some(PCIBACK); 3]);
        // No driver gets the held devices, but pciback does once modprobe loads it.
        dom0.register(GREEDY);
        assert_eq!(ASKED.map(|address| dom0.driver(address)), [None; 3]);
        dom0.register_pciback();
        assert_eq!(
            ASKED.map(|address| dom0.driver(address)),
            [Some(PCIBACK); 3]
        );
    }
}

#[test]
fn the_module_is_found_where_distributions_put_it() {
    const FILES: [&str; 9] = [
        MODULE,
        "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.xz",
        "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.zst",
        "/usr/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko.gz",
        "/lib/modules/6.1.0-model/updates/dkms/xen-pciback.ko.zst",
        "/lib/modules/6.1.0-model/updates/xen-pciback.ko",
        "/lib/modules/6.1.0-model/updates/drivers/xen/xen-pciback/xen-pciback.ko",
        "/lib/modules/6.1.0-model/extra/xen-pciback.ko.xz",
        "/usr/lib/modules/6.1.0-model/extra/xen-pciback/xen-pciback.ko.xz",
    ];
    for file in FILES {
        let mut dom0 = machine();
        dom0.module = Module::File(file);
        let run = run(&mut dom0);
        assert_eq!(run.exit, Exit::AsAsked, "{file}");
        // The last resort is not asked.
        let asked = dom0
            .trace
            .iter()
            .flatten()
            .find(|call| call.contains("/sbin/modprobe"));
        assert_eq!(asked, None, "{file}");
    }
}

/// Linux before 3.16 has no override. A driver keeps what it has, and the reason is told.
#[test]
fn what_cannot_be_held_stays_with_its_driver() {
    let mut dom0 = machine();
    dom0.has_overrides = false;
    dom0.register(E1000E);
    let run = run(&mut dom0);
    assert_eq!(run.exit, Exit::NotAsAsked);
    assert_eq!(run.outcome(ASKED[0]), "lost");
    assert_eq!(run.outcome(ASKED[1]), "exposed");
    assert_eq!(dom0.driver(ASKED[0]), Some("e1000e"));
}

/// modprobe adds to the module's parameters what modprobe.d has, devices to hide among them. Those
/// that the configuration keeps stay with dom0 all the same.
#[test]
fn the_last_resort_takes_nothing_else() {
    for (parameters, refuses) in [
        ("", false),
        (" passthrough=1", false),
        (" permissive", true),
    ] {
        let mut dom0 = machine();
        dom0.module = Module::Hidden;
        dom0.refuses_parameters = refuses;
        dom0.modprobe_options = "hide=(00:14.0)(00:15.0)".to_owned();
        let options = format!("options xen-pciback{parameters}\n");
        dom0.files
            .insert("/etc/modprobe.d/xen.conf".to_owned(), options);
        let run = run(&mut dom0);
        let exit = if refuses {
            Exit::NotAsAsked
        } else {
            Exit::AsAsked
        };
        assert_eq!(run.exit, exit, "{parameters}");
        assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized"; 3]);
        let taken = if refuses { "" } else { parameters.trim() };
        assert_eq!(dom0.parameters.as_deref(), Some(taken));
        assert_eq!(dom0.driver("0000:00:14.0"), None, "{parameters}");
        assert!(!dom0.slots.contains(&"0000:00:15.0".to_owned()));
    }
}

/// A module that was there before keeps its parameters, and that is told.
#[test]
fn parameters_that_come_too_late_are_told() {
    for (line, has_problem) in [
        ("xen-pciback.passthrough=1", true),
        ("xen-pciback.passthrough=0", false),
        ("xen-pciback.permissive=1 xen-pciback.permissive=0", false),
    ] {
        let mut dom0 = machine();
        dom0.files
            .insert("/proc/cmdline".to_owned(), line.to_owned());
        dom0.register_pciback();
        for _ in 0..2 {
            let run = run(&mut dom0);
            assert_eq!(ASKED.map(|address| run.outcome(address)), ["seized"; 3]);
            let report = run.report().expect("a report");
            let problems = report["problems"].as_array().expect("problems");
            let told = problems
                .iter()
                .find_map(|problem| problem["message"].as_str());
            assert_eq!(
                told.is_some_and(|told| told.starts_with("xen-pciback was there before")),
                has_problem,
                "{line}: {told:?}"
            );
            assert_eq!(run.exit == Exit::NotAsAsked, has_problem, "{line}");
        }
    }
}

#[test]
fn one_devices_trouble_is_its_own() {
    let steps = [
        "write /sys/bus/pci/devices/0000:00:05.0/driver_override pciseize",
        "write /sys/bus/pci/drivers/xhci_hcd/unbind 0000:00:05.0",
        "write /sys/bus/pci/devices/0000:00:05.0/driver_override pciback",
        "write /sys/bus/pci/drivers/pciback/bind 0000:00:05.0",
        "read /sys/bus/pci/devices/0000:00:05.0/modalias",
        "link /sys/bus/pci/devices/0000:00:05.0/driver",
    ];
    for step in steps {
        let mut dom0 = machine();
        for driver in [E1000E, XHCI, NVME] {
            dom0.register(driver);
        }
        dom0.fate.mishaps.push(Mishap {
            call: CallMatch::Told(step.to_owned()),
            errno: Errno::EBUSY,
            has_effect: false,
        });
        let run = run(&mut dom0);
        assert!(
            run.after
                .trace
                .iter()
                .flatten()
                .any(|told| told.contains(&format!("{step} = error"))),
            "this never happened: {step}"
        );
        assert_eq!(
            [run.outcome("0000:00:04.0"), run.outcome("0000:00:06.0")],
            ["seized"; 2],
            "{step}"
        );
        let report = run.report().expect("a report");
        assert!(
            report["devices"][1]["warnings"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|warning| warning.as_str())
                .any(|warning| warning.contains("EBUSY (16)")),
            "{step}: {report}"
        );
    }
}

#[test]
fn an_initialisation_that_fails_is_told() {
    let mut dom0 = machine();
    dom0.functions
        .get_mut("0000:00:05.0")
        .expect("the USB controller")
        .init_error = Some(Errno::EINVAL);
    let run = run(&mut dom0);
    assert_eq!(
        ASKED.map(|address| run.outcome(address)),
        ["seized", "held", "seized"]
    );
}

/// A Xen that cannot reset a device for its dom0: the bind gives ENOSYS. The device stays held, and
/// the report says what helps.
#[test]
fn what_xen_cannot_reset_stays_held_and_the_report_says_what_helps() {
    let mut dom0 = machine();
    for address in ASKED {
        let function = dom0.functions.get_mut(address).expect("a device");
        function.init_error = Some(Errno::ENOSYS);
    }
    dom0.register(E1000E);
    let run = run(&mut dom0);
    assert_eq!(run.exit, Exit::NotAsAsked);
    assert_eq!(ASKED.map(|address| run.outcome(address)), ["held"; 3]);
    let report = run.report().expect("a report");
    for device in report["devices"].as_array().expect("devices") {
        let warnings = device["warnings"].to_string();
        for told in ["binding it to pciback: ENOSYS (38)", "Xen 4.20 or later"] {
            assert!(warnings.contains(told), "{warnings}");
        }
    }
    // dom0's drivers that load later do not get them either.
    dom0.register(GREEDY);
    assert_eq!(ASKED.map(|address| dom0.driver(address)), [None; 3]);
}

/// If the load of the module binds a device, the device may be bound but unusable; only
/// `irq_handlers` tells. The program binds such a device once more, and leaves initialised devices
/// alone.
#[test]
fn what_pciback_could_not_initialise_is_bound_once_more() {
    for (init_failures, outcome) in [(1, "seized"), (2, "held"), (usize::MAX, "held")] {
        let mut dom0 = machine();
        for address in ASKED {
            dom0.functions
                .get_mut(address)
                .expect("a device")
                .overridden = Some(PCIBACK.to_owned());
        }
        let usb = dom0
            .functions
            .get_mut("0000:00:05.0")
            .expect("the USB controller");
        (usb.init_error, usb.init_failures) = (Some(Errno::EINVAL), init_failures);
        dom0.register_pciback();
        let run = run(&mut dom0);
        assert_eq!(
            ASKED.map(|address| run.outcome(address)),
            ["seized", outcome, "seized"]
        );
        let unbinds: Vec<_> = run
            .after
            .events
            .iter()
            .filter(|event| matches!(event, Event::Unbind { .. }))
            .collect();
        let expected = Event::Unbind {
            address: "0000:00:05.0".to_owned(),
            driver: PCIBACK.to_owned(),
            was_initialised: false,
        };
        assert_eq!(unbinds, [&expected]);
    }
}

#[test]
fn the_second_run_changes_nothing() {
    let mut dom0 = machine();
    dom0.register(E1000E);
    let first = run(&mut dom0);
    let second = run(&mut dom0);
    assert_eq!((first.exit, second.exit), (Exit::AsAsked, Exit::AsAsked));
    assert_eq!(second.after.events, []);
    assert_eq!(second.has_changed_nothing(first.exit), Ok(()));
    assert_eq!(second.after.files, first.after.files);
}

/// A driver that matches everything is loaded before each call in turn. Its probes are short or
/// long, and succeed or fail.
#[test]
fn a_driver_that_comes_at_any_moment_gets_nothing_that_is_held() {
    let calls = run(&mut machine()).after.calls();
    assert!(calls > 30, "only {calls} calls");
    for before in 0..=calls {
        for (calls, succeeds) in [(0, true), (3, true), (3, false), (100, true), (100, false)] {
            let mut dom0 = machine();
            dom0.fate.arrivals.push(Arrival {
                before,
                what: Change::Driver {
                    driver: GREEDY,
                    calls,
                    succeeds,
                },
            });
            let run = run(&mut dom0);
            assert_eq!(
                ASKED.map(|address| run.outcome(address)),
                ["seized"; 3],
                "before call {before}"
            );
        }
    }
}

/// While the module of the old driver is removed the driver has the device, and no `unbind`.
#[test]
fn a_driver_that_goes_at_any_moment_is_waited_for() {
    let calls = run(&mut machine()).after.calls();
    for before in 0..=calls {
        for calls in [1, 3, 100] {
            let mut dom0 = machine();
            dom0.register(E1000E);
            dom0.fate.arrivals.push(Arrival {
                before,
                what: Change::DriverLeaves {
                    driver: E1000E,
                    calls,
                },
            });
            let run = run(&mut dom0);
            assert_eq!(
                ASKED.map(|address| run.outcome(address)),
                ["seized"; 3],
                "before call {before}, for {calls} calls"
            );
        }
    }
}

#[test]
fn pciback_that_comes_at_any_moment_is_welcome() {
    let calls = run(&mut machine()).after.calls();
    for before in 0..=calls {
        for calls in [0, 2, 20] {
            let mut dom0 = machine();
            dom0.fate.arrivals.push(Arrival {
                before,
                what: Change::Pciback { calls },
            });
            assert_eq!(
                run(&mut dom0).exit,
                Exit::AsAsked,
                "before call {before}, for {calls} calls"
            );
        }
    }
}

/// Linux 4.19 and 5.10 say ENODEV whatever a bind fails of. A device that pciback cannot initialise
/// is told with that, and no driver gets it; the others are seized whenever pciback comes.
#[test]
fn a_kernel_that_hides_why_a_bind_fails_loses_no_device() {
    let mut old = machine();
    old.hides_bind_errors = true;
    let usb = old.functions.get_mut(ASKED[1]).expect("the controller");
    usb.init_error = Some(Errno::EINVAL);
    let calls = run(&mut old.clone()).after.calls();
    for before in 0..=calls {
        let mut dom0 = old.clone();
        dom0.fate.arrivals.push(Arrival {
            before,
            what: Change::Pciback { calls: 2 },
        });
        let run = run(&mut dom0);
        assert_eq!(
            ASKED.map(|address| run.outcome(address)),
            ["seized", "held", "seized"],
            "before call {before}"
        );
        let report = run.report().expect("a report").to_string();
        assert!(report.contains("ENODEV (19)"), "{report}");
        assert!(!report.contains("EINVAL"), "{report}");
        dom0.register(GREEDY);
        assert_eq!(dom0.driver(ASKED[1]), None, "before call {before}");
    }
}

/// Each call in turn fails: on a machine at boot, and on one where pciback already has a device.
/// [`run`] checks the laws.
#[test]
fn any_call_may_fail() {
    let mut at_boot = machine();
    at_boot.register(E1000E);
    let mut later = machine();
    later
        .functions
        .get_mut("0000:00:05.0")
        .expect("the USB controller")
        .overridden = Some(PCIBACK.to_owned());
    later.register_pciback();
    for dom0 in [at_boot, later] {
        let calls = run(&mut dom0.clone()).after.calls();
        for call in 0..calls {
            for errno in [Errno::EIO, Errno::EBUSY, Errno::ENODEV, Errno::EINVAL] {
                let mut dom0 = dom0.clone();
                dom0.fate.mishaps.push(Mishap {
                    call: CallMatch::Number(call),
                    errno,
                    has_effect: false,
                });
                dom0.fate.arrivals.push(arrives(call + 1, XHCI));
                run(&mut dom0);
            }
        }
    }
}

/// For every pair of calls: the first fails, and the second, of a child, never returns. [`run`]
/// checks the laws.
#[test]
fn any_call_may_fail_before_another_hangs() {
    let mut dom0 = machine();
    ask(&mut dom0, &ASKED[..1]);
    dom0.register(E1000E);
    let calls = run(&mut dom0.clone()).after.calls();
    let mut hung = 0;
    for errno in [Errno::ENOENT, Errno::EIO] {
        for first in 0..calls {
            for call in first + 1..calls {
                for has_effect in [false, true] {
                    let mut dom0 = dom0.clone();
                    dom0.fate.mishaps.push(Mishap {
                        call: CallMatch::Number(first),
                        errno,
                        has_effect: false,
                    });
                    dom0.fate.ends.push(End {
                        call,
                        how: Ending::Hangs { has_effect },
                    });
                    hung += run(&mut dom0).after.ends.len();
                }
            }
        }
    }
    assert!(hung > 100, "only {hung} calls hung");
}

#[test]
fn nobody_asks_and_nothing_happens() {
    let mut dom0 = machine();
    dom0.files.remove("/etc/xen/pciback.conf");
    let run = run(&mut dom0);
    assert_eq!(run.exit, Exit::AsAsked);
    assert_eq!(run.after.events, []);
}

/// The model itself: no driver probes a device that is held for another.
#[test]
fn the_model_honours_an_override() {
    let mut dom0 = machine();
    dom0.functions
        .get_mut("0000:00:04.0")
        .expect("a device")
        .overridden = Some("pciseize".to_owned());
    dom0.register(E1000E);
    assert_eq!(dom0.driver("0000:00:04.0"), None);
    assert_eq!(dom0.driver("0000:00:14.0"), Some("e1000e"));
    assert_eq!(
        dom0.events,
        [Event::Probe {
            address: "0000:00:14.0".to_owned(),
            driver: "e1000e".to_owned(),
            why: Cause::Registered
        }]
    );
    assert!(!dom0.files.contains_key(laws::REPORT));
}
