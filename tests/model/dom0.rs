//! A dom0 that pciseize runs in: a kernel, time, and what comes in between.
//!
//! Time is counted in calls of the program. Before any of them other things may happen ([`Arrival`]); any may fail ([`Mishap`]), may never come back, or may be the last of its process ([`End`]).
//!
//! A model cannot stop the library's code. Once a process is dead or stuck, nothing that it does has any effect, and every call says `EIO`.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use pciseize::{
    host::{Errno, Host, LATE, Level, Path, Turn},
    text::Line,
};

use crate::kernel::{Driver, Kernel, NEVER, text};

/// Something that happens while pciseize runs.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Just before the call with this number, counted from 0.
    pub before: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A driver is loaded. Its probes go on for some calls, and end well or not.
    Driver { driver: Driver, calls: usize, succeeds: bool },
    /// Somebody else loads pciback, which takes so many calls.
    Pciback { calls: usize },
    /// A function goes away.
    Goes(String),
    /// One that had gone is there again.
    Comes(String),
}

/// A call that fails.
#[derive(Clone, Debug)]
pub struct Mishap {
    pub call: Which,
    pub errno: Errno,
    /// Whether it has done its work all the same. Only loading a module is like that; other calls that fail do nothing.
    pub has_effect: bool,
}

#[derive(Clone, Debug)]
pub enum Which {
    /// The one with this number, counted from 0.
    Number(usize),
    /// Every one that is told like this in [`Dom0::trace`], its result left out.
    Told(String),
}

/// A process that does not come to its end.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// In the call with this number.
    pub call: usize,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The process that makes the call is killed, after it.
    Dies,
    /// The first process is killed after it, whoever makes the call.
    FirstDies,
    /// It never comes back, and has done its work or not. Only what waits for a device or a module does that.
    Hangs { has_effect: bool },
}

/// All that comes in between.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub arrivals: Vec<Arrival>,
    pub mishaps: Vec<Mishap>,
    pub ends: Vec<End>,
    /// Whose turn is next when several work side by side. Where it ends the first are next.
    pub schedule: Vec<u8>,
    /// No further process can be begun.
    pub is_alone: bool,
}

/// A call that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub told: String,
    pub errno: Errno,
    /// A [`Mishap`] did it, and not the kernel.
    pub is_mishap: bool,
}

#[derive(Clone, Debug)]
pub struct Dom0 {
    pub kernel: Kernel,
    pub fate: Fate,
    /// Every call and its result, for whoever has to find out what went wrong.
    pub trace: Option<Vec<String>>,
    /// The reads and writes that failed, and all mishaps.
    pub failed: Vec<Failed>,
    /// The mishaps and ends that came to pass.
    pub ends: Vec<End>,
    /// When the first process last asked for the driver of each function.
    pub looked: BTreeMap<String, usize>,
    /// When any process last asked for the override.
    pub checked: BTreeMap<String, usize>,
    /// Whether somebody has been waited for until it was too late.
    pub was_late: bool,
    /// What the first process has waited for without end.
    pub waits_for_ever: Option<String>,
    /// What was noted.
    board: Vec<u32>,
    /// Which task makes the calls now. `None`: the first process.
    task: Option<usize>,
    is_gone: bool,
    is_task_gone: bool,
}

/// A call, not yet told.
#[derive(Clone, Copy)]
struct Call<'c> {
    verb: &'static str,
    path: &'c [u8],
    value: &'c [u8],
}

impl Call<'_> {
    fn told(&self) -> String {
        let [path, value] = [self.path, self.value].map(text);
        let blank = if self.path.is_empty() || self.value.is_empty() { "" } else { " " };
        format!("{} {path}{blank}{value}", self.verb)
    }

    /// Whether it may wait for ever: for a module, or for the lock of this function.
    fn waits(&self) -> Option<Option<&str>> {
        let writes = |end: &[u8]| self.verb == "write" && self.path.ends_with(end);
        if matches!(self.verb, "load" | "run") {
            Some(None)
        } else if writes(b"/unbind") || writes(b"/bind") {
            Some(str::from_utf8(self.value).ok())
        } else if writes(b"/driver_override") {
            Some(str::from_utf8(self.path).ok()?.strip_prefix("/sys/bus/pci/devices/")?.split('/').next())
        } else {
            None
        }
    }
}

