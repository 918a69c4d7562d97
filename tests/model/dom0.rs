//! A simulated dom0 that pciseize runs in: a kernel, a clock, and disturbances.
//!
//! The clock counts the calls of the program. Before any call, other things may happen
//! ([`Arrival`]). Any call may fail ([`Mishap`]), may never return, or may be the last of its
//! process ([`End`]).
//!
//! The model cannot stop the library's code. Once a process is dead or stuck, its calls have no
//! effect and return `EIO`.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use pciseize::{
    host::{
        Compression, Console, Errno, Files, Host, Level, Next, NotLoaded, Path, Programs, Task,
        Time, Turn, VisitPiece, Workers, Xen,
    },
    text::Line,
};

use crate::kernel::{Driver, Kernel, NEVER, text};

/// A change in the machine while pciseize runs.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The change happens just before the call with this number, counted from 0.
    pub before: usize,
    pub what: Change,
}

#[derive(Clone, Debug)]
pub enum Change {
    /// A driver is loaded. Its probes last `calls` calls, and succeed or fail.
    Driver {
        driver: Driver,
        calls: usize,
        succeeds: bool,
    },
    /// The module of a driver is removed, which lasts `calls` calls.
    DriverLeaves { driver: Driver, calls: usize },
    /// Another process loads pciback; loading lasts `calls` calls.
    Pciback { calls: usize },
    /// The function with this address disappears.
    Goes(String),
    /// The function with this address, which had disappeared, comes back.
    Comes(String),
}

/// A call that is made to fail.
#[derive(Clone, Debug)]
pub struct Mishap {
    pub call: CallMatch,
    pub errno: Errno,
    /// Whether the call takes effect although it fails. Only loading a module can; other failing
    /// calls change nothing.
    pub has_effect: bool,
}

#[derive(Clone, Debug)]
pub enum CallMatch {
    /// The call with this number, counted from 0.
    Number(usize),
    /// Every call whose line in [`Dom0::trace`], without the result, is this text.
    Told(String),
}

/// The abnormal end of a process.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The number of the call during which the process ends.
    pub call: usize,
    pub how: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The calling process is killed after the call.
    Dies,
    /// The first process is killed after the call, even if another process makes the call.
    FirstDies,
    /// The call never returns; it may have taken effect. Only calls that wait for a device or a
    /// module can hang.
    Hangs { has_effect: bool },
}

/// All disturbances of a run.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    pub arrivals: Vec<Arrival>,
    pub mishaps: Vec<Mishap>,
    pub ends: Vec<End>,
    /// Picks the next task when several are ready. Once the schedule is used up, the first ready
    /// task is next.
    pub schedule: Vec<u8>,
    /// No child process can be started.
    pub is_alone: bool,
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub told: String,
    pub errno: Errno,
    /// A [`Mishap`] caused the failure, not the kernel.
    pub is_mishap: bool,
}

#[derive(Clone, Debug)]
pub struct Dom0 {
    pub kernel: Kernel,
    pub fate: Fate,
    /// Every call with its result, for debugging.
    pub trace: Option<Vec<String>>,
    /// The failed reads and writes, and all mishaps.
    pub failed: Vec<Failed>,
    /// The ends that took place.
    pub ends: Vec<End>,
    /// When the first process last read the driver link of each function.
    pub looked: BTreeMap<String, usize>,
    /// When any process last read the override of each function.
    pub checked: BTreeMap<String, usize>,
    /// Whether a wait ran into its time limit.
    pub was_late: bool,
    /// The call on which the first process waits for ever.
    pub waits_for_ever: Option<String>,
    posts: BTreeMap<Task, Post>,
    processes: Vec<Process>,
    /// When the last call of the present turn returns, if that is later than now.
    returns: Option<usize>,
    /// The task that makes the calls now; `None` is the first process.
    task: Option<usize>,
    is_gone: bool,
    is_task_gone: bool,
    /// Whether the task is gone because a call never returns.
    is_task_stuck: bool,
}

/// What a task has posted.
#[derive(Clone, Copy, Debug, Default)]
struct Post {
    value: u32,
    /// Others see the value from then on.
    since: usize,
    /// What others see until then.
    before: u32,
}

