//! A kernel in memory: Linux 6.1 to 6.12 as sysfs and `finit_module` show it.
//!
//! It follows `drivers/pci/pci-driver.c`, `drivers/base/` and `drivers/xen/xen-pciback/pci_stub.c`.
//! The kernel is passive: `Dom0` supplies time and failures. `tests/vm/replay.rs` compares this
//! file with the real kernel, call by call.

// Several tests share this file, and not all of them use all of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use pciseize::host::Errno;

pub const PCIBACK: &str = "pciback";

/// The path of pciback's module in an image of Debian 12.
pub const MODULE: &str = "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko";

/// Stands for an errno: the call waits for a lock that is never released.
pub const NEVER: Errno = Errno(-1);

/// A driver of dom0, other than pciback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    pub name: &'static str,
    /// The start of the modalias of every function that the driver matches.
    pub takes: &'static str,
}

pub const E1000E: Driver = Driver {
    name: "e1000e",
    takes: "pci:v00008086d000010D3",
};
pub const XHCI: Driver = Driver {
    name: "xhci_hcd",
    takes: "pci:v00001B36d0000000D",
};
pub const NOUVEAU: Driver = Driver {
    name: "nouveau",
    takes: "pci:v000010DE",
};
pub const NVME: Driver = Driver {
    name: "nvme",
    takes: "pci:v00001B36d00000010",
};
pub const PORT: Driver = Driver {
    name: "pcieport",
    takes: "pci:v00001B36d0000000C",
};
/// Matches every function, as `vfio-pci` with the right ids would.
pub const GREEDY: Driver = Driver {
    name: "greedy",
    takes: "pci:",
};
/// The drivers that probe in the background (`PROBE_PREFER_ASYNCHRONOUS`): they are registered
/// before their probes end.
const BACKGROUND: [&str; 2] = [XHCI.name, NVME.name];

/// pciback itself. Without an override or an entry in its list, its probe refuses every function.
const PCIBACK_DRIVER: Driver = Driver {
    name: PCIBACK,
    takes: "pci:",
};

/// A PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub modalias: String,
    /// The bus that the function is on: `pci0000:00`, or behind a bridge,
    /// `pci0000:00/0000:00:1c.0`.
    pub above: String,
    pub overridden: Option<String>,
    pub driver: Option<String>,
    /// Whether pciback has initialised the function, if it has the function at all.
    pub is_initialised: bool,
    /// Whether pciback has the function and initialises it when its module is ready.
    is_deferred: bool,
    /// The errno of pciback's initialisation, for the next `init_failures` attempts.
    pub init_error: Option<Errno>,
    pub init_failures: usize,
    /// A running probe. The driver link exists from the start of the probe (`drivers/base/dd.c`,
    /// `really_probe`).
    probing: Option<Probing>,
    /// How many have enabled the function, without pciback.
    pub enabled: u32,
    /// How many calls the beginning of a bind to pciback lasts, until the function is on pciback's
    /// list of quirks, and how many the rest of that bind.
    pub bind_calls: [usize; 2],
    /// Whether a call that never returns holds the function's lock.
    pub is_locked: bool,
    /// When the function last changed, by [`Kernel::now`].
    pub changed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probing {
    ends_before: usize,
    succeeds: bool,
}

impl Function {
    pub fn new(modalias: &str) -> Function {
        Function {
            modalias: modalias.to_owned(),
            above: "pci0000:00".to_owned(),
            overridden: None,
            driver: None,
            is_initialised: false,
            is_deferred: false,
            init_error: None,
            init_failures: usize::MAX,
            probing: None,
            enabled: 0,
            bind_calls: [2, 6],
            is_locked: false,
            changed: 0,
        }
    }

    /// `pcistub_init_device`: enables the function, saves its state, and resets it.
    fn initialise(&mut self) -> Result<(), Errno> {
        self.is_deferred = false;
        self.is_initialised = self.init_error.is_none() || self.init_failures == 0;
        self.init_failures = self.init_failures.saturating_sub(1);
        if self.is_initialised {
            Ok(())
        } else {
            self.init_error.map_or(Ok(()), Err)
        }
    }

    fn let_go(&mut self) {
        (
            self.driver,
            self.is_initialised,
            self.is_deferred,
            self.probing,
        ) = (None, false, false, None);
    }
}

