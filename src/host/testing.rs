//! A machine in memory, for the tests at the foot of files.
//!
//! It keeps files, folders, links and xenstore, and records every call. It plays no kernel: what a
//! write brings about is up to the test.

extern crate std;
use core::ffi::CStr;
use std::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    thread,
    vec::Vec,
};

use ufmt::uDisplay;

use super::{
    Compression, Console, End, Errno, FileSystem, Files, FirstProcess, Level, Mounted, Next,
    NotLoaded, Path, Programs, Task, Time, Turn, VisitPiece, Workers, Xen,
};
use crate::{put, text::Line};

/// Makes something that is too large for the stack of a test.
pub fn boxed<T: Send + 'static>(new: fn() -> T) -> Box<T> {
    let maker = thread::Builder::new().stack_size(64 << 20);
    let maker = maker.spawn(move || Box::new(new())).expect("a thread");
    maker.join().expect("what was made")
}

/// What a value shows.
pub fn shown(value: impl uDisplay) -> String {
    let mut line = Line::new();
    put!(&mut line, "{}", value);
    text(line.bytes())
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is at a path.
#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Folder,
    Link(String),
}

/// A machine in memory. New, it has nothing.
#[derive(Debug, Default)]
pub struct Machine {
    nodes: BTreeMap<String, Node>,
    refusals: Vec<(String, Errno)>,
    /// Every call so far, in order: `write PATH TEXT`, `link PATH`.
    pub calls: Vec<String>,
    posts: BTreeMap<Task, u32>,
    /// The tasks that are said to run.
    pub running: BTreeSet<Task>,
    /// How the child of the first process ends, if not as its work does.
    pub end: Option<End>,
    /// The path by which the first process was started.
    pub started_as: &'static CStr,
}

/// Making it.
impl Machine {
    /// A machine with nothing.
    pub fn new() -> Machine {
        Machine::default()
    }

    /// Adds a file, or gives it another text.
    pub fn file(&mut self, path: &str, text: &str) -> &mut Machine {
        self.bytes(path, text.as_bytes())
    }

    /// The same for what is no text.
    pub fn bytes(&mut self, path: &str, bytes: &[u8]) -> &mut Machine {
        let path = self.resolve(path);
        self.nodes.insert(path, Node::File(bytes.into()));
        self
    }

    /// Adds an empty folder. Those above a file are there without that.
    pub fn folder(&mut self, path: &str) -> &mut Machine {
        let path = self.resolve(path);
        self.nodes.insert(path, Node::Folder);
        self
    }

    /// Adds a link.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Machine {
        let path = self.resolve_folder(path);
        self.nodes.insert(path, Node::Link(target.to_string()));
        self
    }

    /// Adds a PCI function, by the way to it from its root bus (`pci0000:00/0000:00:04.0`), its
    /// model (`8086:10d3`) and its class (`020000`).
    pub fn function(&mut self, way: &str, model: &str, class: &str) -> &mut Machine {
        let (_, name) = way.rsplit_once('/').expect("a way");
        let (vendor, device) = model.split_once(':').expect("a model");
        let (vendor, device) = (vendor.to_uppercase(), device.to_uppercase());
        let (base, sub, interface) = (&class[..2], &class[2..4], &class[4..]);
        let modalias = format!(
            "pci:v0000{vendor}d0000{device}sv00000000sd00000000bc{base}sc{sub}i{interface}\n"
        );
        let folder = format!("/sys/bus/pci/devices/{name}");
        self.link(&folder, &format!("../../../devices/{way}"));
        self.file(&format!("{folder}/modalias"), &modalias);
        self.file(&format!("{folder}/driver_override"), "(null)\n")
    }

    /// Gives a PCI function a driver.
    pub fn driver(&mut self, function: &str, driver: &str) -> &mut Machine {
        let folder = format!("/sys/bus/pci/drivers/{driver}");
        for attribute in ["bind", "unbind"] {
            self.file(&format!("{folder}/{attribute}"), "");
        }
        self.link(&format!("/sys/bus/pci/devices/{function}/driver"), &folder)
    }

    /// Adds what xenstore has at a path.
    pub fn xenstore(&mut self, path: &str, value: &str) -> &mut Machine {
        self.nodes
            .insert(format!("xenstore {path}"), Node::File(value.into()));
        self
    }

    /// Has every call fail from now on that is recorded with this beginning: `write PATH`.
    pub fn refuse(&mut self, beginning: &str, errno: Errno) -> &mut Machine {
        self.refusals.push((beginning.to_string(), errno));
        self
    }
}

/// Asking it.
impl Machine {
    /// What a file has.
    pub fn content(&self, path: &str) -> Option<String> {
        match self.nodes.get(&self.resolve(path)) {
            Some(Node::File(bytes)) => Some(text(bytes)),
            _ => None,
        }
    }