impl Dom0 {
    /// One that nothing ever happens to.
    pub fn new(kernel: Kernel) -> Dom0 {
        Dom0 {
            kernel,
            fate: Fate::default(),
            trace: None,
            failed: Vec::new(),
            ends: Vec::new(),
            looked: BTreeMap::new(),
            checked: BTreeMap::new(),
            was_late: false,
            waits_for_ever: None,
            board: Vec::new(),
            task: None,
            is_gone: false,
            is_task_gone: false,
        }
    }

    /// The program begins: nothing has happened yet.
    pub fn start_over(&mut self) {
        self.kernel.now = 0;
        self.kernel.events.clear();
        self.kernel.functions.values_mut().for_each(|function| function.changed = 0);
        self.trace.iter_mut().for_each(Vec::clear);
        self.failed.clear();
        self.ends.clear();
        self.looked.clear();
        self.checked.clear();
        self.board.clear();
        (self.was_late, self.waits_for_ever, self.task, self.is_gone, self.is_task_gone) = (false, None, None, false, false);
    }

    /// Whether the first process was neither killed nor stuck.
    pub fn has_finished(&self) -> bool {
        !self.is_gone
    }

    /// How many calls there have been.
    pub fn calls(&self) -> usize {
        self.kernel.now
    }

    /// Whether the process that makes the calls is there no more.
    fn is_past(&self) -> bool {
        if self.task.is_some() { self.is_task_gone } else { self.is_gone }
    }

    fn passes(&mut self) {
        *(if self.task.is_some() { &mut self.is_task_gone } else { &mut self.is_gone }) = true;
    }

    /// Whatever comes between two calls.
    fn live(&mut self) {
        let number = self.kernel.now;
        for arrival in self.fate.arrivals.iter().filter(|arrival| arrival.before == number) {
            match &arrival.what {
                What::Driver { driver, calls, succeeds } => self.kernel.register_slowly(*driver, *calls, *succeeds),
                What::Pciback { calls } => self.kernel.register_pciback_slowly(*calls),
                What::Goes(address) => self.kernel.take_out(address),
                What::Comes(address) => self.kernel.put_back(address),
            }
        }
        self.kernel.advance();
        self.kernel.now += 1;
    }

