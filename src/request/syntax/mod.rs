//! The request language: text to value, without a machine.
//!
//! Every parser takes bytes and gives a value or a [`Fault`](fault::Fault). What a value displays
//! reads back as the same value.
//!
//! | file | reads |
//! | --- | --- |
//! | [`selector`] | which functions an item means: `03:00.0`, `10de:1b80`, `class:usb` |
//! | [`ids`] | vendor, device and subsystem: `10de:1b80` |
//! | [`class`] | a class by name or code: `usb`, `0c03` |
//! | [`qubes`] | a selector whose path is spelled as Qubes spells it: `00_1c.0-00_00.0` |
//! | [`setting`] | a switch and its value: `strict = yes` |
//! | [`value`] | the values of switches: yes, no, seconds |
//! | [`entry`] | one line of a configuration file |
//! | [`name`] | the name of a device for guests |
//! | [`parameter`] | a command line, cut into parameters as the kernel cuts it |
//! | [`hints`] | what a bad item probably means |
//! | [`fault`] | what can be wrong |

pub mod class;
pub mod entry;
pub mod fault;
pub mod hints;
pub mod ids;
pub mod name;
pub mod parameter;
pub mod qubes;
pub mod selector;
pub mod setting;
pub mod value;
