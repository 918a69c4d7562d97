//! An HVM guest has a seized network card, by its name and by its address. dom0 is a PV domain, and
//! QEMU emulates the virtualisation that Xen needs. `guest/passthrough` is the script for dom0,
//! `guest/guest-init` and `guest/guest-shows` are those for the guests.

use anyhow::{Context, Error, Result, ensure};

use super::{NotToBeHad, platform};
use crate::FILE;
use crate::lab::board::{NETWORK, NETWORK_DEVICE, NETWORK_TWIN};
use crate::lab::debian::{self, Suite};
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::pace;
use crate::lab::product::Product;
use crate::lab::schema::{self, Kind};
use crate::lab::watch::Limits;

/// xl starts it for each HVM guest, in dom0.
const DEVICE_MODEL: &str = "qemu-system-xen";

const CONFIGURATION: &str = "card = 8086:10d3@0000:00:04.0\n";

/// What a step in dom0 ends with, what it says, and what becomes of the card.
struct Step {
    command: &'static str,
    status: i32,
    says: &'static str,
    driver: &'static str,
    outcome: &'static str,
}

const fn step(
    command: &'static str,
    (status, says): (i32, &'static str),
    (driver, outcome): (&'static str, &'static str),
) -> Step {
    Step {
        command,
        status,
        says,
        driver,
        outcome,
    }
}

const SEIZED: (&str, &str) = ("pciback", "seized");
const ASSIGNED: (&str, &str) = ("pciback", "assigned");
const WITH_DOM0: (&str, &str) = ("e1000e", "lost");

/// From the boot that has seized the card to dom0 that has it again.
const STEPS: [Step; 13] = [
    step("show_consoles; xl info", (0, "hvm_directio"), SEIZED),
    step("pciseize name-guests", (0, "named card"), SEIZED),
    step(
        "pciseize guest-config $address | tee -a /lab/guest.conf",
        (0, "pci = ['name=card']"),
        SEIZED,
    ),
    // Neither dom0 nor a guest whose configuration does not ask for the card has it.
    step("ls $function/net", (2, "No such file"), SEIZED),
    step("show_other", (0, "Parsing config"), SEIZED),
    // By its name.
    step("lend", (0, ""), ASSIGNED),
    step("pciseize release $address", (1, "guest 2 has it"), ASSIGNED),
    step("guest_reaches", (0, ""), ASSIGNED),
    step("end", (0, ""), SEIZED),
    // By its address.
    step(
        "sed -i s/name=card/$address/ /lab/guest.conf && lend",
        (0, ""),
        ASSIGNED,
    ),
    step("end", (0, ""), SEIZED),
    step(
        "pciseize release $address",
        (0, "released: driver e1000e has it"),
        WITH_DOM0,
    ),
    step("dom0_reaches", (0, " 0% packet loss"), WITH_DOM0),
];

/// The configuration of a guest, but for what `pciseize guest-config` prints.
fn guest(name: &str) -> String {
    format!(
        "name = '{name}'\ntype = 'hvm'\nkernel = '/lab/vmlinuz'\nramdisk = '/lab/ramdisk.img'\n\
         extra = 'console=hvc0 tsc=reliable'\nmemory = 256\nvga = 'none'\nnographic = 1\n\
         vnc = 0\n"
    )
}

/// A dom0 with a card, its unlisted twin, and xl's device model, that takes these steps.
fn machine<'a>(suite: Suite, image: &'a Initramfs, steps: &[&str]) -> Result<Machine<'a>> {
    let steps: String = steps.iter().map(|step| format!("{step}\n")).collect();
    // While an HVM guest of Debian 12 unpacks its kernel, dom0 does not run, and nothing moves.
    let usual = pace::limits(1)?;
    let limits = Limits {
        still: usual.still * 3,
        ..usual
    };
    Ok(Machine::dom0(image)
        .limits(limits)
        .devices([NETWORK_DEVICE, NETWORK_TWIN].map(str::to_owned).to_vec())
        .with_network()
        .with_svm()
        // What the guest's firmware says: it takes longest.
        .xen_cmdline("guest_loglvl=all")
        .memory(3072)
        .root_disk(&debian::disk_with(suite, &[DEVICE_MODEL])?)
        .installed(&Product::install()?)
        .file(FILE, CONFIGURATION)
        .file("lab/steps", &steps)
        .file("lab/guest.conf", &guest("guest"))
        .file("lab/other.conf", &guest("other"))
        .file("lab/passthrough", include_str!("../guest/passthrough"))
        .file("lab/guest-init", include_str!("../guest/guest-init"))
        .file("lab/guest-shows", include_str!("../guest/guest-shows"))
        .program("lab/vmlinuz", &image.debian.vmlinuz)
        .script(&format!("exec sh /lab/passthrough {}", NETWORK.listed)))
}

fn file<'s>(seen: &'s Evidence, name: &str) -> Result<&'s str> {
    seen.file(name).with_context(|| {
        let said = seen.file("script.output");
        format!("the script wrote no {name}: {said:?}")
    })
}

