//! The state of this host.
//!
//! | file | |
//! | --- | --- |
//! | [`dom0`] | whether this is a Xen dom0 |
//! | [`groups`] | which functions an IOMMU cannot tell apart |
//! | [`guests`] | which devices guests have |
//! | [`names`] | the names of vendors and devices |
//! | [`usage`] | what dom0 itself uses its devices for |

pub mod dom0;
pub mod groups;
pub mod guests;
pub mod names;
pub mod usage;
