//! `make demo`: boots a Xen dom0 twice, stock and with pciseize, and shows which driver has each
//! device. With a word, it also writes what the two kernels logged about the devices to that file:
//! `make picture` draws the README's picture from it.

#[allow(dead_code, reason = "the demonstration uses a part of the laboratory")]
mod lab;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result};
use lab::board::{self, PAIRS, ROOT_DISK};
use lab::evidence::Evidence;
use lab::image::{Generator, Image};
use lab::machine::Machine;
use lab::product::Product;
use regex::Regex;

/// What the guest runs at the end: the names of its devices, for the table.
const NAMES: &str = "lspci -D -mm >names";

fn main() -> Result<ExitCode> {
    println!("Two boots of Debian 12 under Xen 4.17 in QEMU, without hardware virtualisation.");
    println!("What is slow to make is kept in the cache: the second demonstration is faster.\n");

    // With `debug`, pciseize also logs when it holds all devices.
    let product =
        Product::install_with_embedded(&format!("{}debug = yes\n", board::configuration()))?;
    let stock = Image::stock(Generator::InitramfsTools).build()?;
    let seizing = Image::with(Generator::InitramfsTools, &product).build()?;
    let before = Machine::dom0(&stock).script(NAMES).boot("demo-stock")?;
    let after = Machine::dom0(&seizing)
        .script(NAMES)
        .boot("demo-pciseize")?;

    print_table(&before, &after)?;
    print_times(&after);
    if let Some(file) = env::args_os().nth(1) {
        fs::write(file, log(&before, &after)?)?;
    }
    if as_asked(&before, &after) {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "\nThis is NOT as asked. What pciseize logged:\n{}",
        after.pciseize_log()
    );
    Ok(ExitCode::FAILURE)
}

/// The devices with their drivers in both boots; `*` marks those that pciseize was told to take.
fn print_table(before: &Evidence, after: &Evidence) -> Result<()> {
    let names = names(
        before
            .file("names")
            .context("the guest listed no devices")?,
    );
    println!("\n  device        ids        model                         stock       pciseize");
    println!("  ------------  ---------  ----------------------------  ----------  ----------");
    for function in before.functions() {
        let address = function.address.as_str();
        let mark = if is_listed(address) { '*' } else { ' ' };
        let name = names.get(address).map_or("", String::as_str);
        let driver = function.driver.as_deref().unwrap_or("-");
        let driver_after = after.driver(address).unwrap_or("-");
        println!(
            "{mark} {address}  {}  {name:<28.28}  {driver:<10.10}  {driver_after:.10}",
            function.ids
        );
    }
    println!("\n* listed in the configuration that is embedded in this pciseize");
    Ok(())
}

fn print_times(after: &Evidence) {
    let twin = format!("probe of {} returned 0", PAIRS[0].twin);
    if let (Some(seized), Some(claimed)) = (
        after.seconds_to(r"pciseize: .* seized"),
        after.seconds_to(&twin),
    ) {
        println!("First device seized {seized:.1} s after power-on.");
        println!("dom0's network driver came at {claimed:.1} s.");
    }
}

/// The lines of both kernel logs that tell who has the listed devices, with the seconds since
/// power-on.
fn log(before: &Evidence, after: &Evidence) -> Result<String> {
    let addresses: Vec<String> = PAIRS
        .iter()
        .map(|pair| regex::escape(pair.listed))
        .collect();
    let told = [
        r"Linux version \S+",
        "Run /init",
        "EXT4-fs .*: mounted filesystem",
        "pciseize: .*",
        &format!("probe of ({}) returned .*", addresses.join("|")),
    ];
    let told = Regex::new(&format!("^({})", told.join("|")))?;
    let line = Regex::new(r"^\[ *([0-9.]+)\] (.*)")?;
    let mut log = String::from("# Two boots of `make demo`. Each line has the boot, the seconds ");
    log += "since power-on, the kernel's message.\n";
    for pair in &PAIRS {
        writeln!(log, "device {} {}", pair.listed, pair.driver)?;
    }
    for (boot, evidence) in [("stock", before), ("pciseize", after)] {
        let zero = evidence
            .seconds_to("Linux version")
            .context("the kernel's first line")?;
        for found in evidence
            .kernel_log("")
            .filter_map(|text| line.captures(text))
        {
            if let Some(text) = told.find(&found[2]) {
                writeln!(
                    log,
                    "{boot} {:.3} {}",
                    zero + found[1].parse::<f64>()?,
                    text.as_str()
                )?;
            }
        }
    }
    Ok(log)
}

/// Whether the listed devices went from their drivers to pciback, and nothing else changed.
fn as_asked(before: &Evidence, after: &Evidence) -> bool {
    let listed_taken = PAIRS.iter().all(|pair| {
        before.driver(pair.listed) == Some(pair.driver)
            && after.driver(pair.listed) == Some("pciback")
            && after.probes(pair.listed).len() == 1
    });
    let others_untouched = before
        .functions()
        .iter()
        .filter(|function| !is_listed(&function.address))
        .all(|function| after.driver(&function.address) == function.driver.as_deref());
    listed_taken && others_untouched && after.driver(ROOT_DISK.0) == Some(ROOT_DISK.1)
}

fn is_listed(address: &str) -> bool {
    PAIRS.iter().any(|pair| pair.listed == address)
}

/// The models by address, from `lspci -D -mm`: address "class" "vendor" "device" …
fn names(list: &str) -> BTreeMap<String, String> {
    let line = Regex::new(r#"(?m)^(\S+) "[^"]*" "[^"]*" "([^"]*)""#).expect("a valid pattern");
    line.captures_iter(list)
        .map(|found| (found[1].to_owned(), found[2].to_owned()))
        .collect()
}
