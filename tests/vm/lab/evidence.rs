//! The evidence of a boot: the kernel log, the PCI functions, reports and outputs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Error, Result, ensure};
use regex::Regex;
use serde_json::Value;

use super::console::{Console, Line};
use super::schema::{self, Kind};

/// A PCI function as `/sys/bus/pci/devices` shows it at the end.
#[derive(Clone, Debug)]
pub struct Function {
    pub address: String,
    /// `8086:10d3`
    pub ids: String,
    /// `020000`
    pub class: String,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
}

/// A finished probe in the kernel log.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Seconds since the kernel's start.
    pub at: f64,
    /// The driver's return value; 0 is success. Up to Linux 5.13 the log has no other value for
    /// failure than -1 here.
    pub result: i64,
}

/// Everything that was recorded of one boot.
pub struct Evidence {
    files: BTreeMap<String, String>,
    functions: Vec<Function>,
    console: Vec<Line>,
}

impl Evidence {
    /// Reads the archive that `/test-init` wrote. Fails if the archive is incomplete or the log has
    /// lost its beginning.
    pub fn read(archive: &Path, console: &Console) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(archive)?);
        for entry in archive.entries()? {
            let mut entry = entry.context("the guest wrote no archive")?;
            let name = entry.path()?.display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(
                name.trim_start_matches("./").to_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            );
        }
        ensure!(
            files.contains_key("complete"),
            "the guest did not finish its evidence: {:?}",
            files.keys()
        );
        let functions = files["pci"].lines().map(function).collect::<Result<_>>()?;
        let evidence = Self {
            files,
            functions,
            console: console.lines.clone(),
        };
        ensure!(
            evidence
                .kernel_log("")
                .next()
                // The first is that of 64-bit ARM.
                .is_some_and(|line| {
                    ["Booting Linux on", "Linux version"]
                        .iter()
                        .any(|first| line.contains(first))
                }),
            "the kernel log has lost its beginning"
        );
        Ok(evidence)
    }

    /// A file of the evidence, by name.
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// All PCI functions.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function at this address.
    ///
    /// # Panics
    /// If there is none: the machine is not the one that the test expects.
    pub fn function(&self, address: &str) -> &Function {
        self.functions
            .iter()
            .find(|function| function.address == address)
            .unwrap_or_else(|| {
                panic!(
                    "the machine has no function {address}: {:#?}",
                    self.functions
                )
            })
    }

    /// The driver that the function has at the end.
    pub fn driver(&self, address: &str) -> Option<&str> {
        self.function(address).driver.as_deref()
    }

    /// The first two numbers of the kernel's version. Before 5.14 a probe returns 1 if it was
    /// successful, or else 0.
    fn kernel(&self) -> (u32, u32) {
        let line = self.kernel_log("Linux version ").next();
        let numbers = line.and_then(|line| {
            let (_, version) = line.split_once("Linux version ")?;
            let mut numbers = version.split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        numbers.expect("the log begins with the version, as `read` has checked")
    }

    /// All finished probes of this function, in order.
    pub fn probes(&self, address: &str) -> Vec<Probe> {
        let pattern = format!(
            r"\] probe of {} returned (-?[0-9]+) after",
            regex::escape(address)
        );
        let pattern = Regex::new(&pattern).expect("an address makes a valid pattern");
        let tells_success_by_1 = self.kernel() < (5, 14);
        let probe = |line| {
            let returned = pattern.captures(line)?[1].parse().ok()?;
            Some(Probe {
                at: time_stamp(line)?,
                result: match returned {
                    1 if tells_success_by_1 => 0,
                    0 if tells_success_by_1 => -1,
                    other => other,
                },
            })
        };
        self.kernel_log("probe of ").filter_map(probe).collect()
    }

    /// The successful probes of this function, in order.
    pub fn successful_probes(&self, address: &str) -> Vec<Probe> {
        self.probes(address)
            .into_iter()
            .filter(|probe| probe.result == 0)
            .collect()
    }

    /// The kernel's time at the first line of its log that contains this text.
    pub fn time_of(&self, text: &str) -> Option<f64> {
        self.kernel_log(text).find_map(time_stamp)
    }

    /// The lines of the kernel log that contain this text, with their time stamps.
    pub fn kernel_log<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.files["kernel.log"]
            .lines()
            .filter(move |line| line.contains(text))
    }

    /// Whether one line of pciseize in the kernel log contains all these texts.
    pub fn logged(&self, texts: &[&str]) -> bool {
        self.kernel_log("pciseize: ")
            .any(|line| texts.iter().all(|text| line.contains(text)))
    }

    /// The lines of pciseize in the kernel log, for the message of a failed assertion.
    pub fn pciseize_log(&self) -> String {
        self.kernel_log("pciseize: ").collect::<Vec<_>>().join("\n")
    }

    /// `/run/pciseize/report` at the end of the boot.
    pub fn report(&self) -> Result<Value> {
        let text = self
            .file("report")
            .context("there is no /run/pciseize/report")?;
        schema::read(Kind::Report, text.as_bytes()).map_err(Error::msg)
    }

    /// The report's entry for this device.
    pub fn reported(&self, address: &str) -> Result<Value> {
        let report = self.report()?;
        let devices = report["devices"]
            .as_array()
            .context("the report has no devices")?;
        let device = devices.iter().find(|device| device["address"] == address);
        device
            .cloned()
            .with_context(|| format!("{address} is not in the report {report:#}"))
    }

    /// What the console showed.
    pub fn console(&self) -> &[Line] {
        &self.console
    }

    /// Seconds from QEMU's start to the first line of the kernel log that matches.
    ///
    /// The console shows some lines seconds late, so the line's own time stamp counts. The line
    /// with the least delay on the console gives the time at which the kernel's clock was zero.
    pub fn seconds_to(&self, pattern: &str) -> Option<f64> {
        let pattern = Regex::new(pattern).expect("a valid pattern");
        let stamp = self
            .kernel_log("")
            .find(|line| pattern.is_match(line))
            .and_then(time_stamp)?;
        let zero = self
            .console
            .iter()
            .filter_map(|line| Some(line.at.as_secs_f64() - time_stamp(&line.text)?))
            .reduce(f64::min)?;
        Some(zero + stamp)
    }

    /// Seconds from QEMU's start to its end.
    pub fn seconds(&self) -> f64 {
        self.console
            .last()
            .map_or(0.0, |line| line.at.as_secs_f64())
    }
}

/// The kernel's time stamp of a line: `[   17.132124] nvme …`.
fn time_stamp(line: &str) -> Option<f64> {
    line.strip_prefix('[')?
        .split_once(']')?
        .0
        .trim_start()
        .parse()
        .ok()
}

/// Parses a line of the table that `/test-init` writes.
fn function(line: &str) -> Result<Function> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let &[address, vendor, device, class, driver, driver_override] = fields.as_slice() else {
        anyhow::bail!("not a line of the table of functions: {line}");
    };
    let hex = |field: &str| field.trim_start_matches("0x").to_owned();
    let unless = |field: &str, nothing: &str| (field != nothing).then(|| field.to_owned());
    Ok(Function {
        address: address.to_owned(),
        ids: format!("{}:{}", hex(vendor), hex(device)),
        class: hex(class),
        driver: unless(driver, "-"),
        driver_override: unless(driver_override, "(null)"),
    })
}
