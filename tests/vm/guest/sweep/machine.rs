//! The machine that is swept: its devices and the module, put back before each point and looked at behind it.

use std::{fs, fs::File, path::Path};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module},
};
use serde_json::Value;

/// What `pciseize` keeps of a run.
const FOLDER: &str = "/run/pciseize";

const PCIBACK: &str = "/sys/bus/pci/drivers/pciback";

/// How a run finds the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// dom0's drivers have the devices, else none has.
    pub is_bound: bool,
    pub is_module_loaded: bool,
}

impl State {
    /// The first has every step in it, the second the fewest.
    pub const ALL: [State; 4] = [
        State { is_bound: true, is_module_loaded: false },
        State { is_bound: false, is_module_loaded: true },
        State { is_bound: true, is_module_loaded: true },
        State { is_bound: false, is_module_loaded: false },
    ];

    pub fn name(self) -> &'static str {
        match (self.is_bound, self.is_module_loaded) {
            (true, false) => "bound-unloaded",
            (true, true) => "bound-loaded",
            (false, false) => "free-unloaded",
            (false, true) => "free-loaded",
        }
    }
}

/// A device that is swept with.
pub struct Device {
    pub address: String,
    /// dom0's own for it.
    pub driver: String,
}

impl Device {
    /// `ADDRESS=DRIVER`
    pub fn parse(word: &str) -> Result<Device> {
        let (address, driver) = word.split_once('=').context("ADDRESS=DRIVER")?;
        Ok(Device { address: address.to_owned(), driver: driver.to_owned() })
    }

    pub fn attribute(&self, name: &str) -> String {
        format!("/sys/bus/pci/devices/{}/{name}", self.address)
    }

    /// The driver that has it.
    pub fn has(&self) -> Option<String> {
        let link = fs::read_link(self.attribute("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    pub fn is_seized(&self) -> bool {
        self.has().as_deref() == Some("pciback")
    }

    /// Has every driver that may asked to take it.
    pub fn probe(&self) {
        // It also fails where a driver refuses the device.
        let _ = fs::write("/sys/bus/pci/drivers_probe", &self.address);
    }

    fn tell(&self, path: &str) -> Result<()> {
        fs::write(path, &self.address).with_context(|| format!("{} to {path}", self.address))
    }
}

/// Has the devices asked for, and steps that do not end given up after so many seconds.
pub fn configure(devices: &[Device], timeout: u64) -> Result<()> {
    let lines: String = devices.iter().map(|device| device.address.clone() + "\n").collect();
    Ok(fs::write("/etc/xen/pciback.conf", format!("{lines}timeout = {timeout}\n"))?)
}

/// Shows a line on the console. The laboratory ends a machine whose console stands still.
pub fn show(text: &str) -> Result<()> {
    Ok(fs::write("/dev/console", format!("lab: {text}\n"))?)
}

/// Has the kernel log less: a line on the console for every probe takes longer than the probe.
pub fn quiet() -> Result<()> {
    fs::write("/sys/module/printk/parameters/ignore_loglevel", "N")?;
    fs::write("/sys/module/kernel/parameters/initcall_debug", "N")?;
    fs::write("/proc/sys/kernel/printk", "1")?;
    Ok(())
}

/// Brings everything back to where a run is to begin.
pub fn prepare(state: State, devices: &[Device]) -> Result<()> {
    for device in devices {
        let has = device.has();
        if has.as_deref() == Some("pciback") {
            device.tell(&format!("{PCIBACK}/unbind"))?;
        } else if has.is_some() && !state.is_bound {
            device.tell(&device.attribute("driver/unbind"))?;
        }
        // Whatever the run has put there.
        let _ = device.tell(&format!("{PCIBACK}/remove_slot"));
        fs::write(device.attribute("driver_override"), "\n")?;
    }
    match (state.is_module_loaded, Path::new(PCIBACK).exists()) {
        (false, true) => delete_module(c"xen_pciback", DeleteModuleFlags::O_NONBLOCK).context("rmmod")?,
        (true, false) => load()?,
        _ => {}
    }
    for device in devices {
        if state.is_bound && device.has().is_none() {
            device.probe();
        }
        let expected = state.is_bound.then(|| device.driver.clone());
        ensure!(device.has() == expected, "the laboratory: {} has {:?}, not {expected:?}", device.address, device.has());
    }
    match fs::remove_dir_all(FOLDER) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn load() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let file = File::open(format!("/lib/modules/{}/kernel/drivers/xen/xen-pciback/xen-pciback.ko", release.trim_end()))?;
    match finit_module(file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).context("insmod"),
    }
}

/// The report, if there is one. Not one that cannot be read: it is replaced in one step.
pub fn report() -> Result<Option<Value>> {
    match fs::read(format!("{FOLDER}/report")) {
        Err(_) => Ok(None),
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| format!("the report is not JSON: {}", String::from_utf8_lossy(&text)))?)),
    }
}

/// What the report says of a device.
pub fn reported(report: &Value, address: &str, name: &str) -> Option<String> {
    let device = report["devices"].as_array()?.iter().find(|device| device["address"] == address)?;
    Some(device[name].as_str()?.to_owned())
}
