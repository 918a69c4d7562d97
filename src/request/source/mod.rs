//! The sources of a request, each with its reader.
//!
//! Every reader works the same way: it cuts the text into lines or parameters, reads each as an
//! entry ([`syntax`](super::syntax)), and applies the entry to the request.
//!
//! | file | |
//! | --- | --- |
//! | [`embedded`] | the configuration inside the binary |
//! | [`file`](mod@file) | `/etc/xen/pciback.conf` and its drop-ins |
//! | [`guard`] | what an image knows to be needed to boot |
//! | [`modprobe`] | options for the module in `modprobe.d` |
//! | [`cmdline`] | the kernel's command line, and dracut's |
//! | `list` | a list of items in a parameter |
//! | [`folder`] | the files of a folder, in order |

pub mod cmdline;
pub mod embedded;
pub mod file;
pub mod folder;
pub mod guard;
mod list;
pub mod modprobe;