/// What happened to functions, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The override was written.
    Override {
        address: String,
        name: String,
    },
    /// A driver was told to release the function.
    Unbind {
        address: String,
        driver: String,
        /// Whether the driver was pciback and had initialised the function.
        was_initialised: bool,
    },
    /// A driver was told to take the function.
    Bind {
        address: String,
    },
    /// The program passed the module to the kernel.
    Load,
    /// An address was added to pciback's list.
    NewSlot {
        address: String,
    },
    RemoveSlot {
        address: String,
    },
    /// pciback's list of quirks was changed for this function while that other one was being added
    /// to it. The list has no lock (`conf_space_quirks.c`, `register_quirk`).
    Overlap {
        address: String,
        with: String,
    },
    /// A driver started to probe.
    Probe {
        address: String,
        driver: String,
        why: Cause,
    },
    /// The function disappeared, and its override with it.
    Gone {
        address: String,
    },
    /// The function appeared.
    Appears {
        address: String,
    },
}

/// Why a driver probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `bind` told it to.
    Bind,
    /// The driver was registered because the program loaded its module.
    Loaded,
    /// The driver was registered by another process.
    Registered,
    /// The function appeared, or another process offered it to all drivers.
    Offered,
}

/// Where pciback's module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// In the image, at this path.
    File(&'static str),
    /// Only modprobe finds it.
    Hidden,
    /// Not in the image.
    Missing,
    /// The kernel refuses to load it.
    Refused(Errno),
}

/// The state of pciback's module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pciback {
    Absent,
    /// The driver is registered. It initialises its functions later and ignores the errors
    /// (`initialize_devices`).
    Coming {
        ends_before: usize,
    },
    Live,
}

/// A bind to pciback that has not returned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    address: String,
    /// When the function is on pciback's list of quirks, and enabled.
    is_added: usize,
    returns: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    pub functions: BTreeMap<String, Function>,
    /// Functions that disappeared and can be found again.
    pub gone: BTreeMap<String, Function>,
    pub module: Module,
    pub drivers: Vec<Driver>,
    /// The drivers whose module is being removed, by name, and when that ends. They match nothing
    /// any more, but have their functions until then.
    leaving: Vec<(&'static str, usize)>,
    /// pciback's list.
    pub slots: Vec<String>,
    /// The functions that pciback initialised at some time, in the order of `irq_handlers`.
    initialised: Vec<String>,
    pciback: Pciback,
    /// The binds to pciback that have not returned.
    bindings: Vec<Binding>,
    /// Whether access to an override takes the device's lock, as in Linux up to 6.11.
    pub locks_overrides: bool,
    /// Whether functions have an override at all: since Linux 3.16.
    pub has_overrides: bool,
    /// Whether `bind` fails with ENODEV whatever the cause is, as in Linux 4.19 and 5.10.
    pub hides_bind_errors: bool,
    /// All files outside sysfs.
    pub files: BTreeMap<String, String>,
    pub events: Vec<Event>,
    /// The parameters of the loaded module, but for `hide`.
    pub parameters: Option<String>,
    /// What modprobe.d has for the module.
    pub modprobe_options: String,
    /// Whether the module refuses its parameters.
    pub refuses_parameters: bool,
    /// The number of calls so far.
    pub now: usize,
}

impl Kernel {
    /// A dom0 without functions, drivers and requests.
    pub fn new() -> Kernel {
        let files = [
            ("/proc/cmdline", "quiet\n".to_owned()),
            // The system is in memory.
            (
                "/proc/self/mountinfo",
                "1 1 0:2 / / rw - rootfs rootfs rw\n".to_owned(),
            ),
            // No network is up.
            ("/proc/net/route", "Iface Destination Gateway\n".to_owned()),
            ("/proc/sys/kernel/osrelease", "6.1.0-model\n".to_owned()),
            (
                "/sys/hypervisor/properties/features",
                "00000f05\n".to_owned(),
            ),
        ];
        Kernel {
            functions: BTreeMap::new(),
            gone: BTreeMap::new(),
            module: Module::File(MODULE),
            drivers: Vec::new(),
            leaving: Vec::new(),
            slots: Vec::new(),
            initialised: Vec::new(),
            pciback: Pciback::Absent,
            bindings: Vec::new(),
            locks_overrides: true,
            has_overrides: true,
            hides_bind_errors: false,
            files: files.map(|(path, text)| (path.to_owned(), text)).into(),
            events: Vec::new(),
            parameters: None,
            modprobe_options: String::new(),
            refuses_parameters: false,
            now: 0,
        }
    }

    pub fn driver(&self, address: &str) -> Option<&str> {
        self.functions.get(address)?.driver.as_deref()
    }

    pub fn has(&self, driver: &str) -> bool {
        self.drivers
            .iter()
            .any(|registered| registered.name == driver)
    }

