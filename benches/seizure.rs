//! How long the seizure takes in a real Xen dom0, beside the other ways to give devices to pciback: `make bench`.
//!
//! All ways take their turns in one boot, some times over. What is told is the median, and what that is in terms of the kernel's own way, `modprobe xen-pciback hide=`.
//! A time goes from the fork to the end of the program, with all that it starts, and with the module's load inside. The targets are told, and whether they are met, but the times of an emulated machine vary:
//! the bench fails only where a way did not do its job.

#[path = "../tests/vm/lab/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the bench uses a part of the laboratory, and runs none of its tests")]
mod lab;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use lab::{
    image::{Generator, Image},
    machine::Machine,
    many,
    product::Product,
};

/// Devices of each kind: nvme has a function-level reset, e1000e only the reset through its power state.
const DEVICES: usize = 16;
const COUNTS: [usize; 4] = [1, 4, 8, 16];
const REPETITIONS: usize = 5;

/// The ways, as the guest's script calls them and as they are told.
const WAYS: [(&str, &str); 4] = [
    ("pciseize", "pciseize seize"),
    ("modprobe", "modprobe xen-pciback hide=…"),
    ("loop", "shell: modprobe; unbind, new_slot, bind"),
    ("xl", "shell: modprobe; xl pci-assignable-add"),
];

/// What the situations are called there, and what they are. Bound devices are not taken by the module's own parameter.
const SITUATIONS: [(&str, &str, &[&str]); 2] = [
    ("none", "no driver has the devices yet, as early in a boot", &["pciseize", "modprobe", "loop", "xl"]),
    ("bound", "dom0's drivers have the devices", &["pciseize", "loop"]),
];

/// And the resets.
const RESETS: [(&str, &str); 2] = [("flr", "with function-level reset (nvme)"), ("pm", "without (e1000e)")];

/// Most that pciseize may take in terms of the kernel's own way, with 8 devices that have a function-level reset.
const MOST_OF_MODPROBE: f64 = 0.40;
/// Most that 16 such devices may take in terms of 8.
const MOST_OF_HALF: f64 = 1.7;

/// Most seconds that a `list` of thousands of functions may take.
const MOST_OF_A_LIST: f64 = 2.0;

/// The times of the runs in milliseconds, by situation, reset, devices and way.
struct Times(BTreeMap<(String, String, usize, String), Vec<f64>>);

fn main() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let machine = Machine::dom0(&image)
        .devices(devices())
        // The drivers are there, but come only when they are called by name.
        .cmdline("modprobe.blacklist=nvme,e1000e")
        .installed(&Product::install()?)
        .file("lab/seizure", include_str!("guest/seizure"))
        .file("lab/loop", include_str!("guest/loop"))
        .file("lab/xl-loop", include_str!("guest/xl-loop"))
        .file("lab/names", many::NAMES)
        .file("lab/list", many::LIST)
        .script(&format!("exec bash /lab/seizure {REPETITIONS}"));
    let seen = many::files().fold(machine, |machine, (path, text)| machine.file(&path, &text)).boot("seizure")?;

    if let Some(failures) = seen.file("failures") {
        bail!("a way did not do its job:\n{failures}\nWhat the programs said:\n{}", seen.file("log").unwrap_or_default());
    }
    ensure!(seen.file("script.status") == Some("0\n"), "the guest's script failed:\n{}", seen.file("script.output").unwrap_or_default());
    ensure!(seen.file("devices") == Some(&format!("{DEVICES} {DEVICES}\n")), "the machine has other devices: {:?}", seen.file("devices"));
    let times = Times::read(seen.file("results").context("the guest has no results")?)?;
    println!("Debian 12, Xen 4.17 and Linux {} in QEMU without hardware virtualisation, one processor, one boot", image.debian.release);
    println!(
        "{REPETITIONS} runs of each, by turns; from the fork to the end, with the load of the module inside; every device was proven to be on pciback, and initialised"
    );
    for situation in SITUATIONS {
        times.tell(situation)?;
    }
    times.tell_targets()?;
    tell_lists(seen.file("lists").context("the guest has listed nothing")?)
}

