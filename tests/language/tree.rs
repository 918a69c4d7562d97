//! A machine that stands still: files, links and folders of any bytes, as they are.
//!
//! The model kernel (`tests/model/kernel.rs`) lives: it matches, probes and binds, and keeps what it tells of every call. Here nothing may happen at all, names and contents are any bytes, and a run
//! takes microseconds, so that there can be very many. The fuzz targets use it too.

use std::collections::{BTreeMap, BTreeSet};

use pciseize::{
    host::{Errno, Host, Level, Path, Turn},
    text::Line,
};

/// What is at a path. Folders are there by what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    Link(Vec<u8>),
    /// Nobody can read it.
    Broken(Errno),
}

/// The machine, and what the program has said to it.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub nodes: BTreeMap<Vec<u8>, Node>,
    pub printed: Vec<u8>,
    pub said: Vec<Vec<u8>>,
    /// What it has tried to change. Nothing can be.
    pub touched: Vec<String>,
}

impl Tree {
    pub fn file(&mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        self.nodes.insert(path.as_ref().to_vec(), Node::File(content.as_ref().to_vec()));
    }

    pub fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) {
        self.nodes.insert(path.as_ref().to_vec(), Node::Link(target.as_ref().to_vec()));
    }

    fn touch(&mut self, how: &str, path: Path) -> Result<(), Errno> {
        self.touched.push(format!("{how} {}", String::from_utf8_lossy(path)));
        Err(Errno::EROFS)
    }

    /// The paths below a folder, that folder's own left away.
    fn below<'t>(&'t self, folder: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
        let inside = self.nodes.range(folder.to_vec()..).take_while(move |(path, _)| path.starts_with(folder));
        inside.filter_map(move |(path, _)| path[folder.len()..].strip_prefix(b"/"))
    }

    fn node(&self, path: Path) -> Result<&Node, Errno> {
        let missing = || if self.below(path).next().is_some() { Errno::EISDIR } else { Errno::ENOENT };
        self.nodes.get(path).ok_or_else(missing)
    }
}

impl Host for Tree {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let content = match self.node(path)? {
            Node::File(content) => content,
            // The links of sysfs lead to folders.
            Node::Link(_) => return Err(Errno::EISDIR),
            Node::Broken(errno) => return Err(*errno),
        };
        let rest = content.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(&buffer[..length])
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
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
        let names: BTreeSet<Vec<u8>> = self.below(path).map(|rest| rest.split(|&b| b == b'/').next().unwrap_or_default().to_vec()).collect();
        if names.is_empty() {
            return Err(Errno::ENOENT);
        }
        // In no particular order, and so in one that nobody sorts by.
        names.iter().rev().for_each(|name| visit(self, name));
        Ok(())
    }

    fn run(&mut self, path: Path, _: &[u8], _: &[u8]) -> Result<(), Errno> {
        self.touch("run", path)
    }

    fn side_by_side(&mut self, _: &mut dyn FnMut() -> Option<usize>, _: u32, _: &dyn Fn(&mut Self, usize) -> Turn) {}

    fn note(&mut self, _: usize, _: u32) {}

    fn noted(&mut self, _: usize) -> u32 {
        0
    }

    fn say(&mut self, _: Level, line: &Line) {
        self.said.push(line.bytes().to_vec());
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.printed.extend_from_slice(bytes);
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

    fn load_module(&mut self, path: Path, _: &[u8], _: bool) -> Result<(), Errno> {
        self.touch("load_module", path)
    }
}