/// A process that works on a task. A turn of a task is played at once, also where its first call
/// lasts long. Others notice of that turn only what that call does; the rest when it returns.
#[derive(Clone, Copy, Debug)]
struct Process {
    task: Task,
    /// When its last call returns.
    returns: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    /// It has ended, or ends when its last call returns.
    Ends,
    /// Its last call never returns.
    Stuck,
}

/// A call, not yet executed.
#[derive(Clone, Copy)]
struct Call<'c> {
    verb: &'static str,
    path: &'c [u8],
    value: &'c [u8],
}

impl Call<'_> {
    fn told(&self) -> String {
        let [path, value] = [self.path, self.value].map(text);
        let blank = if self.path.is_empty() || self.value.is_empty() {
            ""
        } else {
            " "
        };
        format!("{} {path}{blank}{value}", self.verb)
    }

    /// Returns `Some` if the call may wait for ever: `Some(None)` for a module,
    /// `Some(Some(address))` for the lock of a function.
    fn waits(&self) -> Option<Option<&str>> {
        let writes = |end: &[u8]| self.verb == "write" && self.path.ends_with(end);
        if matches!(self.verb, "load" | "run") {
            Some(None)
        } else if writes(b"/unbind") || writes(b"/bind") {
            Some(str::from_utf8(self.value).ok())
        } else if writes(b"/driver_override") {
            Some(
                str::from_utf8(self.path)
                    .ok()?
                    .strip_prefix("/sys/bus/pci/devices/")?
                    .split('/')
                    .next(),
            )
        } else {
            None
        }
    }
}

impl Call<'_> {
    /// The function that the call gives to pciback.
    fn binds(&self) -> Option<String> {
        let is_bind = self.verb == "write" && self.path.ends_with(b"/drivers/pciback/bind");
        is_bind.then(|| text(self.value))
    }
}

