//! PCI functions: their addresses, what they are, where they are, and the walk over the bus.
//!
//! | file | |
//! | --- | --- |
//! | [`address`] | `0000:03:00.0` |
//! | [`pattern`] | an address with `*` in it |
//! | [`identity`] | vendor, device, subsystem and class |
//! | [`place`] | the bridges on the way to a function |
//! | [`bus`] | what sysfs tells |
//! | [`isolation`] | what keeps a function apart from others |

pub mod address;
pub mod bus;
pub mod identity;
pub mod isolation;
pub mod pattern;
pub mod place;

pub use address::Address;
pub use identity::Identity;
pub use isolation::Isolation;
pub use pattern::Pattern;
pub use place::Place;
