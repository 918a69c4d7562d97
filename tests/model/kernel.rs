//! A kernel in memory: `drivers/pci/pci-driver.c`, `drivers/base/` and `drivers/xen/xen-pciback/pci_stub.c` of Linux 6.1 to 6.12, as far as pciseize can see them.
//!
//! Other things happen between any two calls of the program: drivers are loaded ([`Arrival`]), probes end. And any call may fail ([`Mishap`]).

use std::{collections::BTreeMap, fmt::Write};

use pciseize::{
    host::{Errno, Host, Level, Path, Turn},
    text::Line,
};

pub const PCIBACK: &str = "pciback";

/// Where pciback's module is in an image of Debian 12.
pub const MODULE: &str = "/lib/modules/6.1.0-model/kernel/drivers/xen/xen-pciback/xen-pciback.ko";

/// A driver of dom0's that is not pciback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    pub name: &'static str,
    /// What the modalias of the functions that it takes begins with.
    pub takes: &'static str,
}

pub const E1000E: Driver = Driver { name: "e1000e", takes: "pci:v00008086d000010D3" };
pub const XHCI: Driver = Driver { name: "xhci_hcd", takes: "pci:v00001B36d0000000D" };
pub const NVME: Driver = Driver { name: "nvme", takes: "pci:v00001B36d00000010" };
pub const PORT: Driver = Driver { name: "pcieport", takes: "pci:v00001B36d0000000C" };
/// One that takes every function, as `vfio-pci` with the right ids would.
pub const GREEDY: Driver = Driver { name: "greedy", takes: "pci:" };
/// Not dom0's: the names above never have it.
const PCIBACK_DRIVER: Driver = Driver { name: PCIBACK, takes: "pci:" };

/// A PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub modalias: String,
    pub overridden: Option<String>,
    pub driver: Option<String>,
    /// Whether pciback, if it has the function, has initialised it.
    pub is_initialised: bool,
    /// What pciback's initialisation fails with.
    pub init_error: Option<Errno>,
    /// A probe that is still running. The link to the driver is there from its start (`drivers/base/dd.c`, `really_probe`).
    probing: Option<Probing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probing {
    ends_before: usize,
    succeeds: bool,
}

impl Function {
    pub fn new(modalias: &str) -> Function {
        Function { modalias: modalias.to_owned(), overridden: None, driver: None, is_initialised: false, init_error: None, probing: None }
    }
}

/// A driver that is loaded while pciseize runs.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Just before the call with this number, counted from 0.
    pub before: usize,
    /// `None`: pciback, loaded by somebody else.
    pub driver: Option<Driver>,
    /// How many calls its probes go on for.
    pub calls: usize,
    /// Whether they end well.
    pub succeeds: bool,
}

/// A call that fails and does nothing.
#[derive(Clone, Debug)]
pub struct Mishap {
    pub call: Which,
    pub errno: Errno,
}

#[derive(Clone, Debug)]
pub enum Which {
    /// The one with this number, counted from 0.
    Number(usize),
    /// Every one that is told like this in [`Kernel::trace`], its result left out.
    Told(String),
}

/// What happens to functions, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program has written an override.
    Override {
        address: String,
        name: String,
    },
    /// The program has asked for this, and the kernel has done it or not.
    Unbind {
        address: String,
    },
    Bind {
        address: String,
    },
    Load,
    /// A driver has begun to probe, whoever asked for it.
    Probe {
        address: String,
        driver: String,
    },
}

/// How pciback comes to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// In the image, at this path.
    File(&'static str),
    /// Not in the image.
    Missing,
    /// The kernel does not take it.
    Refused(Errno),
}

#[derive(Clone, Debug)]
pub struct Kernel {
    pub functions: BTreeMap<String, Function>,
    pub module: Module,
    pub drivers: Vec<Driver>,
    /// What is no part of sysfs.
    pub files: BTreeMap<String, String>,
    pub arrivals: Vec<Arrival>,
    pub mishaps: Vec<Mishap>,
    pub events: Vec<Event>,
    /// Every call and its result, for whoever has to find out what went wrong.
    pub trace: Vec<String>,
    pub parameters: Option<String>,
    calls: usize,
    board: BTreeMap<usize, u32>,
}

impl Kernel {
    /// A dom0 without functions and drivers, where nobody asks for anything.
    pub fn new() -> Kernel {
        let files = [
            ("/proc/cmdline", "quiet\n".to_owned()),
            ("/proc/sys/kernel/osrelease", "6.1.0-model\n".to_owned()),
            ("/sys/hypervisor/properties/features", "00000f05\n".to_owned()),
        ];
        Kernel {
            functions: BTreeMap::new(),
            module: Module::File(MODULE),
            drivers: Vec::new(),
            files: files.map(|(path, text)| (path.to_owned(), text)).into(),
            arrivals: Vec::new(),
            mishaps: Vec::new(),
            events: Vec::new(),
            trace: Vec::new(),
            parameters: None,
            calls: 0,
            board: BTreeMap::new(),
        }
    }