/// Checks what a step has left.
fn assert_taken(seen: &Evidence, number: usize, step: &Step) -> Result<()> {
    let said = file(seen, &format!("{number}.output"))?;
    let context = format!("step {number}, {}: {said}", step.command);
    let steps = file(seen, "steps")?;
    let line = steps.lines().nth(number - 1).context(context.clone())?;
    let status_of_all = i32::from(step.outcome == "lost");
    let expected = format!("{} {} {status_of_all}", step.status, step.driver);
    assert_eq!(line, expected, "{context}\n{steps}");
    assert!(said.contains(step.says), "{context}");

    let told = file(seen, &format!("{number}.json"))?;
    let told = schema::read(Kind::Status, told.as_bytes()).map_err(Error::msg)?;
    let card = &told["devices"][0];
    assert_eq!(card["address"], NETWORK.listed, "{context}");
    assert_eq!(card["outcome"], step.outcome, "{context}");
    assert_eq!(card["at_boot"], "seized", "{context}");
    Ok(())
}

/// How often a guest has shown the card, among the functions that each HVM guest has.
fn cards(seen: &Evidence, guest: &str) -> Result<usize> {
    let log = file(seen, &format!("guest-{guest}.log"))?;
    let functions = log.lines().filter(|line| line.contains("guest: function"));
    let (cards, others): (Vec<&str>, Vec<&str>) =
        functions.partition(|line| line.contains("0x8086 0x10d3"));
    ensure!(!others.is_empty(), "{guest} has shown no function:\n{log}");
    Ok(cards.len())
}

/// pciback got the card before any driver of dom0 came, and dom0's driver got it by the release
/// alone.
fn assert_seized_until_released(seen: &Evidence) {
    let log = seen.pciseize_log();
    let successful = seen.successful_probes(NETWORK.listed);
    let [seized, released] = successful.as_slice() else {
        panic!("{:?}\n{log}", seen.probes(NETWORK.listed));
    };
    let of_the_twin = &seen.successful_probes(NETWORK.twin)[0];
    assert!(
        seized.at < of_the_twin.at && of_the_twin.at < released.at,
        "{log}"
    );
    assert!(seen.logged(&[NETWORK.listed, "seized"]), "{log}");
    assert_eq!(seen.driver(NETWORK.twin), Some(NETWORK.driver));
}

/// With pciseize switched off the card is dom0's, and xl does not give it to a guest.
fn assert_refused_without_pciseize(suite: Suite, image: &Initramfs) -> Result<()> {
    let steps = [
        "modprobe xen-pciback",
        "dom0_reaches",
        "echo \"pci = ['$address']\" >>/lab/guest.conf && xl create /lab/guest.conf",
    ];
    let seen = machine(suite, image, &steps)?
        .cmdline("pciseize.off")
        .boot(&format!("hvm-off-{}", suite.name()))?;
    let [reached, created] = [2, 3].map(|step| file(&seen, &format!("{step}.output")));
    let (reached, created) = (reached?, created?);
    assert!(reached.contains(" 0% packet loss"), "{reached}");
    assert!(created.contains("is not assignable"), "{created}");
    let expected = "0 e1000e 0\n0 e1000e 0\n3 e1000e 0\n";
    assert_eq!(file(&seen, "steps")?, expected, "{created}");
    let log = seen.file("guest-guest.log").unwrap_or_default();
    assert!(!log.contains("guest:"), "{log}");
    Ok(())
}

/// The whole story, from the seizure to dom0's ping.
fn tell(suite: Suite) -> Result<String> {
    if !debian::is_offered(suite, DEVICE_MODEL)? {
        return Err(NotToBeHad(format!("{} has no {DEVICE_MODEL}", suite.name())).into());
    }
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .on(suite)
        .file(FILE, CONFIGURATION)
        .build()?;
    let commands = STEPS.map(|step| step.command);
    let seen = machine(suite, &image, &commands)?.boot(&format!("hvm-{}", suite.name()))?;
    for (at, step) in STEPS.iter().enumerate() {
        assert_taken(&seen, at + 1, step)?;
    }
    assert_eq!(cards(&seen, "other")?, 0);
    assert_eq!(cards(&seen, "guest")?, 2, "it was started twice");
    assert_seized_until_released(&seen);
    assert_refused_without_pciseize(suite, &image)?;
    Ok(
        "by name and by address: assigned while a guest pings through the card, then seized; \
        released: dom0 pings through it; with `pciseize.off` xl refuses it"
            .to_owned(),
    )
}

#[test]
#[ignore = "make check-reach"]
fn a_guest_uses_a_seized_card_on_debian_12() -> Result<()> {
    platform("hvm-debian-12", || tell(Suite::Bookworm))
}

/// What most people want a card for, so `make check` takes the time.
#[test]
fn a_guest_uses_a_seized_card_on_debian_13() -> Result<()> {
    platform("hvm-debian-13", || tell(Suite::Trixie))
}
