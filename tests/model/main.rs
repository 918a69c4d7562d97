//! Runs the seizure on a model kernel, without a machine: delays, failures and concurrent changes.
//!
//! | room | |
//! | --- | --- |
//! | `kernel` | PCI functions, drivers, overrides, pciback and its list, as Linux has them |
//! | `dom0` | the kernel with time, failures and several processes, behind the library's trait |
//! | `laws` | the rules that must hold after every run, whatever happened |
//! | `stories` | single events, each also at every possible moment |
//! | `scenarios` | generated machines with generated requests and failures |
//! | `teeth` | deliberate mistakes in the seizure; each must break a law |
//!
//! The tests in `tests/language/` provide the request language and its meaning.

mod dom0;
#[allow(dead_code)]
#[path = "../language/item.rs"]
mod item;
mod kernel;
mod laws;
#[allow(dead_code)]
#[path = "../language/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../language/plan.rs"]
mod plan;
mod scenarios;
#[path = "../schema/mod.rs"]
mod schema;
mod stories;
mod teeth;
#[allow(dead_code)]
#[path = "../language/tree.rs"]
mod tree;