    /// How many calls there have been.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Forgets what has happened, and counts from 0 again.
    pub fn start_over(&mut self) {
        (self.calls, self.events, self.trace, self.board) = (0, Vec::new(), Vec::new(), BTreeMap::new());
    }

    pub fn driver(&self, address: &str) -> Option<&str> {
        self.functions.get(address)?.driver.as_deref()
    }

    pub fn has(&self, driver: &str) -> bool {
        self.drivers.iter().any(|registered| registered.name == driver)
    }

    /// Registers a driver, which probes every unbound function that it matches (`drivers/base/bus.c`, `bus_add_driver`).
    pub fn register(&mut self, driver: Driver) {
        self.register_slowly(driver, 0, true);
    }

    /// The same for pciback, which then initialises what it got, and swallows the errors (`pci_stub.c`, `pcistub_init_devices_late`).
    pub fn register_pciback(&mut self) {
        self.register(PCIBACK_DRIVER);
    }

    fn register_slowly(&mut self, driver: Driver, calls: usize, succeeds: bool) {
        if self.has(driver.name) {
            return;
        }
        self.drivers.push(driver);
        let unbound: Vec<String> = self.functions.iter().filter(|(_, function)| function.driver.is_none()).map(|(address, _)| address.clone()).collect();
        for address in unbound {
            if !self.matches(driver, &address) || self.probe(driver, &address).is_err() {
                continue;
            }
            let ends_before = self.calls + calls;
            let function = self.functions.get_mut(&address).expect("it was there just now");
            if driver.name == PCIBACK {
                function.is_initialised = function.init_error.is_none();
            } else {
                function.probing = Some(Probing { ends_before, succeeds });
                self.end_probe(&address, self.calls);
            }
        }
    }

    /// Whether a driver may take a function: `pci_match_device`. An override is the name of the only one that may, and that one may whatever its ids.
    fn matches(&self, driver: Driver, address: &str) -> bool {
        let function = &self.functions[address];
        function.overridden.as_ref().map_or(function.modalias.starts_with(driver.takes), |name| name == driver.name)
    }

    /// The probe: pciback takes only what an override gives it (slots are not modelled). Others take what they match.
    fn probe(&mut self, driver: Driver, address: &str) -> Result<(), Errno> {
        self.events.push(Event::Probe { address: address.to_owned(), driver: driver.name.to_owned() });
        let function = self.functions.get_mut(address).ok_or(Errno::ENODEV)?;
        if driver.name == PCIBACK && function.overridden.as_deref() != Some(PCIBACK) {
            return Err(Errno::ENODEV);
        }
        function.driver = Some(driver.name.to_owned());
        Ok(())
    }

    /// Ends a probe whose time has come.
    fn end_probe(&mut self, address: &str, now: usize) {
        let Some(function) = self.functions.get_mut(address) else { return };
        if let Some(probing) = function.probing.take_if(|probing| probing.ends_before <= now)
            && !probing.succeeds
        {
            function.driver = None;
        }
    }

    /// A write to `bind` (`drivers/base/bus.c`, `bind_store`), with the errors of Linux 6.1.
    fn bind(&mut self, driver: &str, address: &str) -> Result<(), Errno> {
        self.events.push(Event::Bind { address: address.to_owned() });
        let driver = *self.drivers.iter().find(|registered| registered.name == driver).ok_or(Errno::ENOENT)?;
        if !self.functions.contains_key(address) || !self.matches(driver, address) {
            return Err(Errno::ENODEV);
        }
        // It takes the device's lock, and so waits for a probe.
        self.end_probe(address, usize::MAX);
        if self.driver(address).is_some() {
            return Err(Errno::EBUSY);
        }
        self.probe(driver, address)?;
        let function = self.functions.get_mut(address).ok_or(Errno::ENODEV)?;
        if let (PCIBACK, Some(errno)) = (driver.name, function.init_error) {
            function.driver = None;
            return Err(errno);
        }
        function.is_initialised = true;
        Ok(())
    }

    /// A write to `unbind`.
    fn unbind(&mut self, driver: &str, address: &str) -> Result<(), Errno> {
        self.events.push(Event::Unbind { address: address.to_owned() });
        self.end_probe(address, usize::MAX);
        let function = self.functions.get_mut(address).filter(|function| function.driver.as_deref() == Some(driver)).ok_or(Errno::ENODEV)?;
        (function.driver, function.is_initialised) = (None, false);
        Ok(())
    }

