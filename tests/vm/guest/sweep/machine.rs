//! The machine of the sweep: prepares its devices and the module before each point, and reads their
//! state afterwards.

use std::{fs, fs::File, path::Path};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    kmod::{DeleteModuleFlags, ModuleInitFlags, delete_module, finit_module},
};
use serde_json::Value;

/// Where `pciseize` keeps the files of a run.
const FOLDER: &str = "/run/pciseize";

const PCIBACK: &str = "/sys/bus/pci/drivers/pciback";

/// The state of the machine before a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Whether dom0's drivers have the devices. Otherwise no driver has them.
    pub is_bound: bool,
    pub is_module_loaded: bool,
}

impl State {
    /// The first state makes a run take every step, the second the fewest.
    pub const ALL: [State; 4] = [
        State {
            is_bound: true,
            is_module_loaded: false,
        },
        State {
            is_bound: false,
            is_module_loaded: true,
        },
        State {
            is_bound: true,
            is_module_loaded: true,
        },
        State {
            is_bound: false,
            is_module_loaded: false,
        },
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

/// A device of the sweep.
pub struct Device {
    pub address: String,
    /// dom0's driver for the device.
    pub driver: String,
}

impl Device {
    /// Parses `ADDRESS=DRIVER`.
    pub fn parse(word: &str) -> Result<Device> {
        let (address, driver) = word.split_once('=').context("ADDRESS=DRIVER")?;
        Ok(Device {
            address: address.to_owned(),
            driver: driver.to_owned(),
        })
    }

    pub fn attribute(&self, name: &str) -> String {
        format!("/sys/bus/pci/devices/{}/{name}", self.address)
    }

    /// The driver that has the device.
    pub fn has(&self) -> Option<String> {
        let link = fs::read_link(self.attribute("driver")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    pub fn is_seized(&self) -> bool {
        self.has().as_deref() == Some("pciback")
    }

    /// Offers the device to every driver.
    pub fn probe(&self) {
        // The write also fails if a driver refuses the device.
        let _ = fs::write("/sys/bus/pci/drivers_probe", &self.address);
    }

    fn tell(&self, path: &str) -> Result<()> {
        fs::write(path, &self.address).with_context(|| format!("{} to {path}", self.address))
    }
}

/// Writes a configuration that asks for the devices and gives steps up after `timeout` seconds.
pub fn configure(devices: &[Device], timeout: u64) -> Result<()> {
    let lines: String = devices
        .iter()
        .map(|device| device.address.clone() + "\n")
        .collect();
    Ok(fs::write(
        "/etc/xen/pciback.conf",
        format!("{lines}timeout = {timeout}\n"),
    )?)
}

/// Prints a line on the console. The laboratory ends a machine whose console stands still.
pub fn show(text: &str) -> Result<()> {
    Ok(fs::write("/dev/console", format!("lab: {text}\n"))?)
}

/// Makes the kernel log less: printing a line for every probe takes longer than the probe.
pub fn quiet() -> Result<()> {
    fs::write("/sys/module/printk/parameters/ignore_loglevel", "N")?;
    fs::write("/sys/module/kernel/parameters/initcall_debug", "N")?;
    fs::write("/proc/sys/kernel/printk", "1")?;
    Ok(())
}

/// Puts the machine into the state from which a run begins.
pub fn prepare(state: State, devices: &[Device]) -> Result<()> {
    for device in devices {
        let has = device.has();
        if has.as_deref() == Some("pciback") {
            device.tell(&format!("{PCIBACK}/unbind"))?;
        } else if has.is_some() && !state.is_bound {
            device.tell(&device.attribute("driver/unbind"))?;
        }
        // Undo everything the last run left.
        let _ = device.tell(&format!("{PCIBACK}/remove_slot"));
        fs::write(device.attribute("driver_override"), "\n")?;
    }
    match (state.is_module_loaded, Path::new(PCIBACK).exists()) {
        (false, true) => {
            delete_module(c"xen_pciback", DeleteModuleFlags::O_NONBLOCK).context("rmmod")?
        }
        (true, false) => load()?,
        _ => {}
    }
    for device in devices {
        if state.is_bound && device.has().is_none() {
            device.probe();
        }
        let expected = state.is_bound.then(|| device.driver.clone());
        ensure!(
            device.has() == expected,
            "the laboratory: {} has {:?}, not {expected:?}",
            device.address,
            device.has()
        );
    }
    match fs::remove_dir_all(FOLDER) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn load() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let file = File::open(format!(
        "/lib/modules/{}/kernel/drivers/xen/xen-pciback/xen-pciback.ko",
        release.trim_end()
    ))?;
    match finit_module(file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).context("insmod"),
    }
}

/// The report, if there is one. An unreadable report is an error: the program replaces it in one
/// step.
pub fn report() -> Result<Option<Value>> {
    match fs::read(format!("{FOLDER}/report")) {
        Err(_) => Ok(None),
        Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(|| {
            format!("the report is not JSON: {}", String::from_utf8_lossy(&text))
        })?)),
    }
}

/// A field of a device in the report.
pub fn reported(report: &Value, address: &str, name: &str) -> Option<String> {
    let device = report["devices"]
        .as_array()?
        .iter()
        .find(|device| device["address"] == address)?;
    Some(device[name].as_str()?.to_owned())
}