    /// Whether pciback is loaded and initialises its functions at once.
    pub fn has_live_pciback(&self) -> bool {
        self.pciback == Pciback::Live
    }

    /// Ends the probes and the module's load and removal that are due by now.
    pub fn advance(&mut self) {
        let now = self.now;
        self.finish_leaving(now);
        for function in self.functions.values_mut() {
            end_probe(function, now, now);
        }
        if let Pciback::Coming { ends_before } = self.pciback
            && ends_before <= now
        {
            self.finish_loading();
        }
    }

    /// Ends every running probe, hang, and load or removal of a module.
    pub fn settle(&mut self) {
        self.bindings.clear();
        self.finish_leaving(usize::MAX);
        for function in self.functions.values_mut() {
            end_probe(function, usize::MAX, self.now);
            function.is_locked = false;
        }
        self.finish_loading();
    }

    /// Registers a driver. It probes every unbound function that it matches (`drivers/base/bus.c`,
    /// `bus_add_driver`).
    pub fn register(&mut self, driver: Driver) {
        self.register_slowly(driver, 0, true);
    }

    /// Registers a driver whose probes last `calls` calls, and succeed or fail.
    pub fn register_slowly(&mut self, driver: Driver, calls: usize, succeeds: bool) {
        // If the driver waits for ever, it has already probed the functions before that point.
        let _ = self.add_driver(driver, calls, succeeds, Cause::Registered);
    }

    /// Begins to remove a driver, which lasts `calls` calls (`drivers/base/bus.c`,
    /// `bus_remove_driver`).
    pub fn unregister_slowly(&mut self, driver: Driver, calls: usize) {
        if self.has(driver.name) && !self.is_leaving(driver.name) {
            self.drivers.retain(|other| other.name != driver.name);
            self.leaving.push((driver.name, self.now + calls));
        }
    }

    fn is_leaving(&self, driver: &str) -> bool {
        self.leaving.iter().any(|(name, _)| *name == driver)
    }

    /// Takes their functions from the drivers whose removal ends by then.
    fn finish_leaving(&mut self, until: usize) {
        let now = self.now;
        for (name, _) in self.leaving.extract_if(.., |(_, ends)| *ends <= until) {
            let functions = self.functions.values_mut();
            for function in functions.filter(|function| function.driver.as_deref() == Some(name)) {
                function.changed = now;
                function.let_go();
            }
        }
    }

    /// Whether a driver has the files `bind` and `unbind`: they are made last, after its first
    /// probes, and removed first (`drivers/base/bus.c`, `bus_add_driver`, `bus_remove_driver`).
    fn has_bind_files(&self, driver: &str) -> bool {
        let is_probing = |function: &Function| {
            function.driver.as_deref() == Some(driver) && function.probing.is_some()
        };
        let is_coming = !BACKGROUND.contains(&driver) && self.functions.values().any(is_probing);
        !is_coming && !self.is_leaving(driver)
    }

    /// Loads pciback as another process would.
    pub fn register_pciback(&mut self) {
        self.register_pciback_slowly(0);
    }

    /// Loads pciback as another process would; the module is ready after `calls` calls.
    pub fn register_pciback_slowly(&mut self, calls: usize) {
        let _ = self.start_pciback(calls, Cause::Registered);
    }

    /// `xen_pcibk_init`: registers the driver, and initialises its functions later.
    fn start_pciback(&mut self, calls: usize, why: Cause) -> Result<(), Errno> {
        if self.pciback != Pciback::Absent {
            return Ok(());
        }
        self.pciback = Pciback::Coming {
            ends_before: self.now + calls,
        };
        self.add_driver(PCIBACK_DRIVER, 0, true, why)?;
        if calls == 0 {
            self.finish_loading();
        }
        Ok(())
    }

    /// `pcistub_init_devices_late`. Errors go only to the log.
    fn finish_loading(&mut self) {
        if !matches!(self.pciback, Pciback::Coming { .. }) {
            return;
        }
        self.pciback = Pciback::Live;
        let now = self.now;
        for (address, function) in self
            .functions
            .iter_mut()
            .filter(|(_, function)| function.is_deferred)
        {
            if function.initialise().is_ok() {
                self.initialised.retain(|other| other != address);
                self.initialised.push(address.clone());
            }
            function.changed = now;
        }
    }