    /// A write to `driver_override` (`drivers/base/driver.c`, `driver_set_override`).
    fn set_override(&mut self, address: &str, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.len() >= 4095 {
            return Err(Errno::EINVAL);
        }
        let name = text(bytes.split(|&b| b == b'\n').next().unwrap_or_default());
        self.events.push(Event::Override { address: address.to_owned(), name: name.clone() });
        let function = self.functions.get_mut(address).ok_or(Errno::ENOENT)?;
        function.overridden = Some(name).filter(|name| !name.is_empty());
        Ok(())
    }

    /// `irq_handlers` of pciback: what it has initialised, cut at a page.
    fn irq_handlers(&self) -> Vec<u8> {
        let mut lines = String::new();
        for (address, function) in &self.functions {
            if function.driver.as_deref() == Some(PCIBACK) && function.is_initialised {
                let _ = writeln!(lines, "{address}:off:not acking:0");
            }
        }
        lines.truncate(4096);
        lines.into_bytes()
    }

    /// Whatever comes between two calls, and then the call itself, if it is not to fail.
    fn call<T>(&mut self, told: String, act: impl FnOnce(&mut Kernel) -> Result<T, Errno>) -> Result<T, Errno> {
        let number = self.calls;
        let due: Vec<Arrival> = self.arrivals.iter().filter(|arrival| arrival.before == number).copied().collect();
        for arrival in due {
            match arrival.driver {
                Some(driver) => self.register_slowly(driver, arrival.calls, arrival.succeeds),
                None => self.register_pciback(),
            }
        }
        let addresses: Vec<String> = self.functions.keys().cloned().collect();
        addresses.iter().for_each(|address| self.end_probe(address, number));

        let fails = |mishap: &&Mishap| match &mishap.call {
            Which::Number(call) => *call == number,
            Which::Told(call) => *call == told,
        };
        let mishap = self.mishaps.iter().find(fails).map(|mishap| mishap.errno);
        self.calls += 1;
        let at = self.trace.len();
        self.trace.push(format!("{number}: {told}"));
        let result = mishap.map_or_else(|| act(self), Err);
        if let Err(errno) = &result {
            let errno = errno.0;
            let _ = write!(self.trace[at], " = error {errno}");
        }
        result
    }
}

/// A path of sysfs, understood.
enum Node {
    Functions,
    Function(String),
    OfFunction(String, String),
    Driver,
    OfDriver(String, String),
    Elsewhere,
}

impl Kernel {
    /// What is at a path. The errors are those of the way to it.
    fn node(&self, path: &str) -> Result<Node, Errno> {
        let split = |rest: &str| rest.split_once('/').map_or((rest.to_owned(), None), |(name, rest)| (name.to_owned(), Some(rest.to_owned())));
        if path == "/sys/bus/pci/devices" {
            return Ok(Node::Functions);
        }
        if let Some(rest) = path.strip_prefix("/sys/bus/pci/devices/") {
            let (address, attribute) = split(rest);
            let function = self.functions.get(&address).ok_or(Errno::ENOENT)?;
            return Ok(match attribute {
                None => Node::Function(address),
                Some(attribute) => match attribute.strip_prefix("driver/") {
                    Some(attribute) => Node::OfDriver(function.driver.clone().ok_or(Errno::ENOENT)?, attribute.to_owned()),
                    None => Node::OfFunction(address, attribute),
                },
            });
        }
        if let Some(rest) = path.strip_prefix("/sys/bus/pci/drivers/") {
            let (driver, attribute) = split(rest);
            if !self.has(&driver) {
                return Err(Errno::ENOENT);
            }
            return Ok(attribute.map_or(Node::Driver, |attribute| Node::OfDriver(driver, attribute)));
        }
        Ok(Node::Elsewhere)
    }

