//! Runs the program under ptrace, with its children, lists its calls, and breaks one of them.
//!
//! strace can break calls too, but counts them in each process for itself: the first `openat` of a child cannot fail without the parent's. Here a point is one call of one process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    libc,
    sys::{
        ptrace::{self, Options},
        signal::{self, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    call::{self, Call, Fault, On, Turns},
    machine::Device,
};

const PROGRAM: &str = "/usr/sbin/pciseize";

/// Where the program's words for people go.
const SAID: &str = "/run/sweep.said";

/// Most bytes of a path.
const PATH_SIZE: usize = 256;

/// The override that holds a device.
const HOLD: &[u8] = b"pciseize";

/// What is broken in a run.
pub struct Break<'a> {
    pub call: &'a Call,
    pub fault: Fault,
    /// At that moment dom0's drivers are asked to take these.
    pub rivalled: &'a [Device],
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Exited(i32),
    Died(Signal),
}

/// A device whose drivers were asked to take it while the program stood still.
#[derive(Debug)]
pub struct Rivalry {
    pub address: String,
    pub was_held: bool,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What was seen of a run.
pub struct Run {
    pub end: End,
    /// The calls, in the order in which they were begun: all of them where none was to be broken.
    pub calls: Vec<Call>,
    /// Whether the call that was to be broken was made.
    pub is_broken: bool,
    /// The processes that a signal ended which was not ours.
    pub crashed: Vec<(usize, Signal)>,
    pub is_hung: bool,
    /// The addresses of devices whose hold the kernel had accepted.
    pub held: BTreeSet<String>,
    pub rivalries: Vec<Rivalry>,
    pub said: String,
    pub time: Duration,
}

/// A run that nobody watches.
pub fn run_alone() -> Result<(End, String)> {
    let status = command()?.status().context(PROGRAM)?;
    let end = match status.code() {
        Some(code) => End::Exited(code),
        None => End::Died(Signal::SIGKILL),
    };
    Ok((end, fs::read_to_string(SAID)?))
}

fn command() -> Result<Command> {
    let said = File::create(SAID)?;
    let mut command = Command::new(PROGRAM);
    command.arg("seize").stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    Ok(command)
}

/// Runs `seize` undisturbed. Nothing ends it: where it hangs the machine stands still.
pub fn run_whole(devices: &[Device]) -> Result<Run> {
    run(None, devices, Duration::MAX)
}

/// Runs `seize`, and breaks a call. What lasts longer than `limit` is ended, and has hung.
pub fn run_broken(broken: Break, devices: &[Device], limit: Duration) -> Result<Run> {
    run(Some(broken), devices, limit)
}

fn run(broken: Option<Break>, devices: &[Device], limit: Duration) -> Result<Run> {
    let begin = Instant::now();
    let mut command = command()?;
    // SAFETY: between fork and exec one call of the kernel is made, and no memory allocated.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let parent = Pid::from_raw(command.spawn().context(PROGRAM)?.id() as i32);
    let mut tracer = Tracer {
        parent,
        broken,
        devices: devices.len(),
        processes: BTreeMap::from([(parent, Process { number: 0, is_foreign: false, call: None })]),
        forked: 0,
        early: BTreeSet::new(),
        alive: Arc::new(Mutex::new(BTreeSet::from([parent.as_raw()]))),
        turns: Turns::default(),
        killed: None,
        run: Run {
            end: End::Exited(-1),
            calls: Vec::new(),
            is_broken: false,
            crashed: Vec::new(),
            is_hung: false,
            held: BTreeSet::new(),
            rivalries: Vec::new(),
            said: String::new(),
            time: Duration::ZERO,
        },
    };

    let alive = Arc::clone(&tracer.alive);
    let (done, is_done) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let is_late = is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            for &process in alive.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let _ = signal::kill(Pid::from_raw(process), Signal::SIGKILL);
            }
        }
        is_late
    });
    tracer.follow()?;
    drop(done);
    tracer.run.is_hung = watch.join().is_ok_and(|is_late| is_late);
    tracer.run.time = begin.elapsed();
    tracer.run.said = fs::read_to_string(SAID)?;
    Ok(tracer.run)
}

struct Process {
    number: usize,
    /// It runs another program by now, whose calls are no concern of ours.
    is_foreign: bool,
    /// The call that it is in.
    call: Option<Begun>,
}

/// A call whose end is still to come.
struct Begun {
    /// The errno that it is to end with.
    fails: Option<Errno>,
    /// The device that it holds, if it succeeds.
    holds: Option<String>,
}

struct Tracer<'a> {
    parent: Pid,
    broken: Option<Break<'a>>,
    /// How many devices there are to be held.
    devices: usize,
    processes: BTreeMap<Pid, Process>,
    forked: usize,
    /// New processes that stopped before their parent was seen to have made them.
    early: BTreeSet<Pid>,
    alive: Arc<Mutex<BTreeSet<i32>>>,
    turns: Turns,
    killed: Option<Pid>,
    run: Run,
}

