//! Boots real Xen in QEMU and asks what became of the devices. Run with `make check-vm`.

mod lab;

use anyhow::Result;
use lab::board::{PAIRS, ROOT_DISK};
use lab::image::{Generator, Image};
use lab::machine::Machine;

/// The control: in a stock dom0 its own drivers claim every device, listed or not. Without this the other tests prove nothing.
#[test]
fn stock_dom0_claims_every_device() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image).boot("stock")?;
    for pair in PAIRS {
        for address in [pair.listed, pair.twin] {
            assert_eq!(seen.driver(address), Some(pair.driver), "{}", pair.model);
            assert_eq!(seen.successful_probes(address).len(), 1, "{}", pair.model);
        }
    }
    assert_eq!(seen.driver(ROOT_DISK.0), Some(ROOT_DISK.1));
    Ok(())
}
