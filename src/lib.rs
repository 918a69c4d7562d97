//! Everything that pciseize decides.
//!
//! A room is a top-level module of `src/`. Data flows one way: sources, request, plan, seizure,
//! report. A room imports only rooms below it, and only those that this table names; `text` and
//! `host` are open to all. `tests/architecture.rs` holds the table.
//!
//! | room | what it is for | imports |
//! | --- | --- | --- |
//! | [`cli`] | one file per command; `cli/seize.rs` is the story of the boot | `report`, `seize`, `release`, `naming`, `edit`, `plan`, `facts`, `request`, `device`, `pciback`, `pci` |
//! | [`report`] | what became of it, as text: data in, text out; `store.rs` alone keeps it | `plan`, `facts`, `request`, `device`, `pciback`, `pci` |
//! | [`release`] | the way back: devices are given to dom0 again | `device`, `pciback`, `pci` |
//! | [`naming`] | names for guests, given to Xen | `device`, `request`, `pci` |
//! | [`edit`] | the one drop-in that commands write, line by line | `request` |
//! | [`seize`] | the seizure: hold, module, bind, proof | `plan`, `facts`, `request`, `device`, `pciback`, `pci` |
//! | [`plan`] | request and bus together: what is to be done with each function | `facts`, `request`, `device`, `pci` |
//! | [`facts`] | the state of this host: dom0, guests, names, what dom0 uses | `device`, `pciback`, `pci` |
//! | [`device`] | the record of a device, phase by phase: data and its words | `request`, `pciback`, `pci` |
//! | [`request`] | what is asked for, from every source, and what is wrong with it | `pci` |
//! | [`pciback`] | the driver xen-pciback as sysfs shows it | `pci` |
//! | [`pci`] | addresses, identities, places, the walk over the bus | |
//! | [`host`] | the machine, seen through narrow traits | `text` |
//! | [`text`] | text in and out of fixed memory | |
//!
//! The program (`src/main.rs`, `src/machine/`) implements the traits of [`host`] with system calls.
//! It has the only `unsafe`, and decides nothing.
//!
//! No heap, no panic: the link of the program fails where either gets in (`static.ld`). Every
//! capacity is a constant with a name. What exceeds it is told, never silently cut.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod device;
pub mod edit;
pub mod facts;
pub mod host;
pub mod naming;
pub mod pci;
pub mod pciback;
pub mod plan;
pub mod release;
pub mod report;
pub mod request;
pub mod seize;
pub mod text;
