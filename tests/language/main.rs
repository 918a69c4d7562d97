//! The request language on generated machines with generated requests.
//!
//! | room | |
//! | --- | --- |
//! | `tree` | a machine that stands still, of any bytes |
//! | `machine` | functions, buses and bridges |
//! | `item` | items, put together from what they mean, so that the meaning is known without a parser |
//! | `plan` | what the program says, and what is to be said |
//! | `laws` | what holds for every request |
//!
//! A case that fails is shrunk, shown, and kept in `laws.regressions`, to be played first from then on: commit it. `PROPTEST_CASES` in the environment plays another number.

mod item;
mod laws;
mod machine;
mod plan;
mod tree;