    fn content(&self, path: &str) -> Result<Vec<u8>, Errno> {
        match self.node(path)? {
            Node::Functions | Node::Function(_) | Node::Driver => Err(Errno::EISDIR),
            Node::OfFunction(address, attribute) => match attribute.as_str() {
                "modalias" => Ok(format!("{}\n", self.functions[&address].modalias).into_bytes()),
                "driver_override" => Ok(format!("{}\n", self.functions[&address].overridden.as_deref().unwrap_or("(null)")).into_bytes()),
                _ => Err(Errno::ENOENT),
            },
            Node::OfDriver(driver, attribute) if driver == PCIBACK && attribute == "irq_handlers" => Ok(self.irq_handlers()),
            // `bind` and `unbind` are for writing.
            Node::OfDriver(..) => Err(Errno::EACCES),
            Node::Elsewhere => self.files.get(path).map(|text| text.clone().into_bytes()).ok_or(Errno::ENOENT),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Host for Kernel {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let path = text(path);
        self.call(format!("read {path}"), |kernel| {
            let content = kernel.content(&path)?;
            let rest = content.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            let read = &mut buffer[..length];
            read.copy_from_slice(&rest[..read.len()]);
            Ok(&*read)
        })
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let path = text(path);
        self.call(format!("write {path} {}", text(bytes)), |kernel| match kernel.node(&path)? {
            Node::OfFunction(address, attribute) if attribute == "driver_override" => kernel.set_override(&address, bytes),
            Node::OfDriver(driver, attribute) if attribute == "bind" => kernel.bind(&driver, &text(bytes)),
            Node::OfDriver(driver, attribute) if attribute == "unbind" => kernel.unbind(&driver, &text(bytes)),
            _ => Err(Errno::EACCES),
        })
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let path = text(path);
        self.call(format!("link {path}"), |kernel| {
            let target = match kernel.node(&path)? {
                Node::Function(address) => format!("../../../devices/pci0000:00/{address}"),
                Node::OfFunction(address, attribute) if attribute == "driver" => {
                    format!("../../../bus/pci/drivers/{}", kernel.driver(&address).ok_or(Errno::ENOENT)?)
                }
                _ => return Err(Errno::EINVAL),
            };
            let link = buffer.get_mut(..target.len()).ok_or(Errno::ENAMETOOLONG)?;
            link.copy_from_slice(target.as_bytes());
            Ok(&*link)
        })
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let path = text(path);
        let names: Vec<String> = self.call(format!("list {path}"), |kernel| match kernel.node(&path)? {
            // In no particular order, and so in one that nobody sorts by.
            Node::Functions => Ok(kernel.functions.keys().rev().cloned().collect()),
            Node::Driver => Ok(["bind", "unbind", "uevent"].map(str::to_owned).to_vec()),
            Node::Elsewhere => {
                let folder = format!("{path}/");
                let names: Vec<String> = kernel.files.keys().filter_map(|file| file.strip_prefix(&folder)).map(str::to_owned).collect();
                if names.is_empty() { Err(Errno::ENOENT) } else { Ok(names) }
            }
            _ => Err(Errno::ENOTDIR),
        })?;
        names.iter().for_each(|name| visit(self, name.as_bytes()));
        Ok(())
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.call(format!("make_folder {}", text(path)), |_| Ok(()))
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let path = text(path);
        self.call(format!("append {path}"), |kernel| {
            kernel.files.entry(path).or_default().push_str(str::from_utf8(bytes).expect("what is written is UTF-8"));
            Ok(())
        })
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        let (from, to) = (text(from), text(to));
        self.call(format!("rename {from} {to}"), |kernel| {
            let content = kernel.files.remove(&from).ok_or(Errno::ENOENT)?;
            kernel.files.insert(to, content);
            Ok(())
        })
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        let path = text(path);
        self.call(format!("remove {path}"), |kernel| kernel.files.remove(&path).map(drop).ok_or(Errno::ENOENT))
    }

    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        let path = text(path);
        self.call(format!("load {path}"), |kernel| {
            let file = match kernel.module {
                Module::File(file) => file,
                Module::Missing => return Err(Errno::ENOENT),
                Module::Refused(_) => MODULE,
            };
            if path != file {
                return Err(Errno::ENOENT);
            }
            kernel.events.push(Event::Load);
            if kernel.has(PCIBACK) {
                return Err(Errno::EEXIST);
            }
            if let Module::Refused(errno) = kernel.module {
                return Err(errno);
            }
            // Only told to does the kernel unpack, and then it wants something packed (`kernel/module/main.c`).
            if compressed == path.ends_with(".ko") {
                return Err(Errno::ENOEXEC);
            }
            kernel.parameters = Some(text(parameters));
            kernel.register_pciback();
            Ok(())
        })
    }

    fn run(&mut self, path: Path, argument: &[u8]) -> Result<(), Errno> {
        self.call(format!("run {} {}", text(path), text(argument)), |_| Err(Errno::ECHILD))
    }

    fn side_by_side(&mut self, tasks: &mut dyn FnMut() -> Option<usize>, _: u32, work: &dyn Fn(&mut Self, usize) -> Turn) {
        let mut open: Vec<usize> = std::iter::from_fn(tasks).collect();
        while !open.is_empty() {
            open.retain(|&task| work(self, task) != Turn::Done);
        }
    }

    fn note(&mut self, place: usize, value: u32) {
        let noted = self.board.entry(place).or_insert(0);
        if place > 0 || *noted == 0 {
            *noted = value;
        }
    }

    fn noted(&mut self, place: usize) -> u32 {
        self.board.get(&place).copied().unwrap_or(0)
    }

    fn say(&mut self, _: Level, line: &Line) {
        let _ = self.call(format!("say {}", text(line.bytes())), |_| Ok(()));
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.call(format!("print {}", text(bytes)), |_| Ok(()))
    }
}