    /// The recorded calls of one kind, without its word: `PATH TEXT`.
    pub fn calls_of(&self, kind: &str) -> Vec<&str> {
        let calls = self.calls.iter();
        calls
            .filter_map(|call| call.strip_prefix(kind)?.strip_prefix(' '))
            .collect()
    }

    /// The path without links and `..`.
    fn resolve(&self, path: &str) -> String {
        let mut left: Vec<String> = path.rsplit('/').map(str::to_string).collect();
        let mut done = String::new();
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => done.truncate(done.rfind('/').unwrap_or_default()),
                part => done = format!("{done}/{part}"),
            }
            if let Some(Node::Link(target)) = self.nodes.get(&done) {
                let above = done.rfind('/').unwrap_or_default();
                done.truncate(if target.starts_with('/') { 0 } else { above });
                left.extend(target.rsplit('/').map(str::to_string));
            }
        }
        done
    }

    /// The path without links and `..`, where its last part may be a link itself.
    fn resolve_folder(&self, path: &str) -> String {
        let (folder, name) = path.rsplit_once('/').expect("an absolute path");
        format!("{}/{name}", self.resolve(folder))
    }

    /// The names in a folder, in order.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let inside = format!("{folder}/");
        let below = self.nodes.range(inside.clone()..);
        let below = below.map_while(|(path, _)| path.strip_prefix(&inside));
        below
            .map(|path| path.split('/').next().unwrap_or_default().to_string())
            .collect()
    }

    /// Takes the turns of a task.
    fn finish(&mut self, task: Task, work: &dyn Fn(&mut Self, Task) -> Turn) {
        let mut left = PATIENCE;
        while left > 0 {
            match work(self, task) {
                Turn::Done => return,
                Turn::Later => left -= 1,
                Turn::Again => {}
            }
        }
    }

    /// Records a call, and refuses it if that is wanted.
    fn record(&mut self, call: String) -> Result<(), Errno> {
        let refusal = self
            .refusals
            .iter()
            .find(|(beginning, _)| call.starts_with(beginning));
        let result = refusal.map_or(Ok(()), |&(_, errno)| Err(errno));
        self.calls.push(call);
        result
    }
}

/// Puts bytes into a buffer.
fn fill<'b>(buffer: &'b mut [u8], bytes: &[u8]) -> &'b [u8] {
    let length = bytes.len().min(buffer.len());
    buffer[..length].copy_from_slice(&bytes[..length]);
    &buffer[..length]
}

impl Files for Machine {
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let path = text(path);
        self.record(format!("read {path}"))?;
        let path = self.resolve(&path);
        match self.nodes.get(&path) {
            Some(Node::File(bytes)) => {
                let start = bytes.len().min(offset as usize);
                Ok(fill(buffer, &bytes[start..]))
            }
            None if self.names(&path).is_empty() => Err(Errno::ENOENT),
            _ => Err(Errno::EISDIR),
        }
    }

    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno> {
        self.read(path, 0, &mut [])?;
        let Some(Node::File(bytes)) = self.nodes.get(&self.resolve(&text(path))).cloned() else {
            return Err(Errno::EISDIR);
        };
        // No multiple of any line.
        for piece in bytes.chunks(999) {
            if visit(self, piece).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let path = text(path);
        self.record(format!("write {path} {}", text(bytes)))?;
        match self.nodes.get_mut(&self.resolve(&path)) {
            Some(Node::File(content)) => {
                *content = bytes.into();
                Ok(())
            }
            _ => Err(Errno::ENOENT),
        }
    }

    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let path = text(path);
        self.record(format!("link {path}"))?;
        match self.nodes.get(&self.resolve_folder(&path)) {
            Some(Node::Link(target)) if target.len() > buffer.len() => Err(Errno::ENAMETOOLONG),
            Some(Node::Link(target)) => Ok(fill(buffer, target.as_bytes())),
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::ENOENT),
        }
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let path = text(path);
        self.record(format!("list {path}"))?;
        let path = self.resolve(&path);
        let names = self.names(&path);
        if names.is_empty() && !matches!(self.nodes.get(&path), Some(Node::Folder)) {
            return Err(Errno::ENOENT);
        }
        // In no particular order: backwards shows who relies on one.
        for name in names.iter().rev() {
            visit(self, name.as_bytes());
        }
        Ok(())
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.record(format!("make_folder {}", text(path)))?;
        self.folder(&text(path));
        Ok(())
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let path = text(path);
        self.record(format!("append {path} {}", text(bytes)))?;
        let before = self.content(&path).unwrap_or_default();
        self.file(&path, &(before + &text(bytes)));
        Ok(())
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        self.record(format!("rename {} {}", text(from), text(to)))?;
        let node = self.nodes.remove(&text(from)).ok_or(Errno::ENOENT)?;
        self.nodes.insert(text(to), node);
        Ok(())
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.record(format!("remove {}", text(path)))?;
        self.nodes.remove(&text(path)).ok_or(Errno::ENOENT)?;
        Ok(())
    }

    fn create(&mut self, path: Path, like: Path) -> Result<(), Errno> {
        let path = text(path);
        self.record(format!("create {path} {}", text(like)))?;
        if self.nodes.contains_key(&path) {
            return Err(Errno::EEXIST);
        }
        self.file(&path, "");
        Ok(())
    }

    fn sync(&mut self, path: Path) -> Result<(), Errno> {
        self.record(format!("sync {}", text(path)))
    }
}