/// Tells how long the lists took, of which the guest wrote down the microseconds.
fn tell_lists(results: &str) -> Result<()> {
    let mut seconds = Vec::new();
    for line in results.lines() {
        seconds.push(line.parse::<f64>()? / 1e6);
    }
    ensure!(seconds.len() == REPETITIONS, "{} lists", seconds.len());
    seconds.sort_by(f64::total_cmp);
    let (least, median, most) = (seconds[0], seconds[REPETITIONS / 2], seconds[REPETITIONS - 1]);
    println!(
        "a list of {} functions with their names takes {median:.2} s ({least:.2} to {most:.2}; target: at most {MOST_OF_A_LIST:.1}, {})",
        many::FUNCTIONS,
        met(median <= MOST_OF_A_LIST)
    );
    Ok(())
}

/// Whether a target is met, in a word.
fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

/// QEMU's devices: each has a slot for itself. The root bus has too few for all, so those with function-level reset are behind root ports. They need no I/O ports, of which each root port would take
/// 4,096 of the 65,536 that there are.
fn devices() -> Vec<String> {
    let without = (0..DEVICES).map(|at| format!("e1000e,addr={:#x},romfile=", at + 1));
    let ports = (0..DEVICES).map(|at| {
        let (slot, function) = (DEVICES + 1 + at / 8, at % 8);
        format!("pcie-root-port,id=port{at},chassis={at},addr={slot:#x}.{function},multifunction=on")
    });
    let with_reset = (0..DEVICES).map(|at| format!("nvme,bus=port{at},serial=nvme{at}"));
    without.chain(ports).chain(with_reset).collect()
}

impl Times {
    /// Reads the lines that the guest wrote. Nothing is missing.
    fn read(results: &str) -> Result<Times> {
        let mut times = BTreeMap::<_, Vec<f64>>::new();
        for line in results.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let &[situation, reset, count, way, microseconds] = words.as_slice() else { bail!("not a result: {line}") };
            let key = (situation.to_owned(), reset.to_owned(), count.parse()?, way.to_owned());
            times.entry(key).or_default().push(microseconds.parse::<f64>()? / 1000.0);
        }
        for values in times.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        Ok(Times(times))
    }

    fn of(&self, situation: &str, reset: &str, count: usize, way: &str) -> Result<&[f64]> {
        let key = (situation.to_owned(), reset.to_owned(), count, way.to_owned());
        let values = self.0.get(&key).with_context(|| format!("no result for {key:?}"))?;
        ensure!(values.len() == REPETITIONS, "{} results for {key:?}", values.len());
        Ok(values)
    }

    fn median(&self, situation: &str, reset: &str, count: usize, way: &str) -> Result<f64> {
        Ok(self.of(situation, reset, count, way)?[REPETITIONS / 2])
    }

    fn tell(&self, (situation, meaning, ways): (&str, &str, &[&str])) -> Result<()> {
        for (reset, kind) in RESETS {
            println!("\n{kind}: {meaning}");
            let ratio = if ways.contains(&"modprobe") { "of modprobe" } else { "" };
            println!("{:<40} {:>7} {:>10} {:>8} {:>8} {ratio:>12}", "", "devices", "median ms", "least", "most");
            for (way, name) in WAYS.iter().filter(|(way, _)| ways.contains(way)) {
                for count in COUNTS {
                    let values = self.of(situation, reset, count, way)?;
                    let median = values[REPETITIONS / 2];
                    let ratio = if ratio.is_empty() { String::new() } else { format!("{:.2}", median / self.median(situation, reset, count, "modprobe")?) };
                    println!("{name:<40} {count:>7} {median:>10.0} {:>8.0} {:>8.0} {ratio:>12}", values[0], values[REPETITIONS - 1]);
                }
            }
        }
        Ok(())
    }

    fn tell_targets(&self) -> Result<()> {
        let [eight, sixteen] = [8, 16].map(|count| self.median("none", "flr", count, "pciseize"));
        let (eight, sixteen) = (eight?, sixteen?);
        let ratio = eight / self.median("none", "flr", 8, "modprobe")?;
        println!(
            "\n8 devices with function-level reset take {ratio:.2} of what modprobe takes (target: at most {MOST_OF_MODPROBE:.2}, {})",
            met(ratio <= MOST_OF_MODPROBE)
        );
        let growth = sixteen / eight;
        println!("16 take {growth:.2} times as much as 8 (target: at most {MOST_OF_HALF}, {})", met(growth <= MOST_OF_HALF));
        Ok(())
    }
}
