//! xenstore through `/dev/xen/xenbus`; Xen's command line and its IOMMU through `/dev/xen/privcmd`.

use std::os::fd::AsFd;

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, poll},
    unistd,
};
use pciseize::{
    host::{Errno, Files, Iommu, Path, Xen, check_answer},
    text::{Line, first_part, split},
};

use super::{
    Machine, files,
    path::Buffer,
    syscall::{self, own},
    workers::timeout,
};

/// What xenstore is asked to do (`enum xsd_sockmsg_type`).
#[derive(Clone, Copy)]
enum Request {
    List = 1,
    Read = 2,
    Write = 11,
    Remove = 13,
}

/// Bytes of `struct xsd_sockmsg`: type, request, transaction, and the size of what follows
/// (`xen/include/public/io/xs_wire.h`).
const HEADER_SIZE: usize = 16;

/// Most bytes of a value.
const VALUE_SIZE: usize = 256;

/// Most bytes of an answer (`XENSTORE_PAYLOAD_MAX`).
const PAYLOAD_SIZE: usize = 4096;

/// How long xenstore is waited for, in milliseconds: nobody may be there to answer.
const PATIENCE: i64 = 2000;

/// Xen uses an IOMMU (`XEN_SYSCTL_PHYSCAP_directio`): so says `xen/common/sysctl.c`, `do_sysctl`.
const CAN_GIVE_DEVICES: u32 = 1 << 2;

impl Machine {
    /// Asks xenstore to do something at a path. `answer` has room for the header of the answer too.
    fn ask_xenstore<'a>(
        &mut self,
        request: Request,
        path: Path,
        value: &[u8],
        answer: &'a mut [u8],
    ) -> Result<&'a [u8], Errno> {
        // Opened without waiting, so that a read comes back at once where nobody answers. A machine
        // without xenstore has no path that could be missing.
        let file = self
            .open(b"/dev/xen/xenbus", OFlag::O_RDWR)
            .map_err(|errno| match errno {
                Errno::ENOENT => Errno::ENXIO,
                errno => errno,
            })?;
        let (mut name, mut message) = (Buffer::new(), Line::new());
        let name = name.spell(path)?.to_bytes_with_nul();
        let request = request as u32;
        let length = name.len() + value.len();
        for number in [request, 0, 0, length as u32] {
            message.push(&number.to_ne_bytes());
        }
        message.push(name);
        message.push(value);
        files::write_all(file.as_fd(), message.bytes())?;
        let mut waited = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waited, timeout(PATIENCE)).map_err(own)? == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        let length = unistd::read(&file, answer).map_err(own)?;
        let answer = answer
            .get(..length)
            .and_then(|answer| answer.split_at_checked(HEADER_SIZE));
        let (header, text) = answer.ok_or(Errno::EIO)?;
        check_answer(request, header, text)
    }

    /// Asks xenstore for a change, whose answer is no more than that it is done.
    fn change_xenstore(&mut self, request: Request, path: Path, value: &[u8]) -> Result<(), Errno> {
        let mut answer = [0; HEADER_SIZE + VALUE_SIZE];
        self.ask_xenstore(request, path, value, &mut answer)
            .map(drop)
    }
}

impl Xen for Machine {
    fn read_xenstore<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.base.is_other() {
            // Below `--root` a folder of files stands for xenstore.
            return self.read(path, 0, buffer);
        }
        let mut answer = [0; HEADER_SIZE + VALUE_SIZE];
        copy(
            self.ask_xenstore(Request::Read, path, b"", &mut answer)?,
            buffer,
        )
    }

    fn list_xenstore<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.base.is_other() {
            let mut length = 0;
            let mut is_full = false;
            self.list(path, &mut |_, name| {
                let end = length + name.len() + 1;
                match buffer.get_mut(length..end) {
                    Some(place) => {
                        place
                            .iter_mut()
                            .zip(name.iter().chain(b"\0"))
                            .for_each(|(to, from)| *to = *from);
                        length = end;
                    }
                    None => is_full = true,
                }
            })?;
            let names = buffer.get(..length).filter(|_| !is_full);
            return names.ok_or(Errno::ENAMETOOLONG);
        }
        let mut answer = [0; HEADER_SIZE + PAYLOAD_SIZE];
        copy(
            self.ask_xenstore(Request::List, path, b"", &mut answer)?,
            buffer,
        )
    }

    fn write_xenstore(&mut self, path: Path, value: &[u8]) -> Result<(), Errno> {
        if !self.base.is_other() {
            return self.change_xenstore(Request::Write, path, value);
        }
        for (at, _) in path
            .iter()
            .enumerate()
            .filter(|(at, byte)| *at > 0 && **byte == b'/')
        {
            self.make_folder(path.get(..at).unwrap_or_default())?;
        }
        match self.write(path, value) {
            Err(Errno::ENOENT) => self.append(path, value),
            written => written,
        }
    }

    fn remove_xenstore(&mut self, path: Path) -> Result<(), Errno> {
        if self.base.is_other() {
            return self.remove(path);
        }
        self.change_xenstore(Request::Remove, path, b"")
    }

    fn read_xen_cmdline<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.base.is_other() {
            return self.read(b"/dev/xen/cmdline", 0, buffer);
        }
        let privcmd = self.open(b"/dev/xen/privcmd", OFlag::O_RDWR)?;
        // Xen fills the whole array, however short the text is.
        let text = buffer.first_chunk_mut().ok_or(Errno::ENAMETOOLONG)?;
        syscall::read_xen_command_line(&privcmd, text)?;
        Ok(first_part(text, 0))
    }

    fn read_iommu(&mut self) -> Result<Iommu, Errno> {
        let is_used = if self.base.is_other() {
            // Below `--root` a file has what `xl info` calls virt_caps.
            let mut buffer = [0; VALUE_SIZE];
            let words = self.read_value(b"/dev/xen/virt_caps", &mut buffer)?;
            split(words, b' ').any(|word| word.ends_with(b"directio"))
        } else {
            let privcmd = self.open(b"/dev/xen/privcmd", OFlag::O_RDWR)?;
            syscall::read_xen_capabilities(&privcmd)? & CAN_GIVE_DEVICES != 0
        };
        Ok(if is_used { Iommu::Used } else { Iommu::NotUsed })
    }
}

/// Copies a text into the caller's buffer.
fn copy<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let copied = buffer.get_mut(..text.len()).ok_or(Errno::ENAMETOOLONG)?;
    copied
        .iter_mut()
        .zip(text)
        .for_each(|(to, from)| *to = *from);
    Ok(copied)
}