impl Xen for Machine {
    fn read_xenstore<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let key = format!("xenstore {}", text(path));
        self.record(key.clone())?;
        match self.nodes.get(&key) {
            Some(Node::File(value)) => Ok(fill(buffer, value)),
            _ => Err(Errno::ENOENT),
        }
    }

    fn list_xenstore<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let path = text(path);
        self.record(format!("xenstore-list {path}"))?;
        let names = self.names(&format!("xenstore {path}"));
        if names.is_empty() {
            return Err(Errno::ENOENT);
        }
        let names: String = names.iter().rev().map(|name| format!("{name}\0")).collect();
        Ok(fill(buffer, names.as_bytes()))
    }

    fn write_xenstore(&mut self, path: Path, value: &[u8]) -> Result<(), Errno> {
        let (path, value) = (text(path), text(value));
        self.record(format!("xenstore-write {path} {value}"))?;
        self.xenstore(&path, &value);
        Ok(())
    }

    fn remove_xenstore(&mut self, path: Path) -> Result<(), Errno> {
        let path = text(path);
        self.record(format!("xenstore-remove {path}"))?;
        let removed = self.nodes.remove(&format!("xenstore {path}"));
        removed.map(drop).ok_or(Errno::ENOENT)
    }
}

impl Programs for Machine {
    /// A refusal is the kernel's: `finit_module(2)` fails, if the file can be opened.
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        _: Compression,
    ) -> Result<(), NotLoaded> {
        let path = text(path);
        let taken = self.record(format!("module {path} {}", text(parameters)));
        let content = self.content(&path);
        content.ok_or(NotLoaded::NotOpened(Errno::ENOENT))?;
        taken.map_err(NotLoaded::Refused)
    }

    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno> {
        let path = text(path);
        let words: Vec<String> = arguments.iter().map(|word| text(word)).collect();
        self.record(format!("run {path} {}", words.join(" ")))?;
        self.content(&path).map(drop).ok_or(Errno::ENOENT)
    }
}

/// The turns that a task gets for something that nobody changes here.
const PATIENCE: usize = 100;

/// One task after the other. Where the first process waits nothing is running, so the time is over.
impl Workers for Machine {
    fn side_by_side(
        &mut self,
        _: u32,
        next: &mut dyn FnMut(&mut Self, Time) -> Next,
        work: &dyn Fn(&mut Self, Task) -> Turn,
    ) {
        let mut time = Time::Left;
        loop {
            match (next(self, time), time) {
                (Next::Begin(task), _) => self.finish(task, work),
                (Next::Nothing, _) | (_, Time::Over) => return,
                _ => time = Time::Over,
            }
        }
    }

    fn lock(&mut self, path: Path, _: u32) -> Result<(), Errno> {
        self.record(format!("lock {}", text(path)))
    }

    fn process(&mut self) -> u32 {
        1
    }

    fn is_running(&mut self, task: Task) -> bool {
        self.running.contains(&task)
    }

    fn post(&mut self, task: Task, value: u32) {
        self.posts.insert(task, value);
    }

    fn posted(&mut self, task: Task) -> u32 {
        self.posts.get(&task).copied().unwrap_or_default()
    }
}

impl Console for Machine {
    fn say(&mut self, level: Level, line: &Line) {
        self.calls
            .push(format!("say {level:?} {}", text(line.bytes())));
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.record(format!("print {}", text(bytes)))
    }
}

/// Nothing is mounted before. No program can be executed: each that is tried comes back.
impl FirstProcess for Machine {
    fn mount(&mut self, system: FileSystem) -> Result<Mounted, Errno> {
        self.record(format!("mount {}", text(system.place().to_bytes())))?;
        Ok(Mounted::Now)
    }

    fn unmount(&mut self, system: FileSystem, _: Mounted) {
        let call = format!("unmount {}", text(system.place().to_bytes()));
        self.calls.push(call);
    }

    fn in_child(
        &mut self,
        limit: &dyn Fn(&mut Self) -> u32,
        work: &mut dyn FnMut(&mut Self) -> u8,
    ) -> End {
        match self.end {
            // It hangs at once.
            Some(End::GivenUp(_)) => End::GivenUp(limit(self)),
            Some(end) => end,
            None => End::Status(work(self)),
        }
    }

    fn is_started_as(&self, program: &CStr) -> bool {
        self.started_as == program
    }

    fn become_program(&mut self, program: &'static CStr) -> Errno {
        let call = format!("become {}", text(program.to_bytes()));
        self.record(call).err().unwrap_or(Errno::ENOENT)
    }
}
