//! A machine that does not change: files, links and folders with any bytes.
//!
//! The model kernel (`tests/model/kernel.rs`) matches, probes and binds, and records every call.
//! Here nothing changes, names and contents are any bytes, and a run takes microseconds, so that
//! tests can make very many. The fuzz targets use this tree too.

use std::collections::{BTreeMap, BTreeSet};

use pciseize::{
    host::{
        Compression, Console, Errno, Files, Level, Next, NotLoaded, Path, Programs, Task, Time,
        Turn, VisitPiece, Workers, Xen,
    },
    text::Line,
};

/// The node at a path. A folder exists if a node is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    Link(Vec<u8>),
    /// Reading fails with this error.
    Broken(Errno),
}

/// The machine, and the output of the program.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub nodes: BTreeMap<Vec<u8>, Node>,
    pub printed: Vec<u8>,
    pub said: Vec<Vec<u8>>,
    /// The changes that the program tried to make. All of them fail.
    pub touched: Vec<String>,
}

impl Tree {
    pub fn file(&mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.nodes.insert(
            path.as_ref().to_vec(),
            Node::File(content.as_ref().to_vec()),
        );
    }

    pub fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) {
        self.nodes
            .insert(path.as_ref().to_vec(), Node::Link(target.as_ref().to_vec()));
    }

    fn touch(&mut self, how: &str, path: Path) -> Result<(), Errno> {
        self.touched
            .push(format!("{how} {}", String::from_utf8_lossy(path)));
        Err(Errno::EROFS)
    }

    /// The paths below a folder, relative to it.
    fn below<'t>(&'t self, folder: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
        let inside = self
            .nodes
            .range(folder.to_vec()..)
            .take_while(move |(path, _)| path.starts_with(folder));
        inside.filter_map(move |(path, _)| path[folder.len()..].strip_prefix(b"/"))
    }

    fn node(&self, path: Path) -> Result<&Node, Errno> {
        let missing = || {
            if self.below(path).next().is_some() {
                Errno::EISDIR
            } else {
                Errno::ENOENT
            }
        };
        self.nodes.get(path).ok_or_else(missing)
    }
}

impl Files for Tree {
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let content = match self.node(path)? {
            Node::File(content) => content,
            // The links in sysfs point to folders.
            Node::Link(_) => return Err(Errno::EISDIR),
            Node::Broken(errno) => return Err(*errno),
        };
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(&buffer[..length])
    }

    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno> {
        self.read(path, 0, &mut [])?;
        let Ok(Node::File(content)) = self.node(path).cloned() else {
            return Err(Errno::EISDIR);
        };
        for piece in content.chunks(100) {
            if visit(self, piece).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let target = match self.node(path)? {
            Node::Link(target) => target,
            Node::File(_) => return Err(Errno::EINVAL),
            Node::Broken(errno) => return Err(*errno),
        };
        let link = buffer.get_mut(..target.len()).ok_or(Errno::ENAMETOOLONG)?;
        link.copy_from_slice(target);
        Ok(link)
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        match self.nodes.get(path) {
            Some(Node::File(_)) => return Err(Errno::ENOTDIR),
            Some(Node::Broken(errno)) => return Err(*errno),
            Some(Node::Link(_)) | None => {}
        }
        let names: BTreeSet<Vec<u8>> = self
            .below(path)
            .map(|rest| {
                rest.split(|&b| b == b'/')
                    .next()
                    .unwrap_or_default()
                    .to_vec()
            })
            .collect();
        if names.is_empty() {
            return Err(Errno::ENOENT);
        }
        // The order is unspecified in Linux, so this order matches no sort key.
        names.iter().rev().for_each(|name| visit(self, name));
        Ok(())
    }

    fn write(&mut self, path: Path, _: &[u8]) -> Result<(), Errno> {
        self.touch("write", path)
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.touch("make_folder", path)
    }

    fn append(&mut self, path: Path, _: &[u8]) -> Result<(), Errno> {
        self.touch("append", path)
    }

    fn rename(&mut self, from: Path, _: Path) -> Result<(), Errno> {
        self.touch("rename", from)
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.touch("remove", path)
    }

    fn create(&mut self, path: Path, _: Path) -> Result<(), Errno> {
        self.touch("create", path)
    }

    fn sync(&mut self, path: Path) -> Result<(), Errno> {
        self.touch("sync", path)
    }
}

impl Programs for Tree {
    fn run(&mut self, path: Path, _: &[&[u8]]) -> Result<(), Errno> {
        self.touch("run", path)
    }

    fn load_module(&mut self, path: Path, _: &[u8], _: Compression) -> Result<(), NotLoaded> {
        self.touch("load_module", path)
            .map_err(NotLoaded::NotOpened)
    }
}

impl Workers for Tree {
    fn side_by_side(
        &mut self,
        _: u32,
        _: &mut dyn FnMut(&mut Self, Time) -> Next,
        _: &dyn Fn(&mut Self, usize) -> Turn,
    ) {
    }

    fn lock(&mut self, _: Path, _: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn process(&mut self) -> u32 {
        1
    }

    fn is_running(&mut self, _: Task) -> bool {
        false
    }

    fn post(&mut self, _: Task, _: u32) {}

    fn posted(&mut self, _: Task) -> u32 {
        0
    }
}

impl Xen for Tree {}

impl Console for Tree {
    fn say(&mut self, _: Level, line: &Line) {
        self.said.push(line.bytes().to_vec());
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.printed.extend_from_slice(bytes);
        Ok(())
    }
}
