//! What is there: addresses, identities, places, and the walk over the bus.

pub mod address;
pub mod bus;
pub mod identity;
pub mod place;

pub use address::Address;
pub use identity::Identity;
pub use place::Place;
