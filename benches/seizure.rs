//! How long the seizure takes in a real Xen dom0, beside the other ways to give devices to pciback:
//! `make bench`.
//!
//! All ways take their turns in one boot, some times over. For each the median is printed, the
//! least and the most, and the median in terms of the limit: the load of the module, and all binds
//! at once.
//! No way can be much faster. A time goes from the fork to the end of the program, with all that it
//! starts, and with the load of the module inside.
//!
//! Times of an emulated machine vary, so the bench fails only if a way did not do its job.
//! `target/bench/seizure.txt` gets the results; `docs/draw-times` draws them. Then the quick ways
//! take their turns in a boot with two virtual CPUs: `seizure-2.txt`.
//!
//! `PCISEIZE_OTHER=/path/of/a/pciseize make bench` lets another build of the program take its turns
//! too, and prints the ratio of the two.

#[path = "../tests/vm/lab/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench uses a part of the laboratory, and runs none of its tests"
)]
mod lab;

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    evidence::Evidence,
    image::{Generator, Image},
    limit,
    machine::Machine,
    many,
    product::Product,
};

/// Devices of each kind: nvme has a function-level reset, e1000e only the reset through its power
/// state.
const DEVICES: usize = 16;

/// Ways that take their turns with each other.
struct Series {
    /// `none`: no driver has the devices yet, as early in a boot. `bound`: dom0's drivers have
    /// them.
    drivers: &'static str,
    ways: &'static [&'static str],
    rounds: usize,
    counts: &'static [usize],
}

/// The ways that are written for the shell take seconds each, so they run less often. The module's
/// own parameter takes no device that a driver has.
const SERIES: [Series; 4] = [
    Series {
        drivers: "none",
        ways: &["pciseize", "modprobe", "limit"],
        rounds: 5,
        counts: &[1, 4, 8, 16],
    },
    Series {
        drivers: "none",
        ways: &["loop", "xl"],
        rounds: 3,
        counts: &[1, 8],
    },
    Series {
        drivers: "bound",
        ways: &["pciseize"],
        rounds: 5,
        counts: &[1, 4, 8, 16],
    },
    Series {
        drivers: "bound",
        ways: &["loop"],
        rounds: 3,
        counts: &[1, 8],
    },
];

/// What else takes its turns beside `pciseize`, if there is another build of it.
const OTHER: Series = Series {
    drivers: "none",
    ways: &["pciseize", "other"],
    rounds: 5,
    counts: &[1, 8, 16],
};

/// How often the list of a machine with thousands of functions is timed.
const LISTS: usize = 5;

/// Most seconds that such a list may take.
const MOST_OF_A_LIST: f64 = 2.0;

/// The ways, as the guest's script calls them and as they are told.
const WAYS: [(&str, &str); 6] = [
    ("limit", "the limit: module, all binds at once"),
    ("pciseize", "pciseize seize"),
    ("other", "the other pciseize"),
    ("modprobe", "modprobe xen-pciback hide=…"),
    ("loop", "shell: modprobe; unbind, new_slot, bind"),
    ("xl", "shell: modprobe; xl pci-assignable-add"),
];

const RESETS: [(&str, &str); 2] = [
    ("flr", "with function-level reset (nvme)"),
    ("pm", "without (e1000e)"),
];

const DRIVERS: [(&str, &str); 2] = [
    ("none", "no driver has the devices yet, as early in a boot"),
    ("bound", "dom0's drivers have the devices"),
];

/// What was timed: drivers, reset, devices, way.
type Run = (String, String, usize, String);

/// The times of each in milliseconds, in order of their size.
struct Times(BTreeMap<Run, Vec<f64>>);

/// What is timed on two processors.
const ON_TWO: [Series; 1] = [Series {
    drivers: "none",
    ways: &["pciseize", "modprobe", "limit"],
    rounds: 5,
    counts: &[1, 8, 16],
}];

fn main() -> Result<()> {
    on_one_processor()?;
    on_two_processors()
}

/// All ways, and the list of a large machine.
fn on_one_processor() -> Result<()> {
    let other = env::var_os("PCISEIZE_OTHER").map(PathBuf::from);
    let mut schedule = schedule(&SERIES, other.is_some().then_some(&OTHER));
    schedule += &format!("echo 'lab: lists' >/dev/console\nlist_many {LISTS}\n");
    let seen = boot("seizure", 1, &schedule, other.as_deref())?;
    let times = Times::read(&seen, &SERIES)?;
    println!("Every device was proven to be on pciback after each run.");
    for drivers in DRIVERS {
        for reset in RESETS {
            times.tell(drivers, reset)?;
        }
    }
    if other.is_some() {
        times.tell_other()?;
    }
    tell_lists(seen.file("lists").context("the guest has listed nothing")?)?;
    times.write("seizure.txt")
}

