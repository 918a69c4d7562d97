//! The seizure on a model kernel: everything that takes time, goes wrong or comes in between, without a machine.
//!
//! | room | |
//! | --- | --- |
//! | `kernel` | PCI functions, drivers, overrides, pciback and its list, as Linux has them |
//! | `dom0` | time, mishaps and several processes: that kernel behind the library's own trait |
//! | `laws` | what must hold after every run, whatever happened |
//! | `stories` | single events, told one by one, and each possible moment of them in turn |
//! | `scenarios` | generated machines with generated requests and mishaps |
//! | `teeth` | deliberate mistakes in the seizure, each of which breaks a law |
//!
//! The request language and what it means are those of the tests in `tests/language/`.

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
mod stories;
mod teeth;
#[allow(dead_code)]
#[path = "../language/tree.rs"]
mod tree;
