//! Tests the request language on generated machines with generated requests.
//!
//! | room | |
//! | --- | --- |
//! | `tree` | a machine that does not change, with any bytes in its files |
//! | `machine` | functions, buses and bridges |
//! | `item` | items, generated from their meaning, so that tests need no parser |
//! | `plan` | the plan of the program, and the expected one |
//! | `laws` | the laws that hold for every request |
//! | `groups` | the groups of an IOMMU, beside Linux' own algorithm |
//!
//! A failing case is shrunk, printed, and kept in `laws.regressions` or `groups.regressions`. Later
//! runs play it first: commit it. `PROPTEST_CASES` in the environment sets the number of cases.

mod groups;
mod item;
mod laws;
mod machine;
mod plan;
#[path = "../schema/mod.rs"]
mod schema;
mod tree;