    /// Whatever comes between two calls, and then the call itself, if it is not to fail.
    fn call<T>(&mut self, call: Call, act: impl FnOnce(&mut Kernel) -> Result<T, Errno>) -> Result<T, Errno> {
        if self.is_past() {
            return Err(Errno::EIO);
        }
        let number = self.kernel.now;
        self.live();
        let fails = |mishap: &&Mishap| match &mishap.call {
            Which::Number(call) => *call == number,
            Which::Told(told) => *told == call.told(),
        };
        // Of a file it means that there is none, and that is no failure.
        let is_plausible = |mishap: &&Mishap| mishap.errno != Errno::ENOENT || call.verb == "write";
        let mishap = self.fate.mishaps.iter().filter(is_plausible).find(fails).map(|mishap| (mishap.errno, mishap.has_effect && call.verb == "load"));
        let end = self.fate.ends.iter().find(|end| end.call == number).copied();
        // What is there no more has no lock.
        let may_hang = || call.waits().is_some_and(|function| function.is_none_or(|address| self.kernel.functions.contains_key(address)));
        let end = end.filter(|end| !matches!(end.how, How::Hangs { .. }) || self.task.is_some() && may_hang());
        self.ends.extend(end);

        if let Some(End { how: How::Hangs { has_effect }, .. }) = end {
            let done = has_effect && act(&mut self.kernel).is_ok();
            if let Some(function) = call.waits().flatten().and_then(|address| self.kernel.functions.get_mut(address)) {
                function.is_locked = true;
            }
            self.tell(number, &call, if done { " hangs, having done it" } else { " hangs" });
            self.is_task_gone = true;
            return Err(Errno::EIO);
        }
        let result = match mishap {
            None => act(&mut self.kernel),
            Some((errno, has_effect)) => {
                if has_effect {
                    let _ = act(&mut self.kernel);
                }
                Err(errno)
            }
        };
        match &result {
            Err(NEVER) => {
                if self.task.is_none() {
                    self.waits_for_ever = Some(call.told());
                }
                self.passes();
                self.tell(number, &call, " waits for ever");
            }
            Err(errno) => {
                if mishap.is_some() || call.verb == "write" || call.verb == "read" {
                    self.failed.push(Failed { told: call.told(), errno: *errno, is_mishap: mishap.is_some() });
                }
                self.tell(number, &call, &format!(" = error {}", errno.0));
            }
            Ok(_) => self.tell(number, &call, ""),
        }
        match end.map(|end| end.how) {
            Some(How::Dies) => self.passes(),
            Some(How::FirstDies) => self.is_gone = true,
            _ => {}
        }
        if self.is_past() { Err(Errno::EIO) } else { result }
    }

    fn tell(&mut self, number: usize, call: &Call, result: &str) {
        if let Some(trace) = &mut self.trace {
            let who = self.task.map_or(String::new(), |task| format!(" task {task}"));
            trace.push(format!("{number}:{who} {}{result}", call.told()));
        }
    }

    /// The names in a folder.
    pub fn names(&mut self, path: Path) -> Result<Vec<String>, Errno> {
        self.call(Call { verb: "list", path, value: b"" }, |kernel| kernel.names(&text(path)))
    }
}