    fn add_driver(
        &mut self,
        driver: Driver,
        calls: usize,
        succeeds: bool,
        why: Cause,
    ) -> Result<(), Errno> {
        if self.has(driver.name) || self.is_leaving(driver.name) {
            return Ok(());
        }
        self.drivers.push(driver);
        let matching = self
            .functions
            .iter()
            .filter(|(_, function)| matches(driver, function));
        let matching: Vec<String> = matching.map(|(address, _)| address.clone()).collect();
        for address in matching {
            let function = &self.functions[&address];
            // The kernel takes the lock before it checks for a driver.
            if function.is_locked {
                return Err(NEVER);
            }
            if function.driver.is_none()
                && self.probe(driver, &address, why).is_ok()
                && driver.name != PCIBACK
            {
                let now = self.now;
                if let Some(function) = self.functions.get_mut(&address) {
                    function.probing = Some(Probing {
                        ends_before: now + calls,
                        succeeds,
                    });
                    end_probe(function, now, now);
                }
            }
        }
        Ok(())
    }

    /// Probes a function. pciback takes it only because of an override or its list (`pci_stub.c`,
    /// `pcistub_probe`); other drivers take every function that they match.
    fn probe(&mut self, driver: Driver, address: &str, why: Cause) -> Result<(), Errno> {
        self.events.push(Event::Probe {
            address: address.to_owned(),
            driver: driver.name.to_owned(),
            why,
        });
        let is_listed = self.is_listed(address);
        let (now, is_live) = (self.now, self.pciback == Pciback::Live);
        let function = self.functions.get_mut(address).ok_or(Errno::ENODEV)?;
        function.changed = now;
        if driver.name == PCIBACK {
            if function.overridden.as_deref() != Some(PCIBACK) && !is_listed {
                return Err(Errno::ENODEV);
            }
            if is_live {
                function.initialise()?;
                self.initialised.retain(|other| other != address);
                self.initialised.insert(0, address.to_owned());
            } else {
                function.is_deferred = true;
            }
            if !is_listed {
                self.slots.push(address.to_owned());
            }
        }
        function.driver = Some(driver.name.to_owned());
        Ok(())
    }

    /// Whether pciback's list has the function or a bridge above it (`pcistub_match_one`).
    fn is_listed(&self, address: &str) -> bool {
        !self.slots.is_empty() && {
            let above = self
                .functions
                .get(address)
                .map_or("", |function| &function.above);
            above
                .split('/')
                .chain([address])
                .any(|step| self.slots.iter().any(|slot| slot == step))
        }
    }

    /// A write to `bind` (`drivers/base/bus.c`, `bind_store`), with the errors of Linux 6.1, or
    /// with the one of Linux 5.10.
    fn bind(&mut self, driver: &str, address: &str) -> Result<(), Errno> {
        let bound = self.bind_telling(driver, address);
        bound.map_err(|errno| match errno {
            NEVER => NEVER,
            _ if self.hides_bind_errors => Errno::ENODEV,
            errno => errno,
        })
    }

    fn bind_telling(&mut self, driver: &str, address: &str) -> Result<(), Errno> {
        let driver = *self
            .drivers
            .iter()
            .find(|registered| registered.name == driver)
            .ok_or(Errno::ENOENT)?;
        let now = self.now;
        let function = self
            .functions
            .get_mut(address)
            .filter(|function| matches(driver, function))
            .ok_or(Errno::ENODEV)?;
        // Taking the device's lock waits for a running probe.
        lock(function, now)?;
        self.events.push(Event::Bind {
            address: address.to_owned(),
        });
        if function.driver.is_some() {
            return Err(Errno::EBUSY);
        }
        if driver.name == PCIBACK && self.pciback == Pciback::Live {
            self.begin_binding(address);
        }
        self.probe(driver, address, Cause::Bind)
    }

    /// Begins a bind to pciback.
    fn begin_binding(&mut self, address: &str) {
        self.note_overlap(address);
        let [beginning, rest] = self.functions[address].bind_calls;
        let is_added = self.now + beginning;
        self.bindings.push(Binding {
            address: address.to_owned(),
            is_added,
            returns: is_added + rest,
        });
    }

    /// Notes the functions that are being added to the list of quirks while it changes.
    fn note_overlap(&mut self, address: &str) {
        let now = self.now;
        self.bindings.retain(|binding| now < binding.returns);
        for binding in &self.bindings {
            if now < binding.is_added {
                self.events.push(Event::Overlap {
                    address: address.to_owned(),
                    with: binding.address.clone(),
                });
            }
        }
    }

    /// When the bind of the function that has just begun returns.
    pub fn bind_returns(&self, address: &str) -> Option<usize> {
        let binding = self.bindings.last()?;
        (binding.address == address).then_some(binding.returns)
    }

    /// Ends the bind that was begun last. With nobody beside it no time passes.
    pub fn end_bind(&mut self) {
        self.bindings.pop();
    }

