//! Virtual functions (SR-IOV): made on the running host, seized, and with a guest, while somebody
//! asks for the card that they belong to.

use anyhow::{Context, Result, ensure};

use crate::{
    FILE,
    lab::{
        evidence::Evidence,
        image::{Generator, Image},
        machine::Machine,
        product::Product,
        qemu::NewerQemu,
    },
};

use super::platform;

const CARD: &str = "0000:01:00.0";

/// What the image and the host ask for at first: one function by address alone, one by what it is.
const ITEMS: &str = "0000:01:10.0\n8086:10ca@0000:01:10.2\n";

const GUEST: &str = "\
name = 'guest'
type = 'pv'
kernel = '/lab/vmlinux'
ramdisk = '/lab/ramdisk.img'
extra = 'console=hvc0'
memory = 128
pci = ['0000:01:10.0']
";

/// Which driver has each function of the card after a step: the card, and its four virtual
/// functions in order.
const STEPS: [(&str, [&str; 5]); 7] = [
    // By address pciback takes it as soon as it appears.
    (
        "without-rule",
        ["igb", "pciback", "igbvf", "igbvf", "igbvf"],
    ),
    // By identity the rule takes it; the others are nobody's wish, and keep their driver.
    ("with-rule", ["igb", "pciback", "pciback", "igbvf", "igbvf"]),
    (
        "by-class",
        ["igb", "pciback", "pciback", "pciback", "igbvf"],
    ),
    (
        "with-pciback",
        ["igb", "pciback", "pciback", "pciback", "igbvf"],
    ),
    (
        "asked-for",
        ["igb", "pciback", "pciback", "pciback", "pciback"],
    ),
    ("lent", ["igb", "pciback", "pciback", "pciback", "pciback"]),
    ("forced", ["pciback", "gone", "gone", "gone", "gone"]),
];

#[test]
fn a_card_whose_virtual_functions_are_with_guests_is_refused() -> Result<()> {
    platform("sriov", || {
        let product = Product::install()?;
        let image = Image::with(Generator::InitramfsTools, &product)
            .file(FILE, ITEMS)
            .build()?;
        let devices = ["pcie-root-port,id=port1,addr=6,chassis=1", "igb,bus=port1"];
        let seen = Machine::dom0(&image)
            .in_qemu(&NewerQemu::unpack()?)
            .devices(devices.map(str::to_owned).to_vec())
            .with_iommu()
            .installed(&product)
            .file(FILE, ITEMS)
            .file("lab/guest.conf", GUEST)
            .program("lab/vmlinux", &image.debian.vmlinux)
            .work(2)
            .script(include_str!("../guest/sriov"))
            .boot("sriov")?;
        assert_drivers(&seen)?;
        assert_told(&seen)?;
        Ok(
            "3 of 4 virtual functions seized as they appear, the other keeps igbvf; their card is \
            refused, and while a guest has one also with --force"
                .to_owned(),
        )
    })
}

/// The function that pciback waits for by its address.
const BY_ADDRESS: &str = "0000:01:10.0";

/// Every function has the driver that it is to have after each step.
fn assert_drivers(seen: &Evidence) -> Result<()> {
    let drivers = file(seen, "drivers")?;
    for (step, expected) in STEPS {
        let found: Vec<&str> = drivers
            .lines()
            .filter(|line| line.split(' ').next() == Some(step))
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        ensure!(
            found == expected,
            "{step}: {found:?} in place of {expected:?}\n{drivers}{}",
            seen.file(&format!("{step}.output")).unwrap_or_default()
        );
    }
    // It was made three times, and nobody but pciback has ever probed it. Where the rule's seizure
    // meets pciback at work, it binds the function once more.
    let probes = seen.probes(BY_ADDRESS);
    let taken = format!("pciback {BY_ADDRESS}: xen_pciback: seizing device");
    ensure!(
        probes.len() >= 3
            && probes.len() == seen.kernel_log(&taken).count()
            && probes.iter().all(|probe| probe.result == 0),
        "{BY_ADDRESS}: {probes:?}"
    );
    Ok(())
}

/// Each refusal names the virtual functions, and what to type.
fn assert_told(seen: &Evidence) -> Result<()> {
    let free = "to take it now: 'pciseize seize --force";
    let three = "kept: 0000:01:10.0 0000:01:10.2 0000:01:10.4;";
    for (step, status, told) in [
        ("with-pciback", "1\n", &[three, free][..]),
        ("asked-for", "1\n", &["0000:01:10.6;", free]),
        (
            "lent",
            "1\n",
            &["not to be had while guest 1 has 0000:01:10.0: end the guest"],
        ),
        ("forced", "0\n", &["driver igb before"]),
    ] {
        let output = file(seen, &format!("{step}.output"))?;
        let of_card = output.lines().find(|line| line.contains(CARD));
        let of_card = of_card.with_context(|| format!("{step}: {output}"))?;
        ensure!(
            file(seen, &format!("{step}.status"))? == status,
            "{step}: {output}"
        );
        for text in told {
            ensure!(of_card.contains(text), "{step}: no {text:?}: {output}");
        }
    }
    let status = file(seen, "of-status")?;
    ensure!(status.contains("# refused"), "{status}");
    // The guest has its function still, and keeps it.
    ensure!(file(seen, "of-guest")?.contains(BY_ADDRESS));
    Ok(())
}

fn file<'s>(seen: &'s Evidence, name: &str) -> Result<&'s str> {
    seen.file(name).with_context(|| {
        let output = seen.file("script.output");
        format!("the script wrote no {name}: {output:?}")
    })
}