impl Dom0 {
    /// A dom0 without disturbances.
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
            posts: BTreeMap::new(),
            processes: Vec::new(),
            returns: None,
            task: None,
            is_gone: false,
            is_task_gone: false,
            is_task_stuck: false,
        }
    }

    /// Resets the record of the last run.
    pub fn start_over(&mut self) {
        self.kernel.now = 0;
        self.kernel.events.clear();
        self.kernel
            .functions
            .values_mut()
            .for_each(|function| function.changed = 0);
        self.trace.iter_mut().for_each(Vec::clear);
        self.failed.clear();
        self.ends.clear();
        self.looked.clear();
        self.checked.clear();
        self.posts.clear();
        self.processes.clear();
        (
            self.was_late,
            self.waits_for_ever,
            self.task,
            self.is_gone,
            self.is_task_gone,
        ) = (false, None, None, false, false);
    }

    /// Whether the first process neither died nor got stuck.
    pub fn has_finished(&self) -> bool {
        !self.is_gone
    }

    /// The number of calls so far.
    pub fn calls(&self) -> usize {
        self.kernel.now
    }

    /// Whether the calling process is dead or stuck.
    fn is_past(&self) -> bool {
        if self.task.is_some() {
            self.is_task_gone
        } else {
            self.is_gone
        }
    }

    fn passes(&mut self) {
        *(if self.task.is_some() {
            &mut self.is_task_gone
        } else {
            &mut self.is_gone
        }) = true;
    }

    /// Applies the changes that are due before the next call, and advances the clock.
    fn live(&mut self) {
        let number = self.kernel.now;
        for arrival in self
            .fate
            .arrivals
            .iter()
            .filter(|arrival| arrival.before == number)
        {
            match &arrival.what {
                Change::Driver {
                    driver,
                    calls,
                    succeeds,
                } => self.kernel.register_slowly(*driver, *calls, *succeeds),
                Change::DriverLeaves { driver, calls } => {
                    self.kernel.unregister_slowly(*driver, *calls);
                }
                Change::Pciback { calls } => self.kernel.register_pciback_slowly(*calls),
                Change::Goes(address) => self.kernel.take_out(address),
                Change::Comes(address) => self.kernel.put_back(address),
            }
        }
        self.kernel.advance();
        self.kernel.now += 1;
    }

    /// Applies the due changes, then makes the call unless it is to fail.
    fn call<T>(
        &mut self,
        call: Call,
        act: impl FnOnce(&mut Kernel) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if self.is_past() {
            return Err(Errno::EIO);
        }
        let number = self.kernel.now;
        self.live();
        let fails = |mishap: &&Mishap| match &mishap.call {
            CallMatch::Number(call) => *call == number,
            CallMatch::Told(told) => *told == call.told(),
        };
        // Reading: ENOENT says that the file does not exist, which is an answer, not a failure.
        // Loading a module: it needs a symbol that the kernel does not have.
        let may_lack = matches!(call.verb, "write" | "load");
        let is_plausible = |mishap: &&Mishap| mishap.errno != Errno::ENOENT || may_lack;
        let mishap = self
            .fate
            .mishaps
            .iter()
            .filter(is_plausible)
            .find(fails)
            .map(|mishap| (mishap.errno, mishap.has_effect && call.verb == "load"));
        let end = self
            .fate
            .ends
            .iter()
            .find(|end| end.call == number)
            .copied();
        // A function that has disappeared has no lock.
        let may_hang = || {
            call.waits().is_some_and(|function| {
                function.is_none_or(|address| self.kernel.functions.contains_key(address))
            })
        };
        let end = end.filter(|end| {
            !matches!(end.how, Ending::Hangs { .. }) || self.task.is_some() && may_hang()
        });
        self.ends.extend(end);

        if let Some(End {
            how: Ending::Hangs { has_effect },
            ..
        }) = end
        {
            let done = has_effect && act(&mut self.kernel).is_ok();
            if let Some(address) = call.binds() {
                self.kernel.hang_bind(&address, done);
            }
            if let Some(function) = call
                .waits()
                .flatten()
                .and_then(|address| self.kernel.functions.get_mut(address))
            {
                function.is_locked = true;
            }
            self.tell(
                number,
                &call,
                if done {
                    " hangs, having done it"
                } else {
                    " hangs"
                },
            );
            (self.is_task_gone, self.is_task_stuck) = (true, true);
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
        if let Some(address) = call.binds()
            && let Some(returns) = self.kernel.bind_returns(&address)
        {
            match self.task {
                Some(_) => self.returns = Some(returns),
                None => self.kernel.end_bind(),
            }
        }
        match &result {
            Err(NEVER) => {
                self.is_task_stuck = true;
                if self.task.is_none() {
                    self.waits_for_ever = Some(call.told());
                }
                self.passes();
                self.tell(number, &call, " waits for ever");
            }
            Err(errno) => {
                if mishap.is_some() || call.verb == "write" || call.verb == "read" {
                    self.failed.push(Failed {
                        told: call.told(),
                        errno: *errno,
                        is_mishap: mishap.is_some(),
                    });
                }
                self.tell(number, &call, &format!(" = error {}", errno.0));
            }
            Ok(_) => self.tell(number, &call, ""),
        }
        match end.map(|end| end.how) {
            Some(Ending::Dies) => self.passes(),
            Some(Ending::FirstDies) => self.is_gone = true,
            _ => {}
        }
        if self.is_past() {
            Err(Errno::EIO)
        } else {
            result
        }
    }

    fn tell(&mut self, number: usize, call: &Call, result: &str) {
        if let Some(trace) = &mut self.trace {
            let who = self
                .task
                .map_or(String::new(), |task| format!(" task {task}"));
            trace.push(format!("{number}:{who} {}{result}", call.told()));
        }
    }

    /// The names in a folder.
    pub fn names(&mut self, path: Path) -> Result<Vec<String>, Errno> {
        self.call(
            Call {
                verb: "list",
                path,
                value: b"",
            },
            |kernel| kernel.names(&text(path)),
        )
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

/// A host with a [`Dom0`] below it: the dom0 itself, or a wrapper that falsifies its calls.
pub trait Inhabited: Host + Sized {
    fn dom0(&mut self) -> &mut Dom0;
}

impl Inhabited for Dom0 {
    fn dom0(&mut self) -> &mut Dom0 {
        self
    }
}

/// The most turns that all tasks of a run may take together. A device needs ten, and one for each
/// call that it waits for a driver to be registered.
const TURNS: usize = 10_000;

/// What the first process waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For nothing, or for a moment to pass.
    Not,
    /// For the end of a task, while so many processes have not ended.
    ForTask(usize),
    ForAll,
}

/// Runs the tasks by turns, in the order of the schedule, until all have ended. The time is over
/// when nothing goes on any more.
pub fn side_by_side<H: Inhabited>(
    host: &mut H,
    next: &mut dyn FnMut(&mut H, Time) -> Next,
    work: &dyn Fn(&mut H, usize) -> Turn,
) {
    if host.dom0().is_gone {
        return;
    }
    if host.dom0().fate.is_alone {
        return one_after_another(host, next, work);
    }
    let mut schedule = host.dom0().fate.schedule.clone().into_iter();
    let (mut time, mut waits) = (Time::Left, Waits::Not);
    for _ in 0..TURNS {
        let dom0 = host.dom0();
        let now = dom0.kernel.now;
        dom0.processes
            .retain(|process| process.state != State::Ends || now < process.returns);
        let count = dom0.processes.len();
        let goes_on = |process: &&Process| process.state != State::Stuck;
        let is_lively = dom0.processes.iter().any(|process| goes_on(&process));
        let mut ready: Vec<Option<Task>> = dom0
            .processes
            .iter()
            .filter(|process| process.state == State::Works && process.returns <= now)
            .map(|process| Some(process.task))
            .collect();
        let first_goes_on = match waits {
            Waits::Not => true,
            Waits::ForTask(before) => count < before,
            Waits::ForAll => false,
        };
        if first_goes_on && !dom0.is_gone {
            ready.push(None);
        }
        if ready.is_empty() {
            if is_lively {
                // Everyone is in a call.
                dom0.live();
            } else if dom0.is_gone || count == 0 || time == Time::Over {
                return;
            } else {
                (time, waits, dom0.was_late) = (Time::Over, Waits::Not, true);
            }
            continue;
        }
        match ready[usize::from(schedule.next().unwrap_or(0)) % ready.len()] {
            Some(task) => take_turn(host, task, work),
            None => match next(host, time) {
                Next::Begin(task) => host.dom0().processes.push(Process {
                    task,
                    returns: 0,
                    state: State::Works,
                }),
                Next::AfterTask => waits = Waits::ForTask(count),
                Next::Nothing => waits = Waits::ForAll,
                Next::Later if is_lively => host.dom0().live(),
                Next::Later => (time, host.dom0().was_late) = (Time::Over, true),
            },
        }
    }
    panic!("{:?} never come to an end", host.dom0().processes);
}

/// Takes one turn of a task.
fn take_turn<H: Inhabited>(host: &mut H, task: Task, work: &dyn Fn(&mut H, usize) -> Turn) {
    let dom0 = host.dom0();
    (dom0.task, dom0.is_task_gone, dom0.is_task_stuck) = (Some(task), false, false);
    dom0.returns = None;
    let turn = work(host, task);
    let dom0 = host.dom0();
    dom0.task = None;
    let returns = dom0.returns.take().unwrap_or(0);
    let state = match (dom0.is_task_gone, dom0.is_task_stuck, turn) {
        (true, true, _) => State::Stuck,
        (true, false, _) | (_, _, Turn::Done) => State::Ends,
        _ => State::Works,
    };
    let process = dom0.processes.iter_mut().find(|other| other.task == task);
    let process = process.expect("a process that works on the task");
    (process.returns, process.state) = (returns, state);
}

/// Does each task in the first process.
fn one_after_another<H: Inhabited>(
    host: &mut H,
    next: &mut dyn FnMut(&mut H, Time) -> Next,
    work: &dyn Fn(&mut H, usize) -> Turn,
) {
    let mut time = Time::Left;
    loop {
        match next(host, time) {
            Next::Begin(task) => {
                for _ in 0..TURNS {
                    if work(host, task) == Turn::Done || host.dom0().is_gone {
                        break;
                    }
                }
            }
            Next::Nothing => return,
            _ if time == Time::Over => return,
            _ => (time, host.dom0().was_late) = (Time::Over, true),
        }
        if host.dom0().is_gone {
            return;
        }
    }
}

/// The address of the function that the path names together with `attribute`.
fn function_with(path: Path, attribute: &str) -> Option<String> {
    let rest = str::from_utf8(path)
        .ok()?
        .strip_prefix("/sys/bus/pci/devices/")?;
    rest.strip_suffix(attribute).map(str::to_owned)
}

impl Files for Dom0 {
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        if let Some(address) = function_with(path, "/driver_override") {
            self.checked.insert(address, self.kernel.now);
        }
        self.call(
            Call {
                verb: "read",
                path,
                value: b"",
            },
            |kernel| {
                let content = kernel.content(&text(path))?;
                let rest = content.get(offset as usize..).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                let read = &mut buffer[..length];
                read.copy_from_slice(&rest[..length]);
                Ok(&*read)
            },
        )
    }

    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno> {
        let call = Call {
            verb: "read",
            path,
            value: b"",
        };
        let content = self.call(call, |kernel| kernel.content(&text(path)))?;
        for piece in content.chunks(100) {
            if visit(self, piece).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "write",
                path,
                value: bytes,
            },
            |kernel| kernel.store(&text(path), bytes),
        )
    }

    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.task.is_none()
            && let Some(address) = function_with(path, "/driver")
        {
            self.looked.insert(address, self.kernel.now);
        }
        self.call(
            Call {
                verb: "link",
                path,
                value: b"",
            },
            |kernel| {
                let target = kernel.target(&text(path))?;
                let link = buffer.get_mut(..target.len()).ok_or(Errno::ENAMETOOLONG)?;
                link.copy_from_slice(target.as_bytes());
                Ok(&*link)
            },
        )
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let names = self.names(path)?;
        names.iter().for_each(|name| visit(self, name.as_bytes()));
        Ok(())
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "make_folder",
                path,
                value: b"",
            },
            |_| Ok(()),
        )
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "append",
                path,
                value: b"",
            },
            |kernel| {
                kernel
                    .files
                    .entry(text(path))
                    .or_default()
                    .push_str(str::from_utf8(bytes).expect("the file is UTF-8"));
                Ok(())
            },
        )
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "rename",
                path: from,
                value: to,
            },
            |kernel| {
                let content = kernel.files.remove(&text(from)).ok_or(Errno::ENOENT)?;
                kernel.files.insert(text(to), content);
                Ok(())
            },
        )
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "remove",
                path,
                value: b"",
            },
            |kernel| {
                kernel
                    .files
                    .remove(&text(path))
                    .map(drop)
                    .ok_or(Errno::ENOENT)
            },
        )
    }

    /// Nothing that runs on this machine edits a file of the administrator's.
    fn create(&mut self, _: Path, _: Path) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }

    fn sync(&mut self, _: Path) -> Result<(), Errno> {
        Err(Errno::EROFS)
    }
}