    /// A bind never returns: it waits before the function is added, or behind that.
    pub fn hang_bind(&mut self, address: &str, is_added: bool) {
        self.bindings.retain(|binding| binding.address != address);
        self.note_overlap(address);
        self.bindings.push(Binding {
            address: address.to_owned(),
            is_added: if is_added { self.now } else { usize::MAX },
            returns: usize::MAX,
        });
    }

    /// A write to `unbind`.
    fn unbind(&mut self, driver: &str, address: &str) -> Result<(), Errno> {
        let now = self.now;
        let function = self
            .functions
            .get_mut(address)
            .filter(|function| function.driver.as_deref() == Some(driver))
            .ok_or(Errno::ENODEV)?;
        lock(function, now)?;
        let was_initialised =
            function.driver.as_deref() == Some(PCIBACK) && function.is_initialised;
        self.events.push(Event::Unbind {
            address: address.to_owned(),
            driver: driver.to_owned(),
            was_initialised,
        });
        function.changed = now;
        function.let_go();
        if driver == PCIBACK {
            self.note_overlap(address);
        }
        Ok(())
    }

    /// A write to `driver_override` (`drivers/base/driver.c`, `driver_set_override`).
    fn set_override(&mut self, address: &str, bytes: &[u8]) -> Result<(), Errno> {
        if !self.has_overrides {
            return Err(Errno::ENOENT);
        }
        if bytes.len() >= 4095 {
            return Err(Errno::EINVAL);
        }
        let name = text(bytes.split(|&b| b == b'\n').next().unwrap_or_default());
        let (now, locks) = (self.now, self.locks_overrides);
        let function = self.functions.get_mut(address).ok_or(Errno::ENOENT)?;
        if locks {
            lock(function, now)?;
        }
        self.events.push(Event::Override {
            address: address.to_owned(),
            name: name.clone(),
        });
        function.overridden = Some(name).filter(|name| !name.is_empty());
        Ok(())
    }

    /// A write to `new_slot` or `remove_slot`.
    fn change_slots(&mut self, bytes: &[u8], adds: bool) -> Result<(), Errno> {
        let wanted = slots(&text(bytes)).ok_or(Errno::EINVAL)?;
        let mut found = false;
        for address in wanted {
            let known = self.slots.iter().position(|slot| *slot == address);
            found |= known.is_some();
            match known {
                None if adds => {
                    self.slots.push(address.clone());
                    self.events.push(Event::NewSlot { address });
                }
                Some(at) if !adds => {
                    self.slots.remove(at);
                    self.events.push(Event::RemoveSlot { address });
                }
                _ => {}
            }
        }
        if found || adds {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }

    /// Offers the function to every driver, in the order of their registration.
    fn offer(&mut self, address: &str) {
        for driver in self.drivers.clone() {
            let function = &self.functions[address];
            if function.driver.is_none() && !function.is_locked && matches(driver, function) {
                let _ = self.probe(driver, address, Cause::Offered);
            }
        }
    }

    /// Removes a function from the machine.
    pub fn take_out(&mut self, address: &str) {
        if self
            .functions
            .get(address)
            .is_some_and(|function| !function.is_locked)
            && let Some(mut function) = self.functions.remove(address)
        {
            function.let_go();
            (function.overridden, function.changed) = (None, self.now);
            self.gone.insert(address.to_owned(), function);
            self.events.push(Event::Gone {
                address: address.to_owned(),
            });
        }
    }

    /// Puts a removed function back.
    pub fn put_back(&mut self, address: &str) {
        if let Some(mut function) = self.gone.remove(address) {
            function.changed = self.now;
            self.functions.insert(address.to_owned(), function);
            self.events.push(Event::Appears {
                address: address.to_owned(),
            });
            self.offer(address);
        }
    }

    /// Unloads pciback. Its functions then have no driver.
    pub fn unload_pciback(&mut self) {
        self.drivers.retain(|driver| driver.name != PCIBACK);
        self.pciback = Pciback::Absent;
        self.parameters = None;
        self.slots.clear();
        for function in self
            .functions
            .values_mut()
            .filter(|function| function.driver.as_deref() == Some(PCIBACK))
        {
            function.let_go();
        }
    }

    /// The path of the module's file, if the program can find it.
    fn module_file(&self) -> Option<&'static str> {
        match self.module {
            Module::File(file) => Some(file),
            Module::Missing | Module::Hidden => None,
            Module::Refused(_) => Some(MODULE),
        }
    }

    pub fn has_module_at(&self, path: &str) -> bool {
        self.module_file() == Some(path)
    }

