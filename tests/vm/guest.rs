//! A Xen guest gets a seized device, and Xen's own tool works beside pciseize. `guest/passthrough`
//! is the script for dom0, `guest/guest-init` the one for the guest.

use anyhow::{Context, Error, Result};
use serde_json::Value;

use crate::lab::board::{self, NETWORK, PAIRS};
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::schema::{self, Kind};
use crate::{FILE, assert_claimed};

/// The steps. Each has the command in dom0, its exit status, its output, then the driver of the
/// device, the outcome that `pciseize status` shows, and whether xl lists the device as assignable.
const STEPS: [(&str, i32, &str, &str, &str, bool); 29] = [
    // Xen uses the IOMMU, as xl says too.
    (
        "pciseize plan >plan 2>&1; grep 'to seize' plan && ! grep IOMMU plan && xl info",
        0,
        "hvm_directio",
        "pciback",
        "seized",
        true,
    ),
    // xl releases only devices in Xen's quarantine: those that xl put there, and those of former
    // guests.
    (
        "xl pci-assignable-remove $address",
        1,
        "failed to de-quarantine",
        "pciback",
        "seized",
        true,
    ),
    (
        "xl pci-assignable-add $address",
        0,
        "already assigned to pciback",
        "pciback",
        "seized",
        true,
    ),
    (
        "pciseize seize",
        0,
        "4 of 4 devices seized",
        "pciback",
        "seized",
        true,
    ),
    (
        "xl pci-assignable-remove $address",
        0,
        "",
        "-",
        "held",
        false,
    ),
    (
        "pciseize seize",
        0,
        "4 of 4 devices seized",
        "pciback",
        "seized",
        true,
    ),
    // Dom0 has the device again, and it works.
    (
        "pciseize release $address",
        0,
        "released: driver e1000e has it",
        "e1000e",
        "lost",
        false,
    ),
    (
        "dom0_reaches",
        0,
        " 0% packet loss",
        "e1000e",
        "lost",
        false,
    ),
    (
        "xl pci-assignable-remove $address",
        1,
        "failed to de-quarantine",
        "e1000e",
        "lost",
        false,
    ),
    (
        "xl pci-assignable-add $address",
        0,
        "",
        "pciback",
        "seized",
        true,
    ),
    (
        "pciseize seize",
        0,
        "4 of 4 devices seized",
        "pciback",
        "seized",
        true,
    ),
    (
        "xl pci-assignable-remove -r $address",
        0,
        "Rebinding to driver at /sys/bus/pci/drivers/e1000e",
        "e1000e",
        "lost",
        false,
    ),
    (
        "pciseize seize",
        0,
        "driver e1000e before",
        "pciback",
        "seized",
        true,
    ),
    ("configure", 0, "Parsing config", "pciback", "seized", true),
    // A guest has the device. Its pings are answered before and after all requests in between.
    ("lend", 0, "", "pciback", "assigned", false),
    (
        "pciseize seize",
        0,
        "guest 1 has it",
        "pciback",
        "assigned",
        false,
    ),
    (
        "pciseize seize --force",
        0,
        "guest 1 has it",
        "pciback",
        "assigned",
        false,
    ),
    (
        "pciseize release $address",
        1,
        "guest 1 has it",
        "pciback",
        "assigned",
        false,
    ),
    (
        "xl pci-assignable-add $address",
        1,
        "failed to quarantine",
        "pciback",
        "assigned",
        false,
    ),
    (
        "xl pci-assignable-remove $address",
        1,
        "failed to de-quarantine",
        "pciback",
        "assigned",
        false,
    ),
    ("guest_reaches", 0, "", "pciback", "assigned", false),
    ("end", 0, "", "pciback", "seized", true),
    (
        "pciseize seize",
        0,
        "4 of 4 devices seized",
        "pciback",
        "seized",
        true,
    ),
    // Xen keeps a former guest's device in quarantine, where the device reaches no memory, even
    // with a driver of dom0 ...
    (
        "without_xl pciseize release $address",
        0,
        "released: driver e1000e has it",
        "e1000e",
        "lost",
        false,
    ),
    (
        "dom0_reaches",
        1,
        "100% packet loss",
        "e1000e",
        "lost",
        false,
    ),
    (
        "pciseize seize",
        0,
        "driver e1000e before",
        "pciback",
        "seized",
        true,
    ),
    // ... unless release may have xl end the quarantine.
    (
        "pciseize release $address",
        0,
        "released: driver e1000e has it",
        "e1000e",
        "lost",
        false,
    ),
    (
        "dom0_reaches",
        0,
        " 0% packet loss",
        "e1000e",
        "lost",
        false,
    ),
    (
        "pciseize seize",
        0,
        "driver e1000e before",
        "pciback",
        "seized",
        true,
    ),
];

/// The configuration that xl starts the guest from, but for what `pciseize guest-config` prints.
const GUEST_CONFIGURATION: &str = "\
name = 'guest'
type = 'pv'
kernel = '/lab/vmlinux'
ramdisk = '/lab/ramdisk.img'
extra = 'console=hvc0'
memory = 256
";

