//! Runs the program and its children under ptrace, lists the calls, and breaks one of them.
//!
//! strace can break calls too, but counts them in each process separately: the first `openat` of a
//! child cannot fail without the parent's failing too. Here a point is one call of one process.

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

/// The file that receives the program's messages.
const SAID: &str = "/run/sweep.said";

/// The most bytes of a path.
const PATH_SIZE: usize = 256;

/// The override that holds a device.
const HOLD: &[u8] = b"pciseize";

/// The fault to inject into a run.
pub struct Break<'a> {
    pub call: &'a Call,
    pub fault: Fault,
    /// The devices to offer to dom0's drivers at that moment.
    pub rivalled: &'a [Device],
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Exited(i32),
    Died(Signal),
}

/// A device that was offered to its drivers while the program was stopped.
#[derive(Debug)]
pub struct Rivalry {
    pub address: String,
    pub was_held: bool,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The record of a run.
pub struct Run {
    pub end: End,
    /// The calls, in the order in which they began. Complete if no call was to be broken.
    pub calls: Vec<Call>,
    /// Whether the call to be broken was made.
    pub is_broken: bool,
    /// The processes that were ended by a signal that the sweep did not send.
    pub crashed: Vec<(usize, Signal)>,
    pub is_hung: bool,
    /// The addresses of devices whose hold the kernel had accepted.
    pub held: BTreeSet<String>,
    pub rivalries: Vec<Rivalry>,
    pub said: String,
    pub time: Duration,
}

/// Runs `seize` without tracing.
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
    command
        .arg("seize")
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said);
    Ok(command)
}

/// Runs `seize` undisturbed and without a time limit. If it hangs, the laboratory ends the machine.
pub fn run_whole(devices: &[Device]) -> Result<Run> {
    run(None, devices, Duration::MAX)
}

/// Runs `seize` and breaks a call. A run that lasts longer than `limit` is ended and counts as
/// hung.
pub fn run_broken(broken: Break, devices: &[Device], limit: Duration) -> Result<Run> {
    run(Some(broken), devices, limit)
}

fn run(broken: Option<Break>, devices: &[Device], limit: Duration) -> Result<Run> {
    let begin = Instant::now();
    let mut command = command()?;
    // SAFETY: between fork and exec the closure makes one system call and allocates no memory.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let parent = Pid::from_raw(command.spawn().context(PROGRAM)?.id() as i32);
    let mut tracer = Tracer {
        parent,
        broken,
        devices: devices.len(),
        processes: BTreeMap::from([(
            parent,
            Process {
                number: 0,
                is_foreign: false,
                call: None,
            },
        )]),
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
    /// Whether the process runs another program by now, whose calls do not matter here.
    is_foreign: bool,
    /// The call that the process is in.
    call: Option<Begun>,
}

/// A call that has not returned.
struct Begun {
    /// The errno that the call is to return.
    fails: Option<Errno>,
    /// The device that the call holds, if it succeeds.
    holds: Option<String>,
}

struct Tracer<'a> {
    parent: Pid,
    broken: Option<Break<'a>>,
    /// The number of devices to be held.
    devices: usize,
    processes: BTreeMap<Pid, Process>,
    forked: usize,
    /// New processes that stopped before their parent's fork was seen.
    early: BTreeSet<Pid>,
    alive: Arc<Mutex<BTreeSet<i32>>>,
    turns: Turns,
    killed: Option<Pid>,
    run: Run,
}

impl Tracer<'_> {
    /// Follows the processes until the last has ended: children may outlive their parent.
    fn follow(&mut self) -> Result<()> {
        let mut has_begun = false;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => bail!("waitpid: {errno}"),
                Ok(WaitStatus::Stopped(pid, Signal::SIGTRAP))
                    if pid == self.parent && !has_begun =>
                {
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
                    // The process may be killed while it is stopped.
                    if !is_gone(self.call(pid))? {
                        self.resume(pid, None)?;
                    }
                }
                Ok(WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC)) => {
                    self.processes
                        .entry(pid)
                        .and_modify(|process| process.is_foreign = true);
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
                // The first stop of a new process.
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
        self.processes.insert(
            child,
            Process {
                number: self.forked,
                is_foreign: false,
                call: None,
            },
        );
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(child.as_raw());
        if self.early.remove(&child) {
            self.resume(child, None)?;
        }
        Ok(())
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) -> Result<()> {
        let Some(process) = self.processes.get(&pid) else {
            return Ok(());
        };
        // After the broken call, listing stops as soon as all devices are known to be held.
        let is_over = self.run.is_broken
            && self.run.held.len() >= self.devices
            && process
                .call
                .as_ref()
                .is_none_or(|begun| begun.fails.is_none());
        let resumed = if is_over || process.is_foreign {
            ptrace::cont(pid, signal)
        } else {
            ptrace::syscall(pid, signal)
        };
        is_gone(resumed.map_err(Into::into)).map(drop)
    }

    fn ended(&mut self, pid: Pid, end: End) {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pid.as_raw());
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

    /// Handles a process that stopped at the start or at the end of a call.
    fn call(&mut self, pid: Pid) -> Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        let process = self
            .processes
            .get_mut(&pid)
            .context("a process without a parent")?;
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
        // The report is written to a file named after the process, which has another number each
        // time.
        if let Some(name) = on.strip_suffix(&format!(".{pid}")) {
            on = format!("{name}.PID");
        }
        let mut holds = None;
        if name == "write" && on.starts_with("/sys/") {
            // For an attribute, the written bytes matter: an address in `bind`, say.
            let value = memory(pid, arguments[1], arguments[2] as usize);
            let folder = on
                .strip_suffix("/driver_override")
                .filter(|_| value == HOLD);
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
                self.run.rivalries.push(Rivalry {
                    address: device.address.clone(),
                    was_held,
                    before,
                    after: device.has(),
                });
            }
            match broken.fault {
                Fault::Fails(errno) => {
                    // No call has this number, so the kernel makes none.
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(pid, registers)?;
                    begun = Begun {
                        fails: Some(errno),
                        holds: None,
                    };
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

/// Whether this failed because the process has died. Other failures are passed on.
fn is_gone(result: Result<()>) -> Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.downcast_ref() == Some(&Errno::ESRCH) => Ok(true),
        Err(error) => Err(error),
    }
}

/// A name for the open file with this descriptor. Pipes have other numbers in every run, so a pipe
/// is named by its kind. A file of the process itself in /proc is named by `self`.
fn file(pid: Pid, number: u64) -> String {
    let Ok(path) = fs::read_link(format!("/proc/{pid}/fd/{number}")) else {
        return "?".to_owned();
    };
    let path = path
        .display()
        .to_string()
        .replace(&format!("/proc/{pid}/"), "/proc/self/");
    if path.starts_with('/') {
        path
    } else {
        path.split(':').next().unwrap_or_default().to_owned()
    }
}

/// The string at an address of a process.
fn path(pid: Pid, address: u64) -> String {
    let bytes = memory(pid, address, PATH_SIZE);
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The bytes at an address of a process, as many as are mapped.
fn memory(pid: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length.min(PATH_SIZE)];
    let read = File::open(format!("/proc/{pid}/mem"))
        .and_then(|memory| memory.read_at(&mut bytes, address));
    bytes.truncate(read.unwrap_or_default());
    bytes
}