/// The quick ways, where binds run on two processors at the same time.
fn on_two_processors() -> Result<()> {
    let seen = boot("seizure-2", 2, &schedule(&ON_TWO, None), None)?;
    let times = Times::read(&seen, &ON_TWO)?;
    for reset in RESETS {
        times.tell(DRIVERS[0], reset)?;
    }
    times.write("seizure-2.txt")
}

/// Boots a machine that takes its turns by the schedule, and checks that each way did its job.
fn boot(name: &str, processors: u32, schedule: &str, other: Option<&Path>) -> Result<Evidence> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let mut machine = Machine::dom0(&image)
        .processors(processors)
        .devices(devices())
        // The drivers are there, but come only when they are called by name.
        .cmdline("modprobe.blacklist=nvme,e1000e")
        .installed(&Product::install()?)
        .file("lab/seizure", include_str!("guest/seizure"))
        .file("lab/loop", include_str!("guest/loop"))
        .file("lab/xl-loop", include_str!("guest/xl-loop"))
        .file("lab/schedule", schedule)
        .file("lab/names", many::NAMES)
        .file("lab/list", many::LIST)
        .program("lab/limit", &limit::build()?)
        .script("exec bash /lab/seizure");
    if let Some(other) = other {
        machine = machine.program("lab/other", other);
    }
    let seen = many::files()
        .fold(machine, |machine, (path, text)| machine.file(&path, &text))
        .boot(name)?;

    if let Some(failures) = seen.file("failures") {
        let log = seen.file("log").unwrap_or_default();
        bail!("a way did not do its job:\n{failures}\nWhat the programs said:\n{log}");
    }
    let output = seen.file("script.output").unwrap_or_default();
    ensure!(
        seen.file("script.status") == Some("0\n"),
        "the guest's script failed:\n{output}"
    );
    let found = seen
        .file("devices")
        .context("the guest has found no devices")?;
    ensure!(
        found == format!("{DEVICES} {DEVICES}\n"),
        "the machine has other devices: {found}"
    );

    println!(
        "\nDebian 12, Xen 4.17 and Linux {}, one boot with {processors} virtual CPU in QEMU",
        image.debian.release
    );
    println!("without hardware virtualisation.");
    Ok(seen)
}

/// What the guest's script is to run. The other build of the program takes its turns before the
/// drivers are loaded. Once the drivers are loaded they stay, so that comes last.
fn schedule(series: &[Series], other: Option<&Series>) -> String {
    let is_early = |series: &&Series| series.drivers == "none";
    let early = series.iter().filter(is_early);
    let late = series.iter().filter(|series| !is_early(series));
    let mut schedule = String::new();
    for series in early.chain(other).chain(late) {
        let counts: Vec<String> = series.counts.iter().map(usize::to_string).collect();
        let (counts, ways) = (counts.join(" "), series.ways.join(" "));
        schedule += &format!(
            "series {} {} '{counts}' '{ways}'\n",
            series.drivers, series.rounds
        );
    }
    schedule
}

/// Tells how long the lists took, of which the guest wrote down the microseconds.
fn tell_lists(results: &str) -> Result<()> {
    let mut seconds = Vec::new();
    for line in results.lines() {
        seconds.push(line.parse::<f64>()? / 1e6);
    }
    ensure!(seconds.len() == LISTS, "{} lists", seconds.len());
    seconds.sort_by(f64::total_cmp);
    let (least, median, most) = (seconds[0], seconds[LISTS / 2], seconds[LISTS - 1]);
    let is_met = if median <= MOST_OF_A_LIST {
        "met"
    } else {
        "MISSED"
    };
    println!(
        "\na list of {} functions with their names takes {median:.2} s",
        many::FUNCTIONS
    );
    println!("({least:.2} to {most:.2}; target: at most {MOST_OF_A_LIST:.1}, {is_met})");
    Ok(())
}