impl Programs for Dom0 {
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        compression: Compression,
    ) -> Result<(), NotLoaded> {
        let is_there = self.kernel.has_module_at(&text(path));
        let loaded = self.call(
            Call {
                verb: "load",
                path,
                value: parameters,
            },
            |kernel| {
                kernel.load(
                    &text(path),
                    parameters,
                    compression == Compression::ByKernel,
                )
            },
        );
        loaded.map_err(if is_there {
            NotLoaded::Refused
        } else {
            NotLoaded::NotOpened
        })
    }

    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "run",
                path,
                value: &arguments.join(&b' '),
            },
            |kernel| {
                if path == b"/sbin/modprobe" {
                    kernel.modprobe(&arguments[1..])
                } else {
                    Err(Errno::ENOENT)
                }
            },
        )
    }
}

impl Workers for Dom0 {
    fn side_by_side(
        &mut self,
        _: u32,
        next: &mut dyn FnMut(&mut Self, Time) -> Next,
        work: &dyn Fn(&mut Self, usize) -> Turn,
    ) {
        side_by_side(self, next, work);
    }

    fn lock(&mut self, path: Path, _: u32) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "lock",
                path,
                value: b"",
            },
            |_| Ok(()),
        )
    }

    fn process(&mut self) -> u32 {
        1
    }

    fn is_running(&mut self, task: Task) -> bool {
        self.processes.iter().any(|process| process.task == task)
    }

    fn post(&mut self, task: Task, value: u32) {
        if !self.is_past() {
            let post = self.posts.entry(task).or_default();
            (post.before, post.since) = (post.value, self.returns.unwrap_or(0));
            post.value = value;
        }
    }

    fn posted(&mut self, task: Task) -> u32 {
        let post = self.posts.get(&task).copied().unwrap_or_default();
        if self.task.is_some() || post.since <= self.kernel.now {
            post.value
        } else {
            post.before
        }
    }
}

impl Xen for Dom0 {}

impl Console for Dom0 {
    fn say(&mut self, _: Level, line: &Line) {
        let _ = self.call(
            Call {
                verb: "say",
                path: b"",
                value: line.bytes(),
            },
            |_| Ok(()),
        );
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.call(
            Call {
                verb: "print",
                path: b"",
                value: bytes,
            },
            |_| Ok(()),
        )
    }
}
