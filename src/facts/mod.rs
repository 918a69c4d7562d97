//! The state of this host.
//!
//! | file | |
//! | --- | --- |
//! | [`claims`] | who else lays claim to a device |
//! | [`dom0`] | whether this is a Xen dom0 |
//! | [`fitness`] | what else decides whether a guest can use a device |
//! | [`groups`] | which functions an IOMMU cannot tell apart |
//! | [`guests`] | which devices guests have |
//! | [`names`] | the names of vendors and devices |
//! | [`reserved`] | for which devices the firmware has reserved memory |
//! | [`usage`] | what dom0 itself uses its devices for |

pub mod claims;
pub mod dom0;
pub mod fitness;
pub mod groups;
pub mod guests;
pub mod names;
pub mod reserved;
pub mod usage;