/// QEMU's devices: each has a slot for itself. The root bus has too few for all, so those with
/// function-level reset are behind root ports. They need no I/O ports, of which each root port
/// would take 4,096 of the 65,536 that there are.
fn devices() -> Vec<String> {
    let without = (0..DEVICES).map(|at| format!("e1000e,addr={:#x},romfile=", at + 1));
    let ports = (0..DEVICES).map(|at| {
        let (slot, function) = (DEVICES + 1 + at / 8, at % 8);
        format!(
            "pcie-root-port,id=port{at},chassis={at},addr={slot:#x}.{function},multifunction=on"
        )
    });
    let with_reset = (0..DEVICES).map(|at| format!("nvme,bus=port{at},serial=nvme{at}"));
    without.chain(ports).chain(with_reset).collect()
}

impl Times {
    /// Reads the lines that the guest wrote. Nothing is missing.
    fn read(seen: &Evidence, series: &[Series]) -> Result<Times> {
        let results = seen.file("results").context("the guest has no results")?;
        let mut times = BTreeMap::<_, Vec<f64>>::new();
        for line in results.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let &[drivers, reset, count, way, microseconds] = words.as_slice() else {
                bail!("not a result: {line}")
            };
            let run = (
                drivers.to_owned(),
                reset.to_owned(),
                count.parse()?,
                way.to_owned(),
            );
            times
                .entry(run)
                .or_default()
                .push(microseconds.parse::<f64>()? / 1000.0);
        }
        for values in times.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        for series in series {
            for (reset, _) in RESETS {
                for (way, count) in series
                    .ways
                    .iter()
                    .flat_map(|way| series.counts.iter().map(move |count| (way, count)))
                {
                    let run = (
                        series.drivers.to_owned(),
                        reset.to_owned(),
                        *count,
                        (*way).to_owned(),
                    );
                    let runs = times.get(&run).map_or(0, Vec::len);
                    ensure!(runs >= series.rounds, "{runs} results for {run:?}");
                }
            }
        }
        Ok(Times(times))
    }

    fn median(&self, drivers: &str, reset: &str, count: usize, way: &str) -> Option<f64> {
        let values = self
            .0
            .get(&(drivers.to_owned(), reset.to_owned(), count, way.to_owned()))?;
        Some(values[values.len() / 2])
    }

    /// Prints a table: the ways in one situation.
    fn tell(&self, (drivers, situation): (&str, &str), (reset, kind): (&str, &str)) -> Result<()> {
        println!("\n{kind}: {situation}");
        println!(
            "{:<40} {:>7} {:>5} {:>9} {:>7} {:>7} {:>9}",
            "", "devices", "runs", "median ms", "least", "most", "of limit"
        );
        for (way, name) in WAYS {
            for count in 1..=DEVICES {
                let Some(values) =
                    self.0
                        .get(&(drivers.to_owned(), reset.to_owned(), count, way.to_owned()))
                else {
                    continue;
                };
                let median = values[values.len() / 2];
                let limit = self
                    .median(drivers, reset, count, "limit")
                    .map_or(String::new(), |limit| format!("{:.2}", median / limit));
                let (least, most) = (values[0], values[values.len() - 1]);
                println!(
                    "{name:<40} {count:>7} {:>5} {median:>9.0} {least:>7.0} {most:>7.0} {limit:>9}",
                    values.len()
                );
            }
        }
        Ok(())
    }

    /// Prints how this build compares with the other.
    fn tell_other(&self) -> Result<()> {
        println!();
        for (reset, kind) in RESETS {
            for &count in OTHER.counts {
                let [this, other] =
                    ["pciseize", "other"].map(|way| self.median("none", reset, count, way));
                let ratio = this.context("no result")? / other.context("no result")?;
                println!("{count} devices {kind}: {ratio:.2} of the other pciseize");
            }
        }
        Ok(())
    }

    /// Writes a line for each run: drivers, reset, devices, way, least, median and most.
    fn write(&self, name: &str) -> Result<()> {
        let mut text = String::from(
            "# `make bench`: drivers, reset, devices, way; least, median and most milliseconds.\n",
        );
        for ((drivers, reset, count, way), values) in &self.0 {
            let (least, most) = (values[0], values[values.len() - 1]);
            let median = values[values.len() / 2];
            writeln!(
                text,
                "{drivers} {reset} {count} {way} {least:.0} {median:.0} {most:.0}"
            )?;
        }
        let folder = lab::target_directory().join("bench");
        fs::create_dir_all(&folder)?;
        let file: &Path = &folder.join(name);
        fs::write(file, text)?;
        println!("\n{} has these times, for docs/draw-times", file.display());
        Ok(())
    }
}