impl Tracer<'_> {
    /// Goes along until the last process has ended: children may outlive their parent.
    fn follow(&mut self) -> Result<()> {
        let mut has_begun = false;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => bail!("waitpid: {errno}"),
                Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP)) if pid == self.parent && !has_begun => {
                    has_begun = true;
                    let options = [
                        Options::PTRACE_O_TRACESYSGOOD,
                        Options::PTRACE_O_TRACEFORK,
                        Options::PTRACE_O_TRACEVFORK,
                        Options::PTRACE_O_TRACECLONE,
                        Options::PTRACE_O_TRACEEXEC,
                        Options::PTRACE_O_EXITKILL,
                    ];
                    ptrace::setoptions(pid, options.into_iter().collect())?;
                    self.resume(pid, None)?;
                }
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    // It may be killed while it stands still.
                    if !is_gone(self.call(pid))? {
                        self.resume(pid, None)?;
                    }
                }
                Ok(WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC)) => {
                    self.processes.entry(pid).and_modify(|process| process.is_foreign = true);
                    self.resume(pid, None)?;
                }
                Ok(WaitStatus::PtraceEvent(pid, _, _)) => {
                    if let Ok(child) = ptrace::getevent(pid) {
                        self.adopt(Pid::from_raw(child as i32))?;
                    }
                    self.resume(pid, None)?;
                }
                Ok(WaitStatus::Stopped(pid, _)) if !self.processes.contains_key(&pid) => {
                    self.early.insert(pid);
                }
                // A new process begins with this.
                Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) => self.resume(pid, None)?,
                Ok(WaitStatus::Stopped(pid, signal)) => self.resume(pid, Some(signal))?,
                Ok(WaitStatus::Exited(pid, status)) => self.ended(pid, End::Exited(status)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, End::Died(signal)),
                Ok(_) => {}
            }
        }
    }

    fn adopt(&mut self, child: Pid) -> Result<()> {
        self.forked += 1;
        self.processes.insert(child, Process { number: self.forked, is_foreign: false, call: None });
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(child.as_raw());
        if self.early.remove(&child) {
            self.resume(child, None)?;
        }
        Ok(())
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) -> Result<()> {
        let Some(process) = self.processes.get(&pid) else { return Ok(()) };
        // What comes behind the broken call need not be listed, once it is known which devices are held.
        let is_over = self.run.is_broken && self.run.held.len() >= self.devices && process.call.as_ref().is_none_or(|begun| begun.fails.is_none());
        let resumed = if is_over || process.is_foreign { ptrace::cont(pid, signal) } else { ptrace::syscall(pid, signal) };
        is_gone(resumed.map_err(Into::into)).map(drop)
    }

    fn ended(&mut self, pid: Pid, end: End) {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw());
        if pid == self.parent {
            self.run.end = end;
        }
        if let (End::Died(signal), Some(process)) = (end, self.processes.get(&pid))
            && self.killed != Some(pid)
            && !process.is_foreign
        {
            self.run.crashed.push((process.number, signal));
        }
        self.processes.remove(&pid);
    }

    /// A process stands at the beginning or at the end of a call.
    fn call(&mut self, pid: Pid) -> Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        let process = self.processes.get_mut(&pid).context("a process that nobody made")?;
        if let Some(begun) = process.call.take() {
            if let Some(errno) = begun.fails {
                registers.rax = -(errno as i64) as u64;
                ptrace::setregs(pid, registers)?;
            } else if let Some(address) = begun.holds
                && registers.rax == HOLD.len() as u64
            {
                self.run.held.insert(address);
            }
            return Ok(());
        }

        let number = process.number;
        let (name, on) = call::describe(registers.orig_rax);
        let arguments = [registers.rdi, registers.rsi, registers.rdx];
        let mut on = match on {
            On::Path(at) => path(pid, arguments[*at]),
            On::File => file(pid, arguments[0]),
            On::Nothing => String::new(),
        };
        let mut holds = None;
        if name == "write" && on.starts_with("/sys/") {
            // Of an attribute it matters what is written: an address into `bind`, say.
            let value = memory(pid, arguments[1], arguments[2] as usize);
            let folder = on.strip_suffix("/driver_override").filter(|_| value == HOLD);
            holds = folder.and_then(|folder| Some(folder.rsplit_once('/')?.1.to_owned()));
            on = format!("{on}={}", String::from_utf8_lossy(&value));
        }
        let call = self.turns.call(number, name, on);
        let mut begun = Begun { fails: None, holds };
        if let Some(broken) = self.broken.as_ref().filter(|broken| *broken.call == call) {
            self.run.is_broken = true;
            for device in broken.rivalled {
                let before = device.has();
                device.probe();
                let was_held = self.run.held.contains(&device.address);
                self.run.rivalries.push(Rivalry { address: device.address.clone(), was_held, before, after: device.has() });
            }
            match broken.fault {
                Fault::Fails(errno) => {
                    // No call has this number: the kernel makes none.
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(pid, registers)?;
                    begun = Begun { fails: Some(errno), holds: None };
                }
                Fault::Killed => {
                    self.killed = Some(pid);
                    signal::kill(pid, Signal::SIGKILL)?;
                }
            }
        }
        self.run.calls.push(call);
        if let Some(process) = self.processes.get_mut(&pid) {
            process.call = Some(begun);
        }
        Ok(())
    }
}

/// Whether this failed because the process has died meanwhile. Other failures are passed on.
fn is_gone(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.downcast_ref() == Some(&Errno::ESRCH) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The path of the open file with this number. A pipe has a number of its own in every run: it is called by its kind. So has a process, whose own files are called as it calls them itself.
fn file(pid: Pid, number: u64) -> String {
    let Ok(path) = fs::read_link(format!("/proc/{pid}/fd/{number}")) else { return "?".to_owned() };
    let path = path.display().to_string().replace(&format!("/proc/{pid}/"), "/proc/self/");
    if path.starts_with('/') { path } else { path.split(':').next().unwrap_or_default().to_owned() }
}

/// The string at an address of a process.
fn path(pid: Pid, address: u64) -> String {
    let bytes = memory(pid, address, PATH_SIZE);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Bytes of a process, as many as there are.
fn memory(pid: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length.min(PATH_SIZE)];
    let read = File::open(format!("/proc/{pid}/mem")).and_then(|memory| memory.read_at(&mut bytes, address));
    bytes.truncate(read.unwrap_or_default());
    bytes
}