    /// Whether the module's file is somewhere below that folder.
    fn has_module_below(&self, folder: &str) -> bool {
        let rest = self
            .module_file()
            .and_then(|file| file.strip_prefix(folder));
        rest.is_some_and(|rest| rest.starts_with('/'))
    }

    /// `finit_module` on this file. Only the program calls it.
    pub fn load(&mut self, path: &str, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        if !self.has_module_at(path) {
            return Err(Errno::ENOENT);
        }
        if let Module::Refused(errno) = self.module {
            return Err(errno);
        }
        // The kernel unpacks the file only if told to, and then the file must be compressed
        // (`kernel/module/main.c`).
        if compressed == path.ends_with(".ko") {
            return Err(Errno::ENOEXEC);
        }
        self.insert_module(parameters)
    }

    /// modprobe, which finds the module at any path. It adds what modprobe.d has for the module,
    /// devices to hide among them, in front of the parameters that it is given.
    pub fn modprobe(&mut self, given: &[&[u8]]) -> Result<(), Errno> {
        let mut parameters = self.modprobe_options.clone().into_bytes();
        for parameter in given {
            parameters.push(b' ');
            parameters.extend_from_slice(parameter);
        }
        match self.module {
            Module::Missing | Module::Refused(_) => Err(Errno::ECHILD),
            // modprobe succeeds if another process has loaded the module.
            Module::File(_) | Module::Hidden => self.insert_module(&parameters).or_else(|errno| {
                if errno == Errno::EEXIST {
                    Ok(())
                } else {
                    Err(errno)
                }
            }),
        }
    }

    fn insert_module(&mut self, parameters: &[u8]) -> Result<(), Errno> {
        self.events.push(Event::Load);
        if self.pciback != Pciback::Absent {
            // The kernel waits until the other load has ended (`kernel/module/main.c`,
            // `add_unformed_module`).
            self.finish_loading();
            return Err(Errno::EEXIST);
        }
        let parameters = text(parameters);
        let (hidden, others): (Vec<&str>, Vec<&str>) = parameters
            .split_ascii_whitespace()
            .partition(|word| word.starts_with("hide="));
        if self.refuses_parameters && !others.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.parameters = Some(others.join(" "));
        // The last one counts (`kernel/params.c`, `parse_args`).
        let hidden = hidden.last().map_or("", |word| &word["hide=".len()..]);
        let hidden = hidden.split(['(', ')']).filter(|slot| !slot.is_empty());
        self.slots.extend(hidden.filter_map(slots).flatten());
        self.start_pciback(0, Cause::Loaded)
    }

    /// A parameter of pciback as sysfs shows it: a switch, which is off unless it was given. Of one
    /// that was given twice the last counts.
    fn parameter(&self, name: &str) -> Option<&'static str> {
        if self.pciback == Pciback::Absent || !["passthrough", "permissive"].contains(&name) {
            return None;
        }
        let given = self.parameters.as_deref().unwrap_or_default();
        let value = given.split(' ').rev().find_map(|word| {
            let (given, value) = word.split_once('=').unwrap_or((word, "1"));
            (given == name).then_some(value)
        });
        Some(if value == Some("1") { "Y\n" } else { "N\n" })
    }

    /// pciback's `irq_handlers`: the functions it has initialised, cut off after one page.
    fn irq_handlers(&self) -> Vec<u8> {
        let mut lines = String::new();
        for address in &self.initialised {
            let Some(function) = self.functions.get(address) else {
                continue;
            };
            if function.driver.as_deref() == Some(PCIBACK) && function.is_initialised {
                let _ = writeln!(lines, "{address}:off:not acking:0");
            }
        }
        lines.truncate(4095);
        lines.into_bytes()
    }
}

/// Whether a driver may take a function: `pci_match_device`. An override names the only driver that
/// may, whatever its ids.
fn matches(driver: Driver, function: &Function) -> bool {
    function
        .overridden
        .as_ref()
        .map_or(function.modalias.starts_with(driver.takes), |name| {
            name == driver.name
        })
}

/// Takes the lock of a function, which waits for a running probe.
fn lock(function: &mut Function, now: usize) -> Result<(), Errno> {
    if function.is_locked {
        return Err(NEVER);
    }
    end_probe(function, usize::MAX, now);
    Ok(())
}

/// Ends a probe that was to last until then at most.
fn end_probe(function: &mut Function, until: usize, now: usize) {
    if let Some(probing) = function
        .probing
        .take_if(|probing| probing.ends_before <= until)
    {
        function.changed = now;
        if !probing.succeeds {
            function.driver = None;
        }
    }
}

