//! The seizure on a model kernel: everything that takes time, goes wrong or comes in between, without a machine.
//!
//! | room | |
//! | --- | --- |
//! | `kernel` | PCI functions, drivers, overrides and modules as Linux has them, behind the library's own trait |
//! | `laws` | what must hold after every run, whatever happened |
//! | `stories` | single events, told one by one, and each possible moment of them in turn |
//! | `scenarios` | generated machines with generated mishaps |

mod kernel;
mod laws;
mod scenarios;
mod stories;
