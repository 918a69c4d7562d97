//! `limit MODULE ADDRESS…`: loads xen-pciback, then binds all devices at the same time, each from a
//! thread that only waits for the signal. The kernel has nothing but its own work to do: no way to
//! give it the devices can be much faster. Prints the microseconds of the load and of the binds.
//!
//! Runs in the guest of the bench, where no driver has the devices. It is no way for users: nothing
//! is held, and nothing keeps the first parts of the binds from overlapping.

use std::{
    env,
    fs::{self, File},
    io,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use nix::kmod::{ModuleInitFlags, finit_module};

const PCI: &str = "/sys/bus/pci";

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (module, addresses) = words.split_first().expect("limit MODULE ADDRESS…");
    let load = load(module)?;
    for address in addresses {
        fs::write(
            format!("{PCI}/devices/{address}/driver_override"),
            "pciback",
        )?;
    }
    println!("{}", (load + bind(addresses)?).as_micros());
    Ok(())
}

fn load(module: &str) -> io::Result<Duration> {
    let begin = Instant::now();
    finit_module(File::open(module)?, c"", ModuleInitFlags::empty())?;
    Ok(begin.elapsed())
}

/// Binds the devices at once. The time is that from the signal to the end of the last.
fn bind(addresses: &[String]) -> io::Result<Duration> {
    let signal = Barrier::new(addresses.len() + 1);
    thread::scope(|scope| {
        let bind = |address| {
            // All are there; all may go.
            signal.wait();
            signal.wait();
            fs::write(format!("{PCI}/drivers/pciback/bind"), address)
        };
        let threads: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(move || bind(address)))
            .collect();
        signal.wait();
        let begin = Instant::now();
        signal.wait();
        for thread in threads {
            thread.join().expect("a thread that does not panic")?;
        }
        Ok(begin.elapsed())
    })
}
