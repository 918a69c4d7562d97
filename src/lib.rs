//! Everything that pciseize decides.
//!
//! Data flows one way, and the rooms are in that order:
//!
//! | room | purpose |
//! | --- | --- |
//! | [`host`] | the machine, seen through one trait: the only way in or out |
//! | [`pci`] | what is there: addresses, identities, places, the bus |
//! | [`names`] | how vendors and devices are called |
//! | [`needs`] | what dom0 itself needs its devices for |
//! | [`request`] | what is asked for, from every source, and what is wrong with it |
//! | [`plan`] | request and bus together: what is to be done with each function |
//! | [`device`] | a function that is asked for: what is to be done with it, and what became of it |
//! | [`guests`] | which devices guests have |
//! | [`seize`] | doing it: hold, release, module, bind, proof; and undoing it |
//! | [`report`] | telling it: log, JSON, the file in `/run` |
//! | [`cli`] | one file per command; `cli::seize::run` is the story of the boot |
//! | [`text`], [`lines`] | showing any bytes; reading any file in constant memory |
//!
//! No heap, no panic: the link of the program fails where either gets in (`build.rs`). Every capacity is a constant with a name. What exceeds it is told, never silently cut.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod device;
pub mod guests;
pub mod host;
pub mod lines;
pub mod names;
pub mod needs;
pub mod pci;
pub mod plan;
pub mod report;
pub mod request;
pub mod seize;
pub mod text;