impl Deref for Dom0 {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for Dom0 {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

/// Whatever has a dom0 below it: itself, or one that is lied about.
pub trait Inhabited: Host + Sized {
    fn dom0(&mut self) -> &mut Dom0;
}

impl Inhabited for Dom0 {
    fn dom0(&mut self) -> &mut Dom0 {
        self
    }
}

/// Most turns of all tasks of a run: there are ten for a device at most.
const TURNS: usize = 10_000;

/// Gives turns to the tasks, in the order of the schedule, until all are done, or stuck, or dead. Where all that are left wait for what nobody will note, it is too late.
pub fn side_by_side<H: Inhabited>(host: &mut H, tasks: &mut dyn FnMut() -> Option<usize>, work: &dyn Fn(&mut H, usize) -> Turn) {
    if host.dom0().is_gone {
        return;
    }
    let numbers = std::iter::from_fn(tasks);
    if host.dom0().fate.is_alone {
        for number in numbers.collect::<Vec<_>>() {
            for _ in 0..TURNS {
                let turn = work(host, number);
                if turn == Turn::Wait {
                    late(host.dom0());
                }
                if turn == Turn::Done || host.dom0().is_gone {
                    break;
                }
            }
        }
        return;
    }
    // With each, whether it waits.
    let mut open: Vec<(usize, bool)> = numbers.map(|number| (number, false)).collect();
    let mut schedule = host.dom0().fate.schedule.clone().into_iter();
    for _ in 0..TURNS {
        let is_noted = host.noted(0) != 0;
        let ready: Vec<usize> = (0..open.len()).filter(|&at| is_noted || !open[at].1).collect();
        if ready.is_empty() {
            if open.is_empty() {
                return;
            }
            late(host.dom0());
            continue;
        }
        let at = ready[usize::from(schedule.next().unwrap_or(0)) % ready.len()];
        let dom0 = host.dom0();
        (dom0.task, dom0.is_task_gone) = (Some(open[at].0), false);
        let turn = work(host, open[at].0);
        let dom0 = host.dom0();
        dom0.task = None;
        if turn == Turn::Done || dom0.is_task_gone {
            open.remove(at);
        } else {
            open[at].1 = turn == Turn::Wait;
        }
    }
    panic!("{open:?} never come to an end");
}

fn late(dom0: &mut Dom0) {
    dom0.was_late = true;
    dom0.board.resize(dom0.board.len().max(1), 0);
    if dom0.board[0] == 0 {
        dom0.board[0] = LATE;
    }
}

/// The function whose attribute that is.
fn function_with(path: Path, attribute: &str) -> Option<String> {
    let rest = str::from_utf8(path).ok()?.strip_prefix("/sys/bus/pci/devices/")?;
    rest.strip_suffix(attribute).map(str::to_owned)
}

impl Host for Dom0 {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if let Some(address) = function_with(path, "/driver_override") {
            self.checked.insert(address, self.kernel.now);
        }
        self.call(Call { verb: "read", path, value: b"" }, |kernel| {
            let content = kernel.content(&text(path))?;
            let rest = content.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            let read = &mut buffer[..length];
            read.copy_from_slice(&rest[..length]);
            Ok(&*read)
        })
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        self.call(Call { verb: "write", path, value: bytes }, |kernel| kernel.store(&text(path), bytes))
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.task.is_none()
            && let Some(address) = function_with(path, "/driver")
        {
            self.looked.insert(address, self.kernel.now);
        }
        self.call(Call { verb: "link", path, value: b"" }, |kernel| {
            let target = kernel.target(&text(path))?;
            let link = buffer.get_mut(..target.len()).ok_or(Errno::ENAMETOOLONG)?;
            link.copy_from_slice(target.as_bytes());
            Ok(&*link)
        })
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let names = self.names(path)?;
        names.iter().for_each(|name| visit(self, name.as_bytes()));
        Ok(())
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.call(Call { verb: "make_folder", path, value: b"" }, |_| Ok(()))
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        self.call(Call { verb: "append", path, value: b"" }, |kernel| {
            kernel.files.entry(text(path)).or_default().push_str(str::from_utf8(bytes).expect("what is written is UTF-8"));
            Ok(())
        })
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        self.call(Call { verb: "rename", path: from, value: to }, |kernel| {
            let content = kernel.files.remove(&text(from)).ok_or(Errno::ENOENT)?;
            kernel.files.insert(text(to), content);
            Ok(())
        })
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.call(Call { verb: "remove", path, value: b"" }, |kernel| kernel.files.remove(&text(path)).map(drop).ok_or(Errno::ENOENT))
    }

    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        self.call(Call { verb: "load", path, value: parameters }, |kernel| kernel.load(&text(path), parameters, compressed))
    }

    fn run(&mut self, path: Path, argument: &[u8], _: &[u8]) -> Result<(), Errno> {
        self.call(Call { verb: "run", path, value: argument }, |kernel| if path == b"/sbin/modprobe" { kernel.modprobe() } else { Err(Errno::ENOENT) })
    }

    fn side_by_side(&mut self, tasks: &mut dyn FnMut() -> Option<usize>, _: u32, work: &dyn Fn(&mut Self, usize) -> Turn) {
        side_by_side(self, tasks, work);
    }

    fn note(&mut self, place: usize, value: u32) {
        if self.is_past() {
            return;
        }
        // Where a module is, the number that its task has would need a large board; only those of devices do.
        self.board.resize(self.board.len().max(place + 1), 0);
        if place > 0 || self.board[0] == 0 {
            self.board[place] = value;
        }
    }

    fn noted(&mut self, place: usize) -> u32 {
        self.board.get(place).copied().unwrap_or(0)
    }

    fn say(&mut self, _: Level, line: &Line) {
        let _ = self.call(Call { verb: "say", path: b"", value: line.bytes() }, |_| Ok(()));
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.call(Call { verb: "print", path: b"", value: bytes }, |_| Ok(()))
    }
}