/// Checks that xl understood what `pciseize guest-config` printed, what its comments offer, and a
/// name in place of the address.
fn assert_understood(parsed: &str, with_options: &str, with_name: &str) -> Result<()> {
    let read = |text: &str| -> Result<Value> {
        let all: Value = serde_json::from_str(text).context(text.to_owned())?;
        let devices = all["pcidevs"].as_array().map(Vec::len);
        assert_eq!(devices, Some(1), "{text}");
        Ok(all)
    };
    let address = |all: &Value| {
        // What is 0 may be left out.
        let number = |field: &str| all["pcidevs"][0][field].as_u64().unwrap_or_default();
        let (domain, bus) = (number("domain"), number("bus"));
        let (slot, function) = (number("dev"), number("func"));
        format!("{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
    };
    assert_eq!(address(&read(parsed)?), NETWORK.listed, "{parsed}");
    let all = read(with_options)?;
    assert_eq!(address(&all), NETWORK.listed, "{with_options}");
    let device = &all["pcidevs"][0];
    assert_eq!(device["permissive"], true, "{with_options}");
    assert_eq!(device["rdm_policy"], "relaxed", "{with_options}");
    let kind = &all["b_info"]["type.hvm"]["gfx_passthru_kind"];
    assert_eq!(kind, "igd", "{with_options}");
    let all = read(with_name)?;
    assert_eq!(all["pcidevs"][0]["name"], "gpu-1", "{with_name}");
    Ok(())
}

/// The guest reaches the network through its device; neither `seize` nor `release` disturbs it.
/// After the guest has ended, the device is free for the next one, and `release` returns it to
/// dom0.
///
/// The guest's configuration has what `pciseize guest-config` prints, and xl understands it.
///
/// xl sees at once which devices the boot seized. Whatever xl does to a device, `status` reports it
/// and `seize` repairs it.
#[test]
fn a_guest_uses_a_seized_device_and_gives_it_back() -> Result<()> {
    let product = Product::install()?;
    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, &board::configuration())
        .build()?;
    let seen = Machine::dom0(&image)
        .with_iommu()
        .with_network()
        .installed(&product)
        .file(FILE, &board::configuration())
        .file(
            "lab/steps",
            &STEPS.map(|(command, ..)| format!("{command}\n")).concat(),
        )
        .file("lab/passthrough", include_str!("guest/passthrough"))
        .file("lab/guest-init", include_str!("guest/guest-init"))
        .file("lab/guest.conf", GUEST_CONFIGURATION)
        .program("lab/vmlinux", &image.debian.vmlinux)
        .script(&format!("exec sh /lab/passthrough {}", NETWORK.listed))
        .boot("guest")?;
    let file = |name: &str| {
        seen.file(name).with_context(|| {
            format!(
                "the script wrote no {name}: {:?}",
                seen.file("script.output")
            )
        })
    };

    assert!(
        seen.console()
            .iter()
            .any(|line| line.text.contains("I/O virtualisation enabled")),
        "Xen found no IOMMU"
    );

    let mut listed = PAIRS.map(|pair| pair.listed);
    listed.sort_unstable();
    let lines: Vec<&str> = file("steps")?.lines().collect();
    assert_eq!(lines.len(), STEPS.len(), "{lines:#?}");
    for (at, (command, status, says, driver, outcome, is_assignable)) in
        STEPS.into_iter().enumerate()
    {
        let step = at + 1;
        let said = file(&format!("{step}.output"))?;
        let context = format!("step {step}, {command}: {said}");
        let is_as_asked = matches!(outcome, "seized" | "assigned");
        assert_eq!(
            lines[at],
            format!("{status} {driver} {}", i32::from(!is_as_asked)),
            "{context}\n{lines:#?}"
        );
        assert!(said.contains(says), "{context}");

        let told = file(&format!("{step}.json"))?;
        let told = schema::read(Kind::Status, told.as_bytes()).map_err(Error::msg)?;
        let devices = told["devices"]
            .as_array()
            .context("the status has no devices")?;
        let now: Vec<_> = devices
            .iter()
            .map(|device| {
                (
                    device["address"].as_str(),
                    device["outcome"].as_str(),
                    device["at_boot"].as_str(),
                )
            })
            .collect();
        let expected = listed.map(|address| {
            (
                Some(address),
                Some(if address == NETWORK.listed {
                    outcome
                } else {
                    "seized"
                }),
                Some("seized"),
            )
        });
        assert_eq!(now, expected, "{context}");

        let mut assignable: Vec<&str> = file(&format!("{step}.assignable"))?
            .lines()
            .map(str::trim)
            .collect();
        assignable.sort_unstable();
        let others = listed
            .into_iter()
            .filter(|&address| is_assignable || address != NETWORK.listed);
        assert_eq!(assignable, others.collect::<Vec<_>>(), "{context}");
    }
    assert_understood(
        file("parsed.json")?,
        file("parsed-with-options.json")?,
        file("parsed-with-name.json")?,
    )?;
    let guest = file("guest-guest.log")?;
    let functions: Vec<&str> = guest
        .lines()
        .filter(|line| line.starts_with("guest: function"))
        .collect();
    assert_eq!(
        functions,
        ["guest: function 0000:00:00.0 0x8086 0x10d3"],
        "all that the guest has:\n{guest}"
    );
    assert_claimed(&seen, NETWORK.twin, NETWORK.driver);
    Ok(())
}