/// The addresses in a text that pciback accepts (`pci_stub.c`, `str_to_slot`).
fn slots(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let (rest, function) = text.rsplit_once('.')?;
    let fields: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match *fields {
        [domain, bus, device] => (domain, bus, device),
        [bus, device] => ("0", bus, device),
        _ => return None,
    };
    let number = |text: &str, most: u32| {
        u32::from_str_radix(text, 16)
            .ok()
            .filter(|number| *number <= most)
    };
    let all = |text: &str, most: u32| {
        if text == "*" {
            Some((0, most))
        } else {
            number(text, most).map(|number| (number, number))
        }
    };
    let (domain, bus) = (number(domain, 0xffff)?, number(bus, 0xff)?);
    let (devices, functions) = (all(device, 0x1f)?, all(function, 7)?);
    if device == "*" && function != "*" {
        return None;
    }
    let mut slots = Vec::new();
    for device in devices.0..=devices.1 {
        for function in functions.0..=functions.1 {
            slots.push(format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"));
        }
    }
    Some(slots)
}

/// A parsed sysfs path.
enum Node<'p> {
    Functions,
    Function(&'p str),
    OfFunction(&'p str, &'p str),
    Driver,
    OfDriver(String, &'p str),
    Elsewhere,
}

/// The files of sysfs and of the file system.
impl Kernel {
    /// Finds the node at a path, or fails as a walk along the path would.
    fn node<'p>(&self, path: &'p str) -> Result<Node<'p>, Errno> {
        let split = |rest: &'p str| {
            rest.split_once('/')
                .map_or((rest, None), |(name, rest)| (name, Some(rest)))
        };
        if path == "/sys/bus/pci/devices" {
            return Ok(Node::Functions);
        }
        if let Some(rest) = path.strip_prefix("/sys/bus/pci/devices/") {
            let (address, attribute) = split(rest);
            let function = self.functions.get(address).ok_or(Errno::ENOENT)?;
            return Ok(match attribute {
                None => Node::Function(address),
                Some(attribute) => match attribute.strip_prefix("driver/") {
                    Some(attribute) => {
                        Node::OfDriver(function.driver.clone().ok_or(Errno::ENOENT)?, attribute)
                    }
                    None => Node::OfFunction(address, attribute),
                },
            });
        }
        if let Some(rest) = path.strip_prefix("/sys/bus/pci/drivers/") {
            let (driver, attribute) = split(rest);
            if !self.has(driver) {
                return Err(Errno::ENOENT);
            }
            return Ok(attribute.map_or(Node::Driver, |attribute| {
                Node::OfDriver(driver.to_owned(), attribute)
            }));
        }
        Ok(Node::Elsewhere)
    }

    /// The whole content of a file.
    pub fn content(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        match self.node(path)? {
            Node::Functions | Node::Function(_) | Node::Driver => Err(Errno::EISDIR),
            Node::OfFunction(address, "modalias") => {
                Ok(format!("{}\n", self.functions[address].modalias).into_bytes())
            }
            Node::OfFunction(address, "driver_override") if self.has_overrides => {
                let (now, locks) = (self.now, self.locks_overrides);
                let function = self.functions.get_mut(address).ok_or(Errno::ENOENT)?;
                if locks {
                    lock(function, now)?;
                }
                Ok(
                    format!("{}\n", function.overridden.as_deref().unwrap_or("(null)"))
                        .into_bytes(),
                )
            }
            Node::OfFunction(address, "enable") => {
                let is_on = |binding: &&Binding| {
                    binding.address == address
                        && (binding.is_added..binding.returns).contains(&self.now)
                };
                let by_pciback = self.bindings.iter().filter(is_on).count();
                let count = self.functions[address].enabled as usize + by_pciback;
                Ok(format!("{count}\n").into_bytes())
            }
            Node::OfFunction(..) => Err(Errno::ENOENT),
            Node::OfDriver(driver, "irq_handlers") if driver == PCIBACK => Ok(self.irq_handlers()),
            Node::OfDriver(driver, "slots") if driver == PCIBACK => {
                let mut lines: String = self.slots.iter().map(|slot| format!("{slot}\n")).collect();
                lines.truncate(4095);
                Ok(lines.into_bytes())
            }
            // Not even root may read `bind` and `unbind` (`fs/kernfs/file.c`, `kernfs_fop_open`).
            Node::OfDriver(..) => Err(Errno::EACCES),
            Node::Elsewhere => match (path, self.pciback) {
                ("/sys/module/xen_pciback/initstate", Pciback::Coming { .. }) => {
                    Ok(b"coming\n".to_vec())
                }
                ("/sys/module/xen_pciback/initstate", Pciback::Live) => Ok(b"live\n".to_vec()),
                _ if self.has_module_below(path) => Err(Errno::EISDIR),
                _ => {
                    let parameter = path.strip_prefix("/sys/module/xen_pciback/parameters/");
                    let parameter = parameter.and_then(|name| self.parameter(name));
                    let file = self.files.get(path).map(String::as_str);
                    let text = parameter.or(file).ok_or(Errno::ENOENT)?;
                    Ok(text.as_bytes().to_vec())
                }
            },
        }
    }

    /// Writes to an existing file. An empty write does nothing.
    pub fn store(&mut self, path: &str, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return self.node(path).map(drop);
        }
        let word = || text(bytes.strip_suffix(b"\n").unwrap_or(bytes));
        match self.node(path)? {
            Node::OfFunction(address, "driver_override") => self.set_override(address, bytes),
            Node::OfFunction(address, "remove") => {
                if self.functions[address].is_locked {
                    return Err(NEVER);
                }
                self.take_out(address);
                Ok(())
            }
            Node::OfDriver(driver, "bind" | "unbind") if !self.has_bind_files(&driver) => {
                Err(Errno::ENOENT)
            }
            Node::OfDriver(driver, "bind") => self.bind(&driver, &word()),
            Node::OfDriver(driver, "unbind") => self.unbind(&driver, &word()),
            Node::OfDriver(driver, "new_slot") if driver == PCIBACK => {
                self.change_slots(bytes, true)
            }
            Node::OfDriver(driver, "remove_slot") if driver == PCIBACK => {
                self.change_slots(bytes, false)
            }
            Node::OfFunction(..) | Node::OfDriver(..) => Err(Errno::EACCES),
            Node::Elsewhere => match path {
                "/sys/bus/pci/rescan" => {
                    let gone: Vec<String> = self.gone.keys().cloned().collect();
                    gone.iter().for_each(|address| self.put_back(address));
                    Ok(())
                }
                "/sys/bus/pci/drivers_probe" => {
                    let address = word();
                    let function = self.functions.get(&address).ok_or(Errno::ENODEV)?;
                    if function.is_locked {
                        return Err(NEVER);
                    }
                    self.offer(&address);
                    Ok(())
                }
                _ if self.files.contains_key(path) => Err(Errno::EACCES),
                _ => Err(Errno::ENOENT),
            },
            Node::Functions | Node::Function(_) | Node::Driver => Err(Errno::EISDIR),
        }
    }

    /// The target of a symbolic link.
    pub fn target(&self, path: &str) -> Result<String, Errno> {
        match self.node(path)? {
            Node::Function(address) => Ok(format!(
                "../../../devices/{}/{address}",
                self.functions[address].above
            )),
            Node::OfFunction(address, "driver") => {
                // One more step up for each bridge.
                let up = "../".repeat(self.functions[address].above.matches('/').count());
                Ok(format!(
                    "{up}../../../bus/pci/drivers/{}",
                    self.driver(address).ok_or(Errno::ENOENT)?
                ))
            }
            Node::OfFunction(_, "driver_override" | "modalias")
            | Node::OfDriver(..)
            | Node::Driver
            | Node::Functions => Err(Errno::EINVAL),
            Node::OfFunction(..) => Err(Errno::ENOENT),
            Node::Elsewhere if self.files.contains_key(path) => Err(Errno::EINVAL),
            Node::Elsewhere => Err(Errno::ENOENT),
        }
    }

    /// The names in a folder. Their order is unspecified in Linux, so this order matches no sort
    /// key.
    pub fn names(&self, path: &str) -> Result<Vec<String>, Errno> {
        match self.node(path)? {
            Node::Functions => Ok(self.functions.keys().rev().cloned().collect()),
            Node::Function(address) => {
                let behind = self
                    .functions
                    .iter()
                    .filter(|(_, function)| function.above.ends_with(address))
                    .map(|(address, _)| address.clone());
                Ok(behind
                    .chain(["driver_override", "modalias"].map(str::to_owned))
                    .collect())
            }
            Node::Driver => Ok(["bind", "unbind", "uevent"].map(str::to_owned).to_vec()),
            Node::Elsewhere => {
                let folder = format!("{path}/");
                let names: Vec<String> = self
                    .files
                    .keys()
                    .filter_map(|file| file.strip_prefix(&folder))
                    .map(str::to_owned)
                    .collect();
                if names.is_empty() {
                    Err(Errno::ENOENT)
                } else {
                    Ok(names)
                }
            }
            _ => Err(Errno::ENOTDIR),
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
